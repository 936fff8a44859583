"""Normalisation in evaluation: running statistics, as printed in a report.

The mathematics, as it is printed. In training, μ and σ are the batch's, and
y = (x - μ) / √(σ² + ε). Running estimates follow them and replace them in evaluation:

    μ̂ <- ρ μ̂ + (1 - ρ) μ,    σ̂ <- ρ σ̂ + (1 - ρ) σ,    y = (x - μ̂) / √(σ̂ + ε)

Your task:

1. lamina check running_statistics:Normalize --arguments 3 --input 4,3
   Proven: the check differentiates in training, which does not use running statistics.
2. python running_statistics.py
   The data have mean 5 and deviation 3. What deviation should the output have, and what is it? What is √3?
3. Mend `forward`. For which deviation of the data would nobody have noticed the fault?
"""

import sys

import numpy as np

from lamina.layers import Module


class Normalize(Module):
    """Each column minus its mean, over its deviation; evaluation uses running statistics."""

    def __init__(self, size, rho=0.9, backend=None):
        super().__init__(backend)
        self.rho, self.eps = rho, 1e-5
        self.running_mean, self.running_var = self.buffer((size,), 0.0), self.buffer((size,), 1.0)

    def forward(self, x):
        """x: (N, size) -> (N, size)."""
        b = self.backend
        mean, variance = self.running_mean.data, self.running_var.data
        if self.training:
            mean, variance = b.mean(x, axis=0), b.var(x, axis=0)
            sigma = b.sqrt(variance)
            for running, new in ((self.running_mean, mean), (self.running_var, sigma)):
                running.set(b.add(b.multiply(running.data, self.rho), b.multiply(new, 1.0 - self.rho)))
        root = b.sqrt(b.add(variance, self.eps))
        y = b.divide(b.subtract(x, mean), root)
        self.keep(y, root)
        return y

    def backward(self, grad_output):
        """dL/dx = (g - mean(g) - y mean(g y)) / √(σ² + ε), in training."""
        b, (y, root) = self.backend, self.kept()
        inner = b.add(b.mean(grad_output, axis=0), b.multiply(y, b.mean(b.multiply(grad_output, y), axis=0)))
        return b.divide(b.subtract(grad_output, inner), root)


if __name__ == "__main__":
    data = np.random.default_rng(0).normal(5.0, 3.0, (300, 64, 3))
    layer = Normalize(3, backend="numpy")
    for batch in data:
        layer(layer.backend.from_host(batch))
    out = layer.backend.to_host(layer.eval()(layer.backend.from_host(data.reshape(-1, 3))))
    print(f"in evaluation: mean {out.mean():.2f} (0 is right), deviation {out.std():.2f} (1 is right)")
    right = abs(out.mean()) < 0.1 and abs(out.std() - 1.0) < 0.1
    print("evaluation agrees with training" if right else "evaluation does NOT agree with training")
    sys.exit(not right)
