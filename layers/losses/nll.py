"""Negative log-likelihood of classes, and cross-entropy: the same loss of logits."""

from __future__ import annotations

import math
from typing import cast

from typing_extensions import override

from ...backends import Backend, DataError, DtypeError, OptionError, ShapeError, Tensor
from ...backends.options import integer, number
from ..parameter import check_same_shape
from .loss import Loss

_TINY = 1e-37


class NLLLoss(Loss):
    """L = -Σ w_t log p_t / Σ w_t over samples with label t, from log-probabilities.

    Parameters
    ----------
    weight
        A weight for each class (C,): a tensor of the prediction's dtype, or None.
    ignore_index
        Samples with this label do not count.
    reduction
        "mean" (divides by the summed weights), "sum" or "none".
    backend
        The backend that computes; the current one if None.

    """

    label_smoothing = 0.0
    tensors = ("weight",)

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        *,
        backend: str | Backend | None = None,
    ) -> None:
        super().__init__(reduction, backend=backend)
        self.weight = weight
        self.ignore_index = integer(type(self).__name__, "ignore_index", ignore_index, least=None)

    @override
    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """prediction (log-probabilities): (N, C, ...), target (int64 labels): (N, ...) -> () or (N, ...)."""
        u, total = self._weighted_targets(prediction, target)
        self.keep(u, total)
        return self._loss(prediction, u, total)

    @override
    def backward(self, grad_output: Tensor | None = None) -> Tensor:
        """dL/dlog p = -u / Σ w, where u (N, C, ...) is w_t at the label and 0 elsewhere."""
        u, total = self.kept(grad_output)
        return self._share(self.backend.negative(u), total, grad_output)

    @override
    def check_targets(self, prediction_shape: tuple[int, ...], target: Tensor) -> None:
        b = self.backend
        classes = prediction_shape[1]
        if b.dtype(target) != "int64" or 0 in b.shape(target):
            return
        counted = b.logical_not(b.equal(target, self.ignore_index))
        # Ignored labels are treated as class 0 here.
        labels = b.where(counted, target, 0)
        low, high = -b.item(b.max(b.negative(labels))), b.item(b.max(labels))
        if low < 0 or high >= classes:
            raise DataError(
                f"expected labels to be class numbers from 0 to {classes - 1}, got {low if low < 0 else high}"
            )

    # -- shared with cross-entropy --------------------------------------------------------------------

    def _weighted_targets(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor | float]:
        """Return u (N, C, ...), class weights times target probabilities, and the divisor of "mean"."""
        b = self.backend
        shape, labels = b.shape(prediction), b.shape(target)
        if len(shape) < 2 or tuple(labels) != (shape[0], *shape[2:]):
            raise ShapeError(
                "expected a prediction (N, C, ...) and labels (N, ...), "
                f"got {tuple(shape)} and {tuple(labels)}"
            )
        if b.dtype(target) != "int64":
            raise DtypeError(f"expected int64 labels, got {b.dtype(target)}; labels are class numbers")
        if self.checks_values():
            self.check_targets(tuple(shape), target)
        if self.reduction == "mean" and math.prod(labels) == 0:
            raise ShapeError(f"the mean over an empty batch is undefined: prediction {tuple(shape)}")
        # u = w q weights each log-probability. It holds labels, smoothing, class weights and ignored samples,
        # so the loss is -Σ u log p / total, and the gradient follows from u alone.
        classes, dtype = shape[1], b.dtype(prediction)
        rank = len(shape)
        to_second = (0, rank - 1, *range(1, rank - 1))
        if 0 <= self.ignore_index < classes:
            # The one-hot row of a label below 0 is all zeros, as an ignored label needs.
            target = b.where(b.equal(target, self.ignore_index), -1, target)
        hot = b.permute_dims(b.one_hot(target, classes, dtype=dtype), to_second)
        weight = self._class_weights(classes, rank)
        u = hot if weight is None else b.multiply(hot, weight)
        total = b.sum(u) if self.reduction == "mean" else 1.0
        if self.label_smoothing:
            even = self.label_smoothing / classes
            counted = b.sum(hot, axis=1, keepdims=True)
            u = b.add(b.multiply(hot, 1.0 - self.label_smoothing), b.multiply(counted, even))
            u = u if weight is None else b.multiply(u, weight)
        return u, total

    def _class_weights(self, classes: int, rank: int) -> Tensor | None:
        if self.weight is None:
            return None
        b = self.backend
        if b.shape(self.weight) != (classes,):
            raise OptionError(
                f"expected weight to have shape ({classes},), got {tuple(b.shape(self.weight))}"
            )
        return b.reshape(self.weight, (1, classes, *(1,) * (rank - 2)))

    def _loss(self, log_p: Tensor, u: Tensor, total: Tensor | float) -> Tensor:
        b = self.backend
        # 0 log 0 is 0: an impossible class that is not the label adds nothing.
        gain = b.multiply(u, b.where(b.equal(u, 0.0), 0.0, log_p))
        losses = b.negative(b.sum(gain, axis=1))
        if self.reduction == "none":
            return losses
        return b.divide(b.sum(losses), total) if self.reduction == "mean" else b.sum(losses)

    def _share(self, gradient: Tensor, total: Tensor | float, grad_output: Tensor | None) -> Tensor:
        b = self.backend
        if grad_output is not None:
            shape, own = b.shape(grad_output), b.shape(gradient)
            check_same_shape(f"{self}: backward", (own[0], *own[2:]), shape)
            return b.multiply(gradient, b.reshape(grad_output, (shape[0], 1, *shape[1:])))
        if self.reduction != "mean":
            return gradient
        # If all labels are ignored, total and gradient are 0, and the result is 0.
        return b.divide(gradient, total if type(total) is float else b.maximum(cast(Tensor, total), _TINY))


class CrossEntropyLoss(NLLLoss):
    """L = -Σ_c w_c q_c log softmax(x)_c, q the target distribution: log-softmax and NLL in one.

    Parameters
    ----------
    weight
        A weight for each class (C,): a tensor of the prediction's dtype, or None.
    ignore_index
        Samples with this label do not count.
    reduction
        "mean" (divides by the summed weights of the labels), "sum" or "none".
    label_smoothing
        ε: q is 1 - ε at the label and ε / C added everywhere (Szegedy et al. 2016, section 7).
    backend
        The backend that computes; the current one if None.

    """

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        *,
        backend: str | Backend | None = None,
    ) -> None:
        super().__init__(weight, ignore_index, reduction, backend=backend)
        self.label_smoothing = number("CrossEntropyLoss", "label_smoothing", label_smoothing, least=0, most=1)

    @override
    def extra_repr(self) -> str:
        return f"label_smoothing={self.label_smoothing}" if self.label_smoothing else ""

    @override
    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """prediction (logits): (N, C, ...); target: labels (N, ...), or probabilities (N, C, ...)."""
        b = self.backend
        if b.shape(target) == b.shape(prediction) and b.dtype(target) != "int64":
            u, total = self._probable_targets(prediction, target)
        else:
            u, total = self._weighted_targets(prediction, target)
        log_p = b.log_softmax(prediction, axis=1)
        self.keep(u, total, log_p)
        return self._loss(log_p, u, total)

    @override
    def backward(self, grad_output: Tensor | None = None) -> Tensor:
        """dL/dx = (softmax(x) Σ_c u_c - u) / Σ w, where u = w q: (N, C, ...)."""
        u, total, log_p = self.kept(grad_output)
        gradient = self.backend.log_softmax_grad(self.backend.negative(u), log_p, axis=1)
        return self._share(gradient, total, grad_output)

    def _probable_targets(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor | float]:
        self.check_pair(prediction, target)
        b = self.backend
        shape = b.shape(prediction)
        if len(shape) < 2:
            raise ShapeError(f"expected a prediction (N, C, ...), got {tuple(shape)}")
        classes = shape[1]
        q = b.add(b.multiply(target, 1.0 - self.label_smoothing), self.label_smoothing / classes)
        weight = self._class_weights(classes, len(shape))
        samples = float(math.prod(shape) // classes)
        return (q if weight is None else b.multiply(q, weight)), samples
