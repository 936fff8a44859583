"""The mean squared error, as printed in a report's table of losses.

The mathematics, as it is printed. For n predictions p and targets t the loss is

    L = 1/n Σ (p - t)²

and its gradient follows by the power rule, with an inner derivative of 1:

    dL/dp = 2 (p - t)

Your task:

1. lamina check mean_squared_error:MSE --input 4,3
2. Which columns object, and what number do they expect? How many times too large is ours?
3. Try --input 8,3. How does that factor change, and what does it depend on?
4. Mend `backward` until everything is proven.
"""

from lamina.layers import Loss


class MSE(Loss):
    """L = 1/n Σ (p - t)²."""

    def __init__(self, backend=None):
        super().__init__(backend=backend)

    def forward(self, prediction, target):
        """prediction, target: (N, C) -> ()."""
        b = self.backend
        difference = b.subtract(prediction, target)
        self.keep(difference)
        return b.mean(b.square(difference))

    def backward(self, grad_output=None):
        """dL/dp = 2 (p - t)."""
        (difference,) = self.kept(grad_output)
        return self.backend.multiply(difference, 2.0)
