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
from .metrics import Metric, accuracy, measured
from .objective import decision_threshold, targets_for

Pair = tuple[Any, Any] | tuple[Any, Any, Any]
"""(inputs, targets), or (inputs, targets, weights)."""


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
    weight: Tensor | None = None
    """A weight for each sample (N,), or for each of its losses (N, ...)."""

    @classmethod
    def of(cls, data: Dataset | Pair, loss: Loss, *, check_finite: bool = False) -> Samples:
        """Copy a data set, or a pair (inputs (N, ...), targets), to the loss's backend.

        A pair may have the samples' weights as its third. Labels may be of any integer dtype. Losses of real
        targets take integers as reals.

        Raises
        ------
        DataError
            If there are no samples, inputs and targets differ in number, or `check_finite` fails.

        """
        if isinstance(data, Dataset):
            inputs, targets, weight = data.inputs, targets_for(loss, data), None
            labels = data.targets if data.classes is not None else None
        else:
            inputs, targets, weight = _pair(data)
            labels = targets if isinstance(loss, NLLLoss) and targets.dtype.kind in "iu" else None
        if check_finite:
            _check_finite(data, inputs, targets)
        original = np.asarray(data.targets if isinstance(data, Dataset) else targets)
        if targets.dtype.kind in "iub" and not isinstance(loss, NLLLoss):
            targets = targets.astype(np.float64)
        b = loss.backend
        if labels is not None and labels.ndim != 1:
            labels = None
        own = None if weight is None else b.from_host(weight)
        return cls(b, b.from_host(inputs), b.from_host(targets), labels, original, len(inputs), own)

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """(inputs, targets), or (inputs, targets, weights)."""
        return (self.x, self.y) if self.weight is None else (self.x, self.y, self.weight)

    def rows(self, first: int, last: int) -> tuple[Tensor, ...]:
        """Return the parts of the samples first:last."""
        return tuple(rows(self.backend, part, first, last) for part in self.parts)

    def fault(self) -> str:
        """Return which values are not finite, as text; "" if all are."""
        for part, tensor in (("inputs", self.x), ("targets", self.y)):
            bad = _bad_rows(self.backend.to_host(tensor))
            if len(bad):
                return f"NaN or infinity in the {part} of {len(bad)} rows; the first is row {bad[0]} (from 0)"
        return ""


@dataclass
class Tally:
    """The results of one pass: of its steps in order, from one run or several.

    They stay on the device until its end, since reading them waits. A pass's loss is the sum of its batches'
    numerators over that of their denominators: it does not depend on the batch size, and a batch without a
    target that counts adds nothing.
    """

    loss: Loss
    metrics: Mapping[str, Metric]
    keeps_predictions: bool
    """Whether each step returns its prediction after the fraction that is its loss."""
    results: list[tuple[Tensor, ...]] = field(default_factory=list)
    skips: int = 0
    """The batch size, if steps with a loss that is NaN or infinite do not count; else 0."""

    @classmethod
    def of(cls, samples: Samples, loss: Loss, metrics: Mapping[str, Metric]) -> Tally:
        """Return an empty tally, which keeps predictions if accuracy or metrics need them."""
        return cls(loss, metrics, samples.labels is not None or bool(metrics))

    def add(self, results: tuple[Tensor, ...]) -> None:
        """Add a run's results: numerators and denominators (S,); predictions (M, ...) if it keeps them."""
        self.results.append(results)

    def scores(self, samples: Samples, order: Host | None = None) -> dict[str, float]:
        """Return by name the loss (NaN if no target counts), the accuracy of labels, and the metrics.

        order: the row numbers (M, or more) of the samples; as they stand if None.
        """
        b = self.loss.backend
        numerators, denominators, *whole = (
            b.to_host(parts[0] if len(parts) == 1 else b.concat(parts, axis=0))
            for parts in zip(*self.results, strict=True)
        )
        counted = np.isfinite(numerators) if self.skips else np.ones(len(numerators), bool)
        if not counted.all():
            numerators, denominators = numerators[counted], denominators[counted]
        numerator, denominator = sum(numerators.tolist()), sum(denominators.tolist())
        scores = {"loss": numerator / denominator if denominator else math.nan}
        for outputs in whole:
            rows: Any = slice(len(outputs)) if order is None else order[: len(outputs)]
            if not counted.all():
                kept = np.flatnonzero(np.repeat(counted, self.skips)[: len(outputs)])
                outputs, rows = outputs[kept], kept if order is None else rows[kept]
            scores |= self._scores_of(outputs, samples, rows)
        return scores

    def _scores_of(self, outputs: Host, samples: Samples, rows: Any) -> dict[str, float]:
        """Return the scores of predictions for rows of the samples; NaN if there are none."""
        scores = {}
        if samples.labels is not None:
            scores["accuracy"] = _accuracy(self.loss, outputs, samples.labels[rows])
        for name, metric in self.metrics.items():
            targets = samples.targets[rows]
            scores[name] = measured(name, metric, outputs, targets) if len(outputs) else math.nan
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


def _pair(data: Any) -> tuple[Host, Host, Host | None]:
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        length = f" of {len(data)}" if isinstance(data, (tuple, list)) else ""
        raise OptionError(
            "expected a Dataset, a pair (inputs, targets), or (inputs, targets, weights), got "
            f"{type(data).__name__}{length}"
        )
    inputs, targets = numbers("inputs", data[0]), numbers("targets", data[1])
    if not inputs.shape[:1] or inputs.shape[:1] != targets.shape[:1] or len(inputs) == 0:
        raise DataError(
            "expected inputs and targets with equally many samples, at least one, got shapes "
            f"{inputs.shape} and {targets.shape}"
        )
    return inputs, targets, None if len(data) == 2 else _weights(data[2], len(inputs))


def _weights(values: Any, samples: int) -> Host:
    """Return weights (N, ...) as float64."""
    weights = numbers("weights", values)
    if weights.shape[:1] != (samples,):
        raise DataError(f"expected a weight for each of {samples} samples, got shape {weights.shape}")
    weights = weights.astype(np.float64)
    bad = ~((weights >= 0) & (weights < np.inf))
    if bad.any():
        row = np.flatnonzero(bad.reshape(samples, -1).any(axis=1))[0]
        raise DataError(f"expected finite weights of at least 0, got {weights[bad][0]} in row {row} (from 0)")
    return weights


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
