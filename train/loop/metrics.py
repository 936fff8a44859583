"""Metrics of predictions and targets, as host (numpy) arrays.

Predictions are scores or logits (N, K), or one score per sample, (N, 1) or (N,). Targets are class numbers
(N,) or (N, 1), one-hot rows (N, K), or, for regression, real numbers of the predictions' shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ...backends.errors import DataError, OptionError, ShapeError
from ...backends.host import Host
from ...backends.options import as_number, integer, number, shown

Mode = Literal["min", "max"]
Metric = Callable[[Host, Host], float]
"""A function of the outputs (N, ...) and targets (N, ...) of a whole pass, on the host."""
Classes = npt.NDArray[np.int64]
MOST_CLASSES = 2**14
"""The most classes of a confusion matrix, which takes 2 GiB for them."""


def predicted_classes(predictions: npt.ArrayLike, threshold: float = 0.5) -> Classes:
    """Return the class of each prediction, int64 (N,).

    It is the (first) greatest of K >= 2 scores (N, K). For one score per sample, (N, 1) or (N,), it is class
    1 above `threshold`: 0.5 for probabilities and 0/1 targets, 0.0 for logits and -1/+1 targets. A prediction
    with a NaN is class -1, which is never right: a diverged model must not look like one that guesses.
    """
    scores = _matrix("predictions", predictions)
    threshold = number("predicted_classes", "threshold", threshold)
    if scores.shape[1] == 1:
        classes = (scores[:, 0] > threshold).astype(np.int64)
    else:
        classes = scores.argmax(axis=1).astype(np.int64)
    return np.where(np.isnan(scores).any(axis=1), np.int64(-1), classes)


def target_classes(targets: npt.ArrayLike) -> Classes:
    """Return class numbers, int64 (N,), from class numbers (N,) or (N, 1) or one-hot rows (N, K).

    Whole floats are class numbers too: targets of a binary loss are floats. If all targets are -1 or +1,
    they are classes 0 and 1.
    """
    rows = _matrix("targets", targets)
    if rows.shape[1] > 1:
        return np.asarray(rows.argmax(axis=1), dtype=np.int64)
    values = rows[:, 0]
    large = np.abs(values.astype(np.float64)) >= 2.0**63
    bad = values[~np.isfinite(values) | (values != np.round(values)) | large]
    if bad.size:
        raise DataError(
            f"targets: expected whole class numbers 0, 1, ..., got {bad[0]!s}; is it a regression?"
        )
    classes: Classes = values.astype(np.int64)
    if classes.min() < 0:
        if not np.isin(classes, (-1, 1)).all():
            raise DataError(
                f"targets: expected classes 0, 1, ... (or only -1 and +1), got {classes.min()} to "
                f"{classes.max()}"
            )
        return (classes > 0).astype(np.int64)
    return classes


def accuracy(predictions: npt.ArrayLike, targets: npt.ArrayLike, *, threshold: float = 0.5) -> float:
    """Return the share of predictions (N, K), (N, 1) or (N,) with the class of their target."""
    guessed, true = predicted_classes(predictions, threshold), target_classes(targets)
    _same_length("accuracy: predictions", guessed, "targets", true)
    columns = np.shape(predictions)[1:]
    k = max(2, columns[0] if columns else 1)
    if true.max() >= k:
        raise DataError(f"accuracy: expected targets of {k} classes (0 to {k - 1}), got class {true.max()}")
    return float(np.mean(guessed == true))


def confusion_matrix(targets: npt.ArrayLike, predicted: npt.ArrayLike, k: int | None = None) -> Classes:
    """Return int64 (k, k): entry [i, j] counts samples of true class i that were predicted as j.

    Parameters
    ----------
    targets
        Class numbers (N,) or one-hot rows (N, K).
    predicted
        Class numbers (N,), as from `predicted_classes`.
    k
        The number of classes; by default one more than the greatest class.
    """
    true, guessed = target_classes(targets), np.asarray(predicted)
    if guessed.ndim != 1 or guessed.dtype.kind not in "iub":
        raise ShapeError(
            f"confusion_matrix: expected predicted classes (N,) of whole numbers, got "
            f"{guessed.dtype} {guessed.shape}; use predicted_classes(scores) first"
        )
    guessed = guessed.astype(np.int64)
    _same_length("confusion_matrix: predicted", guessed, "targets", true)
    if guessed.min() < 0:
        raise DataError(
            f"confusion_matrix: expected predicted classes of at least 0, got {guessed.min()}; "
            "-1 is a NaN prediction"
        )
    greatest = int(max(true.max(), guessed.max()))
    size = greatest + 1 if k is None else integer("confusion_matrix", "k", k)
    if size > MOST_CLASSES:
        raise DataError(f"confusion_matrix: expected at most {MOST_CLASSES:,} classes, got {shown(size)}")
    if greatest >= size:
        raise DataError(
            f"confusion_matrix: expected classes 0 to {size - 1} (k = {size}), got class {greatest}"
        )
    return np.bincount(true * size + guessed, minlength=size * size).reshape(size, size).astype(np.int64)


def majority_baseline(labels_train: npt.ArrayLike, labels_test: npt.ArrayLike | None = None) -> float:
    """Return the accuracy on the test labels if every answer is the commonest training class.

    Labels are class numbers (N,) or one-hot rows (N, K); the training labels are the default test labels.
    """
    train = target_classes(labels_train)
    test = train if labels_test is None else target_classes(labels_test)
    classes, counts = np.unique(train, return_counts=True)
    return float(np.mean(test == classes[counts.argmax()]))


def mean_squared_error(predictions: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """Return the mean over all N * K elements of (prediction - target)^2; (N,) counts as (N, 1)."""
    guess, true = _pair("mean_squared_error", predictions, targets)
    return float(np.mean(np.square(guess - true)))


def r2(predictions: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """Return 1 - (residual sum of squares) / (total sum of squares), the mean over K outputs.

    1 is perfect, 0 is as good as the mean. A constant target column scores 1 if all predictions are exact,
    else 0 (scikit-learn's convention).
    """
    guess, true = _pair("r2", predictions, targets)
    residual = np.square(guess - true).sum(axis=0)
    total = np.square(true - true.mean(axis=0)).sum(axis=0)
    # The mean of equal numbers may differ from them by rounding, and then their sum of squares is not 0.
    constant = (true == true[0]).all(axis=0)
    exact = np.where(np.isnan(residual), np.nan, residual == 0)
    return float(np.mean(np.where(constant, exact, 1 - residual / np.where(constant, 1, total))))


# -- a user's metrics ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Directed:
    """A metric that states which of its values are better."""

    metric: Metric
    mode: Mode

    def __call__(self, outputs: Host, targets: Host) -> float:
        """Return the metric's value."""
        return self.metric(outputs, targets)


def larger_is_better(metric: Metric) -> Directed:
    """Return a metric whose larger values are better, for callbacks that monitor it."""
    return Directed(_function("larger_is_better", metric), "max")


def smaller_is_better(metric: Metric) -> Directed:
    """Return a metric whose smaller values are better, for callbacks that monitor it."""
    return Directed(_function("smaller_is_better", metric), "min")


def _function(owner: str, metric: Metric) -> Metric:
    if not callable(metric):
        raise OptionError(f"{owner}: expected a function of (outputs, targets), got {shown(metric)}")
    return metric


def direction(metric: Metric) -> Mode | None:
    """Return which values of a metric are better, "min" or "max"; None if it does not say."""
    if isinstance(metric, Directed):
        return metric.mode
    return "max" if metric in (accuracy, r2) else "min" if metric is mean_squared_error else None


def measured(name: str, metric: Metric, outputs: Host, targets: Host) -> float:
    """Return a metric's value; errors name the metric."""
    try:
        value: Any = metric(outputs, targets)
    except Exception as error:
        error.add_note(f"in the metric {name!r}")
        raise
    found = as_number(value)
    if found is None and not _is_nan(value):
        raise OptionError(f"the metric {name!r}: expected one number, got {shown(value)}")
    return math.nan if found is None else found


def _is_nan(value: Any) -> bool:
    try:
        return math.isnan(value)
    except TypeError:
        return False


def _matrix(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return numbers (N,) or (N, K) as (N, K)."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise ShapeError(f"{name}: expected (N,) or (N, K), got rows of different lengths") from None
    if array.dtype.kind not in "fiub":
        raise DataError(f"{name}: expected real numbers, got dtype {array.dtype}")
    if array.ndim not in (1, 2) or array.size == 0:
        raise ShapeError(f"{name}: expected (N,) or (N, K) with N and K at least 1, got {array.shape}")
    return array.reshape(len(array), -1)


def _same_length(name: str, values: npt.NDArray[Any], other: str, reference: npt.NDArray[Any]) -> None:
    if len(values) != len(reference):
        raise ShapeError(
            f"{name} and {other}: expected equally many rows, got {len(values)} and {len(reference)}"
        )


def _pair(
    name: str, predictions: npt.ArrayLike, targets: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    # (N, 1) - (N,) would broadcast to (N, N) and give a plausible wrong number: compare columns.
    guess, true = _matrix(f"{name}: predictions", predictions), _matrix(f"{name}: targets", targets)
    if guess.shape != true.shape:
        raise ShapeError(
            f"{name}: expected predictions and targets of one shape, got {np.shape(predictions)} "
            f"and {np.shape(targets)}"
        )
    return guess.astype(np.float64), true.astype(np.float64)
