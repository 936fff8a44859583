"""ReLU, whose backward pass saves memory.

The mathematics, as its reader would believe it. For y = max(0, x), with g = dL/dy,

    dL/dx = g where x > 0, else 0

which is g with some elements set to zero. So no new tensor is needed: the zeros go where g is.

Your task:

1. lamina check rectifier:ReLU --input 4,3
2. The numbers are all right: differences and graph do not object. What does?
3. lamina check rectifier:Block --input 4,3
   A residual block, y = x + ReLU(x): its gradient is g + (g where x > 0). Which columns object now, and at
   which elements is the gradient wrong? Who else wanted g?
4. Mend `backward`. It takes the removal of a few characters.
"""

from lamina.layers import Module, Residual


class ReLU(Module):
    """y = max(0, x)."""

    def forward(self, x):
        """x: (*) -> (*)."""
        y = self.backend.relu(x)
        self.keep(y)
        return y

    def backward(self, grad_output):
        """dL/dx = g where y > 0, else 0."""
        b, (y,) = self.backend, self.kept()
        passes = b.sign(y)  # 1 where y > 0, else 0
        return b.multiply(grad_output, passes, out=grad_output)


class Block(Residual):
    """y = x + ReLU(x)."""

    def __init__(self, backend=None):
        super().__init__(ReLU(backend), backend=backend)
