"""The end of a normalised layer: scale, shift and ReLU in one.

The mathematics, as it is printed. A linear layer gives x; normalisation gives each column a
learnt scale γ and shift β (the division by σ is omitted here); ReLU comes last:

    u = γ x + β,    y = max(0, u)

ReLU passes the gradient where its input was positive. With g = dL/dy,

    dL/du = g where x ≥ 0, else 0,    dL/dγ = Σ x dL/du,    dL/dβ = Σ dL/du,    dL/dx = γ dL/du

Your task:

1. lamina check affine_relu:AffineReLU --arguments 3 --input 4,3
2. Which gradients are wrong: of the input, of γ (weight), of β (bias)? What do they have in common?
3. Set β to 0 and γ to 1 in `__init__` (Constant(0.0), Constant(1.0)), the usual initial values. What does
   the check print now? Would you have found the fault with them?
4. Restore β and γ, and mend `backward`.
"""

from lamina.layers import Module, Uniform


class AffineReLU(Module):
    """y = max(0, γ x + β)."""

    def __init__(self, size, backend=None):
        super().__init__(backend)
        self.weight = self.parameter((size,), Uniform(0.5, 1.5))
        self.bias = self.parameter((size,), Uniform(-1.0, 1.0))

    def forward(self, x):
        """x: (N, size) -> (N, size)."""
        b = self.backend
        u = b.add(b.multiply(x, self.weight.data), self.bias.data)
        self.keep(x, u)
        return b.relu(u)

    def backward(self, grad_output):
        """dL/du = g where x ≥ 0; dL/dγ = Σ x dL/du, dL/dβ = Σ dL/du, dL/dx = γ dL/du."""
        b, (x, _) = self.backend, self.kept()
        grad_u = b.where(b.less(x, 0.0), 0.0, grad_output)
        self.weight.accumulate(b.sum(b.multiply(grad_u, x), axis=0))
        self.bias.accumulate(b.sum(grad_u, axis=0))
        return b.multiply(grad_u, self.weight.data)
