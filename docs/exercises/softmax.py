"""Softmax, by its definition.

The mathematics, as it is printed. Scores become probabilities,

    yᵢ = e^xᵢ / Σⱼ e^xⱼ

and with g = dL/dy the derivative is dL/dxᵢ = yᵢ (gᵢ - Σⱼ gⱼ yⱼ). Both formulas are right.

Your task:

1. lamina check softmax:Softmax --input 4,3
2. Which column objects, and at which inputs? What is e^1000 in float64, and e^100 in float32?
3. What is the limit of yᵢ as one score grows? What should the output have been?
4. Show that softmax of (x₁ + c, x₂ + c, ...) is softmax of (x₁, x₂, ...). Choose a good c; mend `forward`.
"""

from lamina.layers import Module


class Softmax(Module):
    """y = e^x / Σ e^x over the last axis."""

    def forward(self, x):
        """x: (N, C) -> (N, C), positive, each row summing to 1."""
        b = self.backend
        e = b.exp(x)
        y = b.divide(e, b.sum(e, axis=-1, keepdims=True))
        self.keep(y)
        return y

    def backward(self, grad_output):
        """dL/dx = y (g - Σ g y)."""
        b, (y,) = self.backend, self.kept()
        inner = b.sum(b.multiply(grad_output, y), axis=-1, keepdims=True)
        return b.multiply(y, b.subtract(grad_output, inner))
