"""ReLU with a backward pass that saves memory.

The mathematics, as it is printed. For y = max(0, x), with g = dL/dy,

    dL/dx = g where x > 0, else 0

which is g with some elements set to zero. No new tensor is needed: the zeros are written into g.

Your task:

1. lamina check rectifier:ReLU --input 4,3
2. All numbers are right: differences and graph do not object. Which column does?
3. lamina check rectifier:Block --input 4,3
   A residual block, y = x + ReLU(x): its gradient is g + (g where x > 0). The proof stops in its first run.
   Which op reads an overwritten tensor? What would the gradient be at x < 0?
4. Mend `backward` by removing a few characters.
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
