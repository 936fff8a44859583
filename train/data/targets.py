"""Targets from a column of values: class labels, numbers to regress, one-hot rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from ...backends.errors import DataError, OptionError
from ...backends.host import Host

Task = Literal["auto", "classification", "regression"]
MOST_CLASSES = 20
"""With `task="auto"`, integers with more distinct values than this mean regression."""

Targets = tuple[Host, tuple[str, ...] | None]


def one_hot(labels: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.float64]:
    """Return rows (N, k) with a 1 at each label (N,) and 0 elsewhere, float64: targets for an MSE loss."""
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"one_hot: expected integer labels (N,), got {labels.dtype} {labels.shape}")
    if labels.size and (labels.min() < 0 or labels.max() >= k):
        raise DataError(f"one_hot: expected labels from 0 to {k - 1}, got {labels.min()} to {labels.max()}")
    rows = np.zeros((len(labels), k))
    rows[np.arange(len(labels)), labels] = 1.0
    return rows


def check_task(task: str) -> None:
    """Raise OptionError unless `task` is one of `Task`."""
    if task not in get_args(Task):
        raise OptionError(f"expected task to be one of {', '.join(get_args(Task))}, got {task!r}")


def _row(index: int) -> str:
    return f"row {index} (counting from 0)"


def targets_from_numbers(values: Host, task: Task, where: str, place: Callable[[int], str] = _row) -> Targets:
    """Turn numbers (N,) into labels (N,) with their classes, or into regression targets (N, 1) and None.

    With `task="auto"` they are labels if all are integers with few distinct values (at most 20, and at most
    N/2 unless there are just two). In errors, `where` names the column and `place` a row.
    """
    check_task(task)
    distinct, labels = np.unique(values, return_inverse=True)
    if task != "regression" and not np.isfinite(distinct).all():
        row = int(np.argmin(np.isfinite(values)))
        raise DataError(
            f"{where}, {place(row)}: expected a number or a class, got {values[row]}. Remove or fill the row."
        )
    fractional = values != np.round(values)
    if task == "classification" and fractional.any():
        row = int(np.argmax(fractional))
        raise DataError(
            f"{where}, {place(row)}: expected a class label (an integer or text), got {values[row]}. "
            f"Use task='regression' for such numbers."
        )
    few = len(distinct) <= max(2, min(MOST_CLASSES, len(values) // 2))
    if task == "classification" or (task == "auto" and few and not fractional.any()):
        return labels.astype(np.int64), tuple(str(int(value)) for value in distinct)
    floats = values if values.dtype in (np.float32, np.float64) else values.astype(np.float64)
    return floats.reshape(-1, 1), None


def targets_from_text(values: npt.NDArray[np.str_], task: Task, where: str) -> Targets:
    """Turn class names (N,) into labels (N,) and the sorted names."""
    check_task(task)
    if task == "regression":
        raise DataError(f"{where}: expected numbers for regression, got text such as {str(values[0])!r}")
    classes, labels = np.unique(values, return_inverse=True)
    if task == "auto" and len(classes) > max(2, len(values) // 2):
        raise DataError(
            f"{where}: expected classes, got {len(classes)} different texts in {len(values)} rows, like "
            f"identifiers. Choose another target column, or use task='classification'."
        )
    return labels.astype(np.int64), tuple(str(name) for name in classes)
