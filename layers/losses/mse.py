"""Mean squared error, in the conventions of torch and the papers."""

from __future__ import annotations

from typing_extensions import override

from ...backends import Tensor
from .elementwise import ElementwiseLoss, Total
from .loss import REDUCTIONS


class MSELoss(ElementwiseLoss):
    """L = Σ w (p - t)² / n; w, the weight of a sample, is 1 unless a call gives it.

    Prediction and target: (N, ...) of equal shape.

    Parameters
    ----------
    reduction
        Sets n: "mean", the number of elements (torch); "sum", 1; "batchmean", the number of samples
        (Boschin's sum of squared norms over N); "half_batchmean", twice that (Carlier). "none": no sum.
        Elements and samples count with their weight.
    backend
        The backend that computes; the current one if None.

    """

    reductions: tuple[str, ...] = (*REDUCTIONS, "batchmean", "half_batchmean")

    @override
    def elements(self, prediction: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Total]:
        shape, b = self.check_pair(prediction, target), self.backend
        difference = b.subtract(prediction, target)
        if weight is None:
            total = self.size(shape, None)
            self.keep(difference, None, total)
            return b.square(difference), total
        weight = self.spread(weight, shape, b.dtype(prediction))
        difference, total = self.selected(difference, weight), self.size(shape, weight)
        self.keep(difference, weight, total)
        return b.multiply(b.square(difference), weight), total

    @override
    def backward(self, grad_output: Tensor | None = None) -> Tensor:
        """dL/dp = 2 w (p - t) / n."""
        difference, weight, total = self.kept(grad_output)
        b = self.backend
        if weight is not None:
            return self.share(b.multiply(b.multiply(difference, 2.0), weight), total, grad_output)
        if self.reduction in ("sum", "none"):
            return self.share(b.multiply(difference, 2.0), total, grad_output)
        return b.multiply(difference, 2.0 / total)
