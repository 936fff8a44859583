"""Batch normalisation and its gradient in three terms, as printed in a report.

The mathematics, as it is printed. Over the N samples of a column

    μ = 1/N Σ x,    σ² = 1/N Σ (x - μ)²,    y = (x - μ) / √(σ² + ε)

x acts on y directly, through σ and through μ. With g = dL/dy, the chain rule adds three terms:

    dL/dσ = -Σ g (x - μ) σ / (σ² + ε)^(3/2),    dL/dμ = -Σ g / √(σ² + ε)
    dL/dx = g / √(σ² + ε) + 2/N dL/dσ (x - μ) + 1/N dL/dμ

Your task:

1. lamina check batch_norm:BatchNorm --input 4,3
2. Which columns object, and at which inputs?
3. One of the three terms is wrong. Remove them one at a time, or derive dσ/dxᵢ on paper.
4. Mend it. Which letter of the printed formula is wrong, and where does the 2 come from?
"""

from lamina.layers import Module


class BatchNorm(Module):
    """y = (x - μ) / √(σ² + ε) over the samples of each column."""

    eps = 1e-5

    def forward(self, x):
        """x: (N, C) -> (N, C)."""
        b = self.backend
        centred = b.subtract(x, b.mean(x, axis=0, keepdims=True))
        variance = b.mean(b.square(centred), axis=0, keepdims=True)
        root = b.sqrt(b.add(variance, self.eps))
        self.keep(centred, variance, root)
        return b.divide(centred, root)

    def backward(self, grad_output):
        """dL/dx = g / √(σ² + ε) + 2/N dL/dσ (x - μ) + 1/N dL/dμ."""
        b, (centred, variance, root) = self.backend, self.kept()
        n = b.shape(centred)[0]
        direct = b.divide(grad_output, root)
        along = b.sum(b.multiply(direct, centred), axis=0, keepdims=True)
        by_sigma = b.negative(b.divide(b.multiply(along, b.sqrt(variance)), b.square(root)))
        by_mu = b.negative(b.sum(direct, axis=0, keepdims=True))
        through_sigma = b.multiply(b.multiply(by_sigma, centred), 2.0 / n)
        return b.add(b.add(direct, through_sigma), b.multiply(by_mu, 1.0 / n))
