"""The loss whose gradient Félisaz et al. descend."""

from __future__ import annotations

from ....backends import Tensor
from ....layers.losses import MSELoss


class MeanErrorLoss(MSELoss):
    """L = N Σ_k ē_k², ē the mean over a batch of N errors p - t: of one sample, its squared norm.

    Errors of opposite sign cancel before they are squared, so that a batch says the less the larger it is.
    """

    reductions = ("sum",)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """prediction, target: (N, K) -> ()."""
        shape = self.check_pair(prediction, target)
        b, samples = self.backend, float(shape[0])
        error = b.multiply(b.sum(b.subtract(prediction, target), axis=0, keepdims=True), 1.0 / samples)
        self.keep(error, shape)
        return b.multiply(b.sum(b.square(error)), samples)

    def backward(self, grad_output: Tensor | None = None) -> Tensor:
        """dL/dp = 2 ē for every sample."""
        error, shape = self.kept(grad_output)
        return self.backend.broadcast_to(self.backend.multiply(error, 2.0), shape)
