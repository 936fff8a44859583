"""The hyperbolic tangent, from its definition.

The mathematics, as its reader would believe it:

    y = (e^x - e^-x) / (e^x + e^-x),    dy/dx = 4 / (e^x + e^-x)²

The second follows from the first by the quotient rule, and both are right.

Your task:

1. lamina check hyperbolic_tangent:Tanh --input 4,3
2. Which column objects? Work out numerator and denominator at x = 1000, as floating point has them.
3. The gradient at 1000 comes out right, in spite of an infinity on the way. Why does y not?
4. Mend `forward`. Hint: multiply above and below by e^-x where x > 0. And where x < 0?
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
