"""Negative log-likelihood of classes, and cross-entropy: the same loss of logits."""

from __future__ import annotations

import math

from typing_extensions import override

from ...backends import Backend, DataError, DtypeError, OptionError, ShapeError, Tensor
from ...backends.options import integer, number
from ..parameter import check_same_shape
from .elementwise import ElementwiseLoss, Total

NO_LABEL = -100
"""The default of `ignore_index`."""


class NLLLoss(ElementwiseLoss):
    """L = -Σ w_t log p_t / Σ w_t over samples with label t, from log-probabilities.

    Prediction (log-probabilities): (N, C, ...); target: int64 labels (N, ...).

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
    per_element = False
    tensors = ("weight",)

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = NO_LABEL,
        reduction: str = "mean",
        *,
        backend: str | Backend | None = None,
    ) -> None:
        super().__init__(reduction, backend=backend)
        self.weight = weight
        self.ignore_index = integer(type(self).__name__, "ignore_index", ignore_index, least=None)

    @override
    def elements(self, prediction: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Total]:
        self._check_labels(prediction, target)
        n, total = self._weighted_labels(prediction, target, self._by_class(prediction, weight))
        self.keep(n, total, self.weight is None and weight is None)
        return self._losses(prediction, n), total

    @override
    def backward(self, grad_output: Tensor | None = None) -> Tensor:
        """dL/dlog p = n / Σ w, where n (N, C, ...) is -w_t at the label and 0 elsewhere."""
        n, total, counts = self.kept(grad_output)
        return self._share(n, total, counts, grad_output)

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

    def _check_labels(self, prediction: Tensor, target: Tensor) -> None:
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

    def _weighted_labels(
        self, prediction: Tensor, target: Tensor, samples: Tensor | None
    ) -> tuple[Tensor, Total]:
        """Return n (N, C, ...), minus the weight of each log-probability, and the denominator.

        n holds labels, smoothing, class weights, samples' weights and ignored samples, so the numerator is
        Σ n log p, and the gradient follows from n alone.
        """
        b = self.backend
        shape = b.shape(prediction)
        classes, rank = shape[1], len(shape)
        if 0 <= self.ignore_index < classes:
            # The one-hot row of a label below 0 is all zeros, as an ignored label needs.
            target = b.where(b.equal(target, self.ignore_index), -1, target)
        hot = b.one_hot(target, classes, dtype=b.dtype(prediction))
        hot = hot if rank == 2 else b.permute_dims(hot, (0, rank - 1, *range(1, rank - 1)))
        hot = hot if samples is None else b.multiply(hot, samples)
        weight = self._class_weights(classes, rank)
        u = hot if weight is None else b.multiply(hot, weight)
        if self.reduction == "sum":
            places = math.prod(shape) // max(classes * shape[0], 1)
            total = b.multiply(b.sum(hot), 1.0 / max(places, 1))
        else:
            total = b.sum(u)
        if self.label_smoothing:
            even = self.label_smoothing / classes
            counted = b.sum(hot, axis=1, keepdims=True)
            u = b.add(b.multiply(hot, 1.0 - self.label_smoothing), b.multiply(counted, even))
            u = u if weight is None else b.multiply(u, weight)
        return b.negative(u), total

    def _class_weights(self, classes: int, rank: int) -> Tensor | None:
        if self.weight is None:
            return None
        b = self.backend
        if b.shape(self.weight) != (classes,):
            raise OptionError(
                f"expected weight to have shape ({classes},), got {tuple(b.shape(self.weight))}"
            )
        return b.reshape(self.weight, (1, classes, *(1,) * (rank - 2)))

    def _by_class(self, prediction: Tensor, weight: Tensor | None) -> Tensor | None:
        """Return the samples' weights with an axis for the classes: (N, 1, ...)."""
        if weight is None:
            return None
        b = self.backend
        first, _, *rest = b.shape(prediction)
        spread = self.spread(weight, (first, *rest), b.dtype(prediction))
        length, *places = b.shape(spread)
        return b.reshape(spread, (length, 1, *places))

    def _share(self, gradient: Tensor, total: Total, counts: bool, grad_output: Tensor | None) -> Tensor:
        """Return the gradient of a loss with total (a count of labels if `counts`), reduced."""
        b = self.backend
        if grad_output is None:
            if counts and type(total) is not float and self.reduction == "mean":
                return b.divide(gradient, b.maximum(total, 1.0))  # of all counts, this alters 0 alone
            return self.share(gradient, total, None)
        shape, own = b.shape(grad_output), b.shape(gradient)
        check_same_shape(f"{self}: backward", (own[0], *own[2:]), shape)
        return b.multiply(gradient, b.reshape(grad_output, (shape[0], 1, *shape[1:])))

    def _losses(self, log_p: Tensor, n: Tensor) -> Tensor:
        b = self.backend
        # 0 log 0 is 0: an impossible class that is not the label adds nothing.
        losses = b.multiply(n, b.where(b.equal(n, 0.0), 0.0, log_p))
        return b.sum(losses, axis=1) if self.reduction == "none" else losses


class CrossEntropyLoss(NLLLoss):
    """L = -Σ_c w_c q_c log softmax(x)_c, q the target distribution: log-softmax and NLL in one.

    Prediction (logits): (N, C, ...); target: int64 labels (N, ...), or probabilities (N, C, ...).

    Parameters
    ----------
    weight
        A weight for each class (C,): a tensor of the prediction's dtype, or None.
    ignore_index
        Samples with this label do not count. Probabilities go with the default only.
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
        ignore_index: int = NO_LABEL,
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
    def elements(self, prediction: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Total]:
        b = self.backend
        if b.shape(target) == b.shape(prediction) and b.dtype(target) != "int64":
            self._check_probabilities(prediction, target)
            samples = self._by_class(prediction, weight)
            if samples is not None:
                prediction, target = self.selected(prediction, samples), self.selected(target, samples)
            n, total = self._weighted_probabilities(prediction, target, samples)
        else:
            self._check_labels(prediction, target)
            samples = self._by_class(prediction, weight)
            prediction = self._counted(prediction, target, samples)
            n, total = self._weighted_labels(prediction, target, samples)
        log_p = b.log_softmax(prediction, axis=1)
        self.keep(n, total, log_p, self.weight is None and weight is None)
        return self._losses(log_p, n), total

    @override
    def backward(self, grad_output: Tensor | None = None) -> Tensor:
        """dL/dx = (n - softmax(x) Σ_c n_c) / Σ w, where n = -w q: (N, C, ...)."""
        n, total, log_p, counts = self.kept(grad_output)
        gradient = self.backend.log_softmax_grad(n, log_p, axis=1)
        return self._share(gradient, total, counts, grad_output)

    def _counted(self, prediction: Tensor, target: Tensor, samples: Tensor | None) -> Tensor:
        """Return the logits, 0 where a sample does not count: softmax may be NaN there."""
        b = self.backend
        first, _, *rest = b.shape(prediction)
        ignored = b.reshape(b.equal(target, self.ignore_index), (first, 1, *rest))
        prediction = b.where(ignored, 0.0, prediction)
        return prediction if samples is None else self.selected(prediction, samples)

    def _check_probabilities(self, prediction: Tensor, target: Tensor) -> None:
        shape = self.check_pair(prediction, target)
        if len(shape) < 2:
            raise ShapeError(f"expected a prediction (N, C, ...), got {tuple(shape)}")
        if self.ignore_index != NO_LABEL:
            raise OptionError(
                f"expected labels (N, ...) with ignore_index={self.ignore_index}, got probabilities "
                f"{tuple(shape)}; give samples that do not count the weight 0"
            )

    def _weighted_probabilities(
        self, prediction: Tensor, target: Tensor, samples: Tensor | None
    ) -> tuple[Tensor, Total]:
        b = self.backend
        first, classes, *rest = b.shape(prediction)
        u = b.add(b.multiply(target, 1.0 - self.label_smoothing), self.label_smoothing / classes)
        weight = self._class_weights(classes, 2 + len(rest))
        u = u if weight is None else b.multiply(u, weight)
        u = u if samples is None else b.multiply(u, samples)
        return b.negative(u), self.size((first, *rest), samples)
