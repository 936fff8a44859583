"""One pass over data: `Samples` on a backend, and the `Tally` of their losses and predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...backends import Backend, DataError, OptionError, Tensor
from ...backends.host import Host, numbers
from ...backends.protocol import Shape
from ...layers.losses import Loss, NLLLoss
from ..data import Dataset
from .metrics import Mean, Metric, accuracy, measured
from .objective import decision_threshold, targets_for

Pair = tuple[Any, Any]


@dataclass(frozen=True)
class Samples:
    """Inputs and targets on a backend, and a classifier's labels (N,) on the host."""

    backend: Backend
    x: Tensor
    y: Tensor
    labels: Host | None
    targets: Host
    """The targets in the caller's form, (N, ...) on the host: metrics take these."""
    size: int

    @classmethod
    def of(cls, data: Dataset | Pair, loss: Loss, *, check_finite: bool = False) -> Samples:
        """Copy a data set, or a pair (inputs (N, ...), targets), to the loss's backend.

        Labels may be of any integer dtype. Losses of real targets take integers as reals.

        Raises
        ------
        DataError
            If there are no samples, inputs and targets differ in number, or `check_finite` fails.

        """
        if isinstance(data, Dataset):
            inputs, targets = data.inputs, targets_for(loss, data)
            labels = data.targets if data.classes is not None else None
        else:
            inputs, targets = _pair(data)
            labels = targets if isinstance(loss, NLLLoss) and targets.dtype.kind in "iu" else None
        if check_finite:
            _check_finite(data, inputs, targets)
        original = np.asarray(data.targets if isinstance(data, Dataset) else targets)
        if targets.dtype.kind in "iub" and not isinstance(loss, NLLLoss):
            targets = targets.astype(np.float64)
        b = loss.backend
        if labels is not None and labels.ndim != 1:
            labels = None
        return cls(b, b.from_host(inputs), b.from_host(targets), labels, original, len(inputs))

    def rows(self, first: int, last: int) -> tuple[Tensor, Tensor]:
        """Return (inputs, targets) of the samples first:last."""
        return rows(self.backend, self.x, first, last), rows(self.backend, self.y, first, last)

    def fault(self) -> str:
        """Return which values are not finite, as text; "" if all are."""
        for part, tensor in (("inputs", self.x), ("targets", self.y)):
            bad = _bad_rows(self.backend.to_host(tensor))
            if len(bad):
                return f"NaN or infinity in the {part} of {len(bad)} rows; the first is row {bad[0]} (from 0)"
        return ""

    def taken(self, order: Host) -> Samples:
        """Return the samples with the row numbers of `order` (M,), in that order."""
        b = self.backend
        index = b.from_host(order)
        x, y = b.take(self.x, index, axis=0), b.take(self.y, index, axis=0)
        labels = None if self.labels is None else self.labels[order]
        return Samples(b, x, y, labels, self.targets[order], len(order))


@dataclass
class Tally:
    """The losses and predictions of one pass. They stay on the device until its end: reading them waits."""

    loss: Loss
    metrics: Mapping[str, Metric]
    keep_predictions: bool
    predictions: list[Tensor] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, samples: Samples, loss: Loss, metrics: Mapping[str, Metric]) -> Tally:
        """Return an empty tally, which keeps predictions if accuracy or metrics need them."""
        return cls(loss, metrics, samples.labels is not None or bool(metrics))

    def add(self, prediction: Tensor, loss: Tensor, size: int) -> None:
        """Add a batch of `size` samples."""
        if self.keep_predictions:
            self.predictions.append(prediction)
        self.losses.append(loss)
        self.sizes.append(size)

    def scores(self, samples: Samples) -> dict[str, float]:
        """Return by name the mean loss of a sample, the accuracy of labels, and the metrics."""
        b, mean = self.loss.backend, Mean()
        for value, size in zip(self.losses, self.sizes, strict=True):
            mean.add(b.item(value) / (size if self.loss.reduction == "sum" else 1), size)
        scores = {"loss": mean.value}
        if not self.keep_predictions:
            return scores
        outputs = b.to_host(b.concat(self.predictions, axis=0))
        if samples.labels is not None:
            scores["accuracy"] = _accuracy(self.loss, outputs, samples.labels[: len(outputs)])
        for name, metric in self.metrics.items():
            scores[name] = measured(name, metric, outputs, samples.targets[: len(outputs)])
        return scores


def cuts(n: int, batch_size: int) -> list[tuple[int, int]]:
    """Return (first, last + 1) of each batch of n samples."""
    return [(first, min(first + batch_size, n)) for first in range(0, n, batch_size)]


def rows(b: Backend, x: Tensor, first: int, last: int) -> Tensor:
    """Return x[first:last] of x (N, ...)."""
    shape = b.shape(x)
    return b.slice(x, (first, *(0,) * (len(shape) - 1)), (last, *shape[1:]))


def fitting_batch(shape: Shape) -> int:
    """Return the default batch size for inputs (N, ...): the larger a sample, the smaller."""
    return max(1, min(1024, _BATCH_ELEMENTS // max(1, math.prod(shape[1:]))))


_BATCH_ELEMENTS = 2**18


def _accuracy(loss: Loss, outputs: Host, labels: Host) -> float:
    """Return the share of outputs that hit their label; ignored labels do not count."""
    if isinstance(loss, NLLLoss):
        counted = labels != loss.ignore_index
        outputs, labels = outputs[counted], labels[counted]
    return accuracy(outputs, labels, threshold=decision_threshold(loss)) if len(labels) else math.nan


def _pair(data: Any) -> tuple[Host, Host]:
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise OptionError(f"expected a Dataset or a pair (inputs, targets), got {type(data).__name__}")
    inputs, targets = numbers("inputs", data[0]), numbers("targets", data[1])
    if not inputs.shape[:1] or inputs.shape[:1] != targets.shape[:1] or len(inputs) == 0:
        raise DataError(
            "expected inputs and targets with equally many samples, at least one, got shapes "
            f"{inputs.shape} and {targets.shape}"
        )
    return inputs, targets


def _check_finite(data: Dataset | Pair, inputs: Host, targets: Host) -> None:
    if isinstance(data, Dataset):
        data.check_finite()
        return
    for part, values in (("inputs", inputs), ("targets", targets)):
        bad = _bad_rows(values)
        if len(bad):
            raise DataError(
                f"expected finite {part}, got NaN or infinity in {len(bad)} rows; "
                f"the first is row {bad[0]} (from 0)"
            )


def _bad_rows(values: Host) -> Host:
    """Return the numbers of the rows with NaN or infinity."""
    return np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
