"""The hyperbolic tangent, from its definition.

The mathematics, as it is printed:

    y = (e^x - e^-x) / (e^x + e^-x),    dy/dx = 4 / (e^x + e^-x)²

The derivative follows by the quotient rule. Both formulas are right.

Your task:

1. lamina check hyperbolic_tangent:Tanh --input 4,3
2. Which column objects? Compute numerator and denominator at x = 1000 in floating point.
3. The gradient at 1000 is right, although it passes through an infinity. Why is y wrong?
4. Mend `forward`. Hint: multiply numerator and denominator by e^-x where x > 0. And where x < 0?
"""

from lamina.layers import Module


class Tanh(Module):
    """y = (e^x - e^-x) / (e^x + e^-x)."""

    def forward(self, x):
        """x: (*) -> (*), within [-1, 1]."""
        b = self.backend
        up, down = b.exp(x), b.exp(b.negative(x))
        self.keep(b.add(up, down))
        return b.divide(b.subtract(up, down), b.add(up, down))

    def backward(self, grad_output):
        """dL/dx = 4 g / (e^x + e^-x)²."""
        b, (total,) = self.backend, self.kept()
        return b.divide(b.multiply(grad_output, 4.0), b.square(total))
