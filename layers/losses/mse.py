"""Mean squared error, in the conventions of torch and the papers."""

from __future__ import annotations

import math

from typing_extensions import override

from ...backends import Tensor
from ...backends.protocol import Shape
from .loss import REDUCTIONS, Loss


class MSELoss(Loss):
    """L = Σ (p - t)² / n.

    Parameters
    ----------
    reduction
        Sets n: "mean", the number of elements (torch); "sum", 1; "batchmean", the number of samples
        (Boschin's sum of squared norms over N); "half_batchmean", twice that (Carlier). "none": no sum.
    backend
        The backend that computes; the current one if None.

    """

    reductions: tuple[str, ...] = (*REDUCTIONS, "batchmean", "half_batchmean")

    @override
    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """prediction, target: (N, ...) of equal shape -> () or, with "none", (N, ...)."""
        divisor = self._divisor(self.check_pair(prediction, target))
        b = self.backend
        difference = b.subtract(prediction, target)
        self.keep(difference, divisor)
        losses = b.square(difference)
        if self.reduction == "mean":
            return b.mean(losses)
        if self.reduction == "none":
            return losses
        total = b.sum(losses)
        return total if self.reduction == "sum" else b.multiply(total, 1.0 / divisor)

    @override
    def backward(self, grad_output: Tensor | None = None) -> Tensor:
        """dL/dp = 2 (p - t) / n."""
        difference, divisor = self.kept(grad_output)
        gradient = self.backend.multiply(difference, 2.0 / divisor)
        return gradient if grad_output is None else self.scaled(gradient, grad_output, 1)

    def _divisor(self, shape: Shape) -> float:
        if self.reduction == "mean":
            return float(math.prod(shape))
        samples = float(shape[0]) if shape else 1.0
        return {"batchmean": samples, "half_batchmean": 2.0 * samples}.get(self.reduction, 1.0)
