"""`MeanErrorLoss`: the loss that Félisaz et al. minimise."""

from __future__ import annotations

from typing_extensions import override

from ....backends import Tensor
from ....layers.losses import Loss


class MeanErrorLoss(Loss):
    """L = N Σ_k ē_k², where ē is the mean error p - t over a batch of N samples.

    For one sample this is its squared error. In a batch, errors of opposite sign cancel before they are
    squared: the larger the batch, the weaker the signal.
    """

    reductions = ("sum",)

    @override
    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """prediction, target: (N, K) -> ()."""
        shape = self.check_pair(prediction, target)
        b, samples = self.backend, float(shape[0])
        error = b.multiply(b.sum(b.subtract(prediction, target), axis=0, keepdims=True), 1.0 / samples)
        self.keep(error, shape)
        return b.multiply(b.sum(b.square(error)), samples)

    @override
    def backward(self, grad_output: Tensor | None = None) -> Tensor:
        """dL/dp = 2 ē, the same for every sample."""
        error, shape = self.kept(grad_output)
        return self.backend.broadcast_to(self.backend.multiply(error, 2.0), shape)
