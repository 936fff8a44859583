"""Binary cross-entropy, from probabilities and from logits."""

from __future__ import annotations

import math

from typing_extensions import override

from ...backends import Backend, DataError, Tensor
from .loss import Loss

_LOG_FLOOR = -100.0
_VARIANCE_FLOOR = 9.999999960041972e-13  # 1e-12 in float32, which torch takes in every dtype


class BCELoss(Loss):
    """L = -w (t ln p + (1 - t) ln(1 - p)), each logarithm at least -100, as in torch.

    Parameters
    ----------
    weight
        A weight for each element: a tensor that broadcasts to the prediction, or None.
    reduction
        "mean", "sum" or "none".
    backend
        The backend that computes; the current one if None.

    """

    tensors = ("weight",)

    def __init__(
        self,
        weight: Tensor | None = None,
        reduction: str = "mean",
        *,
        backend: str | Backend | None = None,
    ) -> None:
        super().__init__(reduction, backend=backend)
        self.weight = weight

    @override
    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """prediction, target: (*) of equal shape, within [0, 1] -> () or, with "none", (*)."""
        self.check_pair(prediction, target)
        if self.weight is not None:
            self.check_weight("weight", self.weight, self.backend.shape(prediction))
        if self.checks_values():
            _check_unit(self.backend, "prediction", prediction)
            self.check_targets(tuple(self.backend.shape(prediction)), target)
        b = self.backend
        self.keep(prediction, target)
        log_p = b.maximum(b.log(prediction), _LOG_FLOOR)
        log_q = b.maximum(b.log1p(b.negative(prediction)), _LOG_FLOOR)
        gain = b.add(b.multiply(target, log_p), b.multiply(b.subtract(1.0, target), log_q))
        losses = b.negative(gain)
        return self.reduce(losses if self.weight is None else b.multiply(losses, self.weight))

    @override
    def backward(self, grad_output: Tensor | None = None) -> Tensor:
        """dL/dp = w (p - t) / (p (1 - p)) / n, the denominator at least 1e-12."""
        p, t = self.kept(grad_output)
        b = self.backend
        variance = b.maximum(b.multiply(p, b.subtract(1.0, p)), _VARIANCE_FLOOR)
        gradient = b.divide(b.subtract(p, t), variance)
        if self.weight is not None:
            gradient = b.multiply(gradient, self.weight)
        return self.scaled(gradient, grad_output, math.prod(b.shape(p)))

    @override
    def check_targets(self, prediction_shape: tuple[int, ...], target: Tensor) -> None:
        _check_unit(self.backend, "target", target)


class BCEWithLogitsLoss(Loss):
    """L = w ((1 - t) x + (1 + (v - 1) t) softplus(-x)): BCE of sigmoid(x) without overflow.

    Parameters
    ----------
    weight
        A weight w for each element: a tensor that broadcasts to the prediction, or None.
    reduction
        "mean", "sum" or "none".
    pos_weight
        A weight v for the positive targets of each class, a tensor that broadcasts, or None.
    backend
        The backend that computes; the current one if None.

    """

    tensors = ("weight", "pos_weight")

    def __init__(
        self,
        weight: Tensor | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
        *,
        backend: str | Backend | None = None,
    ) -> None:
        super().__init__(reduction, backend=backend)
        self.weight = weight
        self.pos_weight = pos_weight

    @override
    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """prediction (logits), target: (*) of equal shape -> () or, with "none", (*)."""
        self.check_pair(prediction, target)
        if self.weight is not None or self.pos_weight is not None:
            shape = self.backend.shape(prediction)
            self.check_weight("weight", self.weight, shape)
            self.check_weight("pos_weight", self.pos_weight, shape)
        if self.checks_values():
            self.check_targets(tuple(self.backend.shape(prediction)), target)
        b = self.backend
        self.keep(prediction, target)
        tail = b.softplus(b.negative(prediction))
        if self.pos_weight is not None:
            tail = b.multiply(tail, self._slope(target))
        losses = b.add(b.multiply(b.subtract(1.0, target), prediction), tail)
        return self.reduce(losses if self.weight is None else b.multiply(losses, self.weight))

    @override
    def backward(self, grad_output: Tensor | None = None) -> Tensor:
        """dL/dx = w ((1 + (v - 1) t) (sigmoid(x) - 1) + 1 - t) / n; w (sigmoid(x) - t) / n where v = 1."""
        x, t = self.kept(grad_output)
        b = self.backend
        sigmoid = b.sigmoid(x)
        if self.pos_weight is None:
            gradient = b.subtract(sigmoid, t)
        else:
            fall = b.multiply(self._slope(t), b.subtract(sigmoid, 1.0))
            gradient = b.add(fall, b.subtract(1.0, t))
        if self.weight is not None:
            gradient = b.multiply(gradient, self.weight)
        return self.scaled(gradient, grad_output, math.prod(b.shape(x)))

    @override
    def check_targets(self, prediction_shape: tuple[int, ...], target: Tensor) -> None:
        _check_unit(self.backend, "target", target)

    def _slope(self, target: Tensor) -> Tensor:
        b = self.backend
        assert self.pos_weight is not None
        return b.add(b.multiply(b.subtract(self.pos_weight, 1.0), target), 1.0)


def _check_unit(b: Backend, what: str, x: Tensor) -> None:
    """Raise DataError unless all of x is within [0, 1]; NaN passes, and shows in the loss."""
    if 0 in b.shape(x):
        return
    low, high = -b.item(b.max(b.negative(x))), b.item(b.max(x))
    if low < 0.0 or high > 1.0:
        raise DataError(f"expected every {what} within [0, 1], got {low if low < 0.0 else high}")
