"""Binary cross-entropy, as printed in a report's table of losses (with the mean written out).

The mathematics, as it is printed. For n probabilities p and targets t from 0 to 1,

    L = -1/n Σ (t ln p + (1 - t) ln(1 - p)),    dL/dp = 1/n (p - t) / (p - p²)

The derivative is the sum of -t/p and (1 - t)/(1 - p) over a common denominator.

Your task:

1. lamina check cross_entropy:BCE --input 4,3 --target one-hot
2. Which column objects, and for which predictions? These are correct and certain: what should L be there?
3. When is a sigmoid in float32 exactly 1? (Try x = 17.) How long must training run to get there?
4. Mend the loss: finite there, and practically unchanged elsewhere. (Look up what torch does.)
"""

import math

from lamina.layers import Loss


class BCE(Loss):
    """L = -1/n Σ (t ln p + (1 - t) ln(1 - p))."""

    def __init__(self, backend=None):
        super().__init__(backend=backend)

    def forward(self, prediction, target):
        """prediction, target: (N, C), within [0, 1] -> ()."""
        b, p = self.backend, prediction
        self.keep(p, target)
        yes = b.multiply(target, b.log(p))
        no = b.multiply(b.subtract(1.0, target), b.log(b.subtract(1.0, p)))
        return b.negative(b.mean(b.add(yes, no)))

    def backward(self, grad_output=None):
        """dL/dp = 1/n (p - t) / (p - p²)."""
        b, (p, t) = self.backend, self.kept(grad_output)
        slope = b.divide(b.subtract(p, t), b.subtract(p, b.square(p)))
        return b.multiply(slope, 1.0 / math.prod(b.shape(p)))
