"""Negative log-likelihood of classes, and cross-entropy: the same loss of logits."""

from __future__ import annotations

import math
from typing import NamedTuple

from typing_extensions import override

from ...backends import Backend, DataError, DtypeError, OptionError, ShapeError, Tensor
from ...backends.host import is_floating
from ...backends.options import integer, number
from ..parameter import check_same_shape
from .elementwise import ElementwiseLoss, Total

NO_LABEL = -100
"""The default of `ignore_index`."""


class Labels(NamedTuple):
    """The labels of a batch and their weights, with an axis of extent 1 for the classes: (N, 1, ...)."""

    column: Tensor
    """The labels, int64; 0 where a sample is ignored."""
    ignored: Tensor
    """Where a label is `ignore_index`."""
    weight: Tensor
    """The weight of the label's -log p; 0 where a sample does not count."""
    silent: Tensor
    """Where that weight is 0: `ignored` itself if the other weights are all 1."""
    even: Tensor | None
    """What smoothing adds to the weight of every class, (N, 1, ...) or (N, C, ...)."""
    total: Tensor
    """The denominator, ()."""


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
        self.weight = self.weights("weight", weight)
        if weight is not None and len(shape := self.backend.shape(weight)) != 1:
            raise ShapeError(f"{type(self).__name__}: expected weight to have shape (C,), got {tuple(shape)}")
        self.ignore_index = integer(type(self).__name__, "ignore_index", ignore_index, least=-(2**63))

    @override
    def elements(self, prediction: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Total]:
        self._check_labels(prediction, target)
        labels = self._labels(prediction, target, self._by_class(prediction, weight))
        losses = self._losses(prediction, target, labels)
        self.keep(labels, prediction, self.weight is None and weight is None)
        return losses, labels.total

    @override
    def backward(self, grad_output: Tensor | None = None) -> Tensor:
        """dL/dlog p = -w_t / Σ w at the label and 0 elsewhere: (N, C, ...)."""
        labels, prediction, counts = self.kept(grad_output)
        b = self.backend
        share = self._share(labels.weight, labels.total, counts, grad_output)
        zeros = b.full(b.shape(prediction), 0.0, dtype=b.dtype(prediction))
        return b.scatter_add(zeros, labels.column, b.negative(share), axis=1, out=zeros)

    @override
    def check_targets(self, prediction_shape: tuple[int, ...], target: Tensor) -> None:
        b = self.backend
        classes = prediction_shape[1]
        if b.dtype(target) != "int64" or 0 in b.shape(target):
            return
        counted = b.logical_not(b.equal(target, self.ignore_index))
        # Ignored labels are treated as class 0 here.
        labels = b.where(counted, target, 0)
        # -2**63 has no opposite.
        opposite = b.negative(b.maximum(labels, 1 - 2**63))
        low, high = -b.item(b.max(opposite)), b.item(b.max(labels))
        if low < 0 or high >= classes:
            raise DataError(
                f"expected labels to be class numbers from 0 to {classes - 1}, got {low if low < 0 else high}"
            )

    @override
    def checks_late(self) -> bool:
        return False  # a label out of range cannot be gathered

    # -- shared with cross-entropy --------------------------------------------------------------------

    def _check_labels(self, prediction: Tensor, target: Tensor) -> None:
        b = self.backend
        shape, labels = b.shape(prediction), b.shape(target)
        if len(shape) < 2 or tuple(labels) != (shape[0], *shape[2:]):
            raise ShapeError(
                "expected a prediction (N, C, ...) and labels (N, ...), "
                f"got {tuple(shape)} and {tuple(labels)}"
            )
        if not is_floating(dtype := b.dtype(prediction)):
            raise DtypeError(f"expected a floating prediction, got {dtype}; convert it with astype")
        if b.dtype(target) != "int64":
            raise DtypeError(f"expected int64 labels, got {b.dtype(target)}; labels are class numbers")
        if b.device != "cpu" and self.checks_values():  # on a CPU, `_losses` finds a wrong label
            self.check_targets(tuple(shape), target)
        if self.reduction == "mean" and math.prod(labels) == 0:
            raise ShapeError(f"expected at least one label for the mean, got prediction {tuple(shape)}")

    def _labels(self, prediction: Tensor, target: Tensor, samples: Tensor | None) -> Labels:
        """Return the labels and their weights: of classes, of samples (N, 1, ...), and of smoothing."""
        b = self.backend
        first, classes, *rest = b.shape(prediction)
        column = b.reshape(target, (first, 1, *rest))
        ignored = b.equal(column, self.ignore_index)
        column = b.where(ignored, 0, column)
        counted = b.astype(b.logical_not(ignored), b.dtype(prediction))
        counted = counted if samples is None else b.multiply(counted, samples)
        weight, of_classes = counted, self._class_weights(classes, 2 + len(rest))
        if of_classes is not None:
            try:
                of_labels = b.take(b.reshape(of_classes, (classes,)), b.reshape(column, (-1,)), axis=0)
            except DataError:
                self.check_targets((first, classes, *rest), target)  # as in `_losses`
                raise
            weight = b.multiply(counted, b.reshape(of_labels, (first, 1, *rest)))
        total = b.sum(weight)
        if self.reduction == "sum":
            total = b.multiply(b.sum(counted), 1.0 / max(math.prod(rest), 1))
        even = None
        if self.label_smoothing:
            even = b.multiply(counted, self.label_smoothing / classes)
            even = even if of_classes is None else b.multiply(even, of_classes)
            weight = b.multiply(weight, 1.0 - self.label_smoothing)
        plain = weight is counted and samples is None
        return Labels(column, ignored, weight, ignored if plain else b.equal(weight, 0.0), even, total)

    def _losses(self, log_p: Tensor, target: Tensor, labels: Labels) -> Tensor:
        """Return the samples' losses (N, 1, ...), or (N, ...) with "none"."""
        b = self.backend
        try:
            picked = b.take_along_axis(log_p, labels.column, axis=1)
        except DataError:
            self.check_targets(tuple(b.shape(log_p)), target)  # says it in the words of labels
            raise
        # 0 log 0 is 0: an impossible class without weight adds nothing.
        losses = b.where(labels.silent, 0.0, b.multiply(b.negative(picked), labels.weight))
        if labels.even is not None:
            possible = b.where(b.equal(labels.even, 0.0), 0.0, log_p)
            losses = b.subtract(losses, b.sum(b.multiply(labels.even, possible), axis=1, keepdims=True))
        return b.reshape(losses, b.shape(target)) if self.reduction == "none" else losses

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
        counts = self.weight is None and weight is None
        if b.shape(target) == b.shape(prediction) and b.dtype(target) != "int64":
            return self._of_probabilities(prediction, target, weight, counts)
        self._check_labels(prediction, target)
        samples = self._by_class(prediction, weight)
        labels = self._labels(prediction, target, samples)
        log_p = b.log_softmax(prediction, axis=1)
        losses = self._losses(log_p, target, labels)
        self.keep(labels, log_p, counts)
        return losses, labels.total

    @override
    def backward(self, grad_output: Tensor | None = None) -> Tensor:
        """dL/dx = (softmax(x) Σ_c w_c q_c - w q) / Σ w: (N, C, ...)."""
        labels, log_p, counts = self.kept(grad_output)
        b = self.backend
        if not isinstance(labels, Labels):
            n, total = labels
            return self._share(b.log_softmax_grad(n, log_p, axis=1), total, counts, grad_output)
        share = self._share(labels.weight, labels.total, counts, grad_output)
        # Where a sample does not count, log p may be NaN.
        if labels.even is None:
            gradient = b.exp_scaled(log_p, share)
        else:
            even = b.broadcast_to(self._share(labels.even, labels.total, counts, grad_output), b.shape(log_p))
            p = b.exp_scaled(log_p, b.add(share, b.sum(even, axis=1, keepdims=True)))
            gradient = b.subtract(p, even, out=p)
        return b.scatter_add(gradient, labels.column, b.negative(share), axis=1, out=gradient)

    def _of_probabilities(
        self, prediction: Tensor, target: Tensor, weight: Tensor | None, counts: bool
    ) -> tuple[Tensor, Total]:
        """Return the losses and the denominator for a target of probabilities."""
        b = self.backend
        self._check_probabilities(prediction, target)
        samples = self._by_class(prediction, weight)
        if samples is not None:
            prediction, target = self.selected(prediction, samples), self.selected(target, samples)
        n, total = self._weighted_probabilities(prediction, target, samples)
        log_p = b.log_softmax(prediction, axis=1)
        self.keep((n, total), log_p, counts)
        losses = b.multiply(n, b.where(b.equal(n, 0.0), 0.0, log_p))
        return b.sum(losses, axis=1) if self.reduction == "none" else losses, total

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
        """Return minus the weight of each log-probability, (N, C, ...), and the denominator."""
        b = self.backend
        first, classes, *rest = b.shape(prediction)
        u = b.add(b.multiply(target, 1.0 - self.label_smoothing), self.label_smoothing / classes)
        weight = self._class_weights(classes, 2 + len(rest))
        u = u if weight is None else b.multiply(u, weight)
        u = u if samples is None else b.multiply(u, samples)
        return b.negative(u), self.size((first, *rest), samples)
