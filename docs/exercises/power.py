"""A power of x, with a derivative that has been tried on the parabola, and on nothing else.

The mathematics, as its reader would believe it. For y = x^p the exponent comes down:

    y = x²:  dy/dx = 2 x        so, for any p:    dL/dx = g p x,    g = dL/dy

Every loss in the report is a sum of squares, and every network there trains.

Your task:

1. lamina check power:Power --arguments 2 --input 4,3
2. lamina check power:Power --arguments 3 --input 4,3
3. The first is proven, the second is not. At which x are ours and the expected number the same, nevertheless?
4. Mend `backward` and try 2, 3 and 4. What would a test with p = 2 alone have said, before and after?
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
