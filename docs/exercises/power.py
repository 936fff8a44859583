"""A power of x, with a derivative that was only tested on the parabola.

The mathematics, as it is printed. For y = x^p the exponent becomes a factor:

    y = x²:  dy/dx = 2 x        so, for any p:    dL/dx = g p x,    g = dL/dy

Every loss in the report is a sum of squares, and every network trains.

Your task:

1. lamina check power:Power --arguments 2 --input 4,3
2. lamina check power:Power --arguments 3 --input 4,3
3. The first is proven, the second is not. At which x is the gradient right nevertheless?
4. Mend `backward` and try 2, 3 and 4. What would a test with p = 2 alone have shown before and after?
"""

from lamina.layers import Module


class Power(Module):
    """y = x^p, for a whole number p."""

    def __init__(self, p=2, backend=None):
        super().__init__(backend)
        self.p = p

    def forward(self, x):
        """x: (*) -> (*)."""
        self.keep(x)
        return self.backend.pow(x, float(self.p))

    def backward(self, grad_output):
        """dL/dx = g p x."""
        b, (x,) = self.backend, self.kept()
        return b.multiply(grad_output, b.multiply(x, float(self.p)))
