"""`ElementwiseLoss`: a loss that is reduced from weighted elements."""

from __future__ import annotations

import math

from typing_extensions import override

from ...backends import DtypeError, ShapeError, Tensor
from ...backends.protocol import Shape
from .loss import Loss

Total = Tensor | float


class ElementwiseLoss(Loss):
    """Base of the losses here: `elements` is what they define, beside `backward`."""

    per_element = True
    """Whether the mean of losses without weights is over their elements."""

    def elements(self, prediction: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Total]:
        """Return losses that sum to the numerator, and the denominator; keep what `backward` needs.

        With "none", there is one loss for each element. weight: (N,) or (N, ...), unchecked.
        """
        raise TypeError(f"{type(self).__name__} must define elements(prediction, target, weight)")

    @override
    def forward(self, prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """prediction, target: see the class; weight: (N,) or (N, ...) -> () or, with "none", (N, ...)."""
        losses, total = self.elements(prediction, target, weight)
        if self.reduction == "none":
            return losses
        if self.reduction == "mean" and type(total) is float and self.per_element:
            return self.backend.mean(losses)
        value = self.backend.sum(losses)
        return value if self.reduction == "sum" else self.backend.divide(value, total)

    @override
    def terms(
        self, prediction: Tensor, target: Tensor, weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        b = self.backend
        losses, total = self.elements(prediction, target, weight)
        if type(total) is float:
            total = self.constant(total, b.dtype(losses))
        return b.sum(losses), total  # type: ignore[return-value]  # mypy cannot tell a handle from a float

    # -- for the losses' own use ---------------------------------------------------------------------

    def spread(self, weight: Tensor, losses: Shape, dtype: str) -> Tensor:
        """Return the samples' weights with as many axes as the losses (N, ...) have.

        Raises ShapeError or DtypeError unless they have the losses' dtype and first axes.
        """
        b = self.backend
        got = b.shape(weight)
        if len(got) > len(losses) or got != losses[: len(got)] or (losses and not got):
            raise ShapeError(
                f"expected weight to be (N,) or (N, ...), with the first axes of the losses {tuple(losses)}, "
                f"got {tuple(got)}"
            )
        if b.dtype(weight) != dtype:
            raise DtypeError(f"expected weight of dtype {dtype}, as the prediction, got {b.dtype(weight)}")
        return b.reshape(weight, (*got, *(1,) * (len(losses) - len(got))))

    def selected(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return x, but 0 where the weight is 0: 0 times infinity would be NaN."""
        return self.backend.where(self.backend.equal(weight, 0.0), 0.0, x)

    def size(self, losses: Shape, weight: Tensor | None) -> Total:
        """Return the denominator for losses (N, ...): elements, samples or twice these, each weighted."""
        if self.reduction in ("mean", "none"):
            number = float(math.prod(losses))
        else:
            number = float(losses[0]) if losses else 1.0
            number *= 2.0 if self.reduction == "half_batchmean" else 1.0
        return number if weight is None else self.counted(number, weight, "")

    def share(self, gradient: Tensor, total: Total, grad_output: Tensor | None) -> Tensor:
        """Return the gradient of the losses times the derivative of the reduction."""
        b = self.backend
        if self.reduction in ("sum", "none"):
            return self.scaled(gradient, grad_output, 1.0)
        if type(total) is float:
            return b.multiply(gradient, 1.0 / total)
        # Where nothing counts, total and gradient are 0, and so is the result.
        nothing = b.astype(b.equal(total, 0.0), b.dtype(gradient))
        return b.divide(gradient, b.add(total, nothing))
