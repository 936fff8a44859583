"""Targets from a column of values: class labels, numbers to regress, one-hot rows."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from ...backends.errors import DataError
from ...backends.host import Host
from ...backends.options import choice, integer, listed, shown
from .column import Column, Kind, number

Task = Literal["auto", "classification", "regression"]
MOST_CLASSES = 20
"""With `task="auto"`, integers with more distinct values than this mean regression."""
_EXACT = 2**53
"""From here on a float64 cannot tell an integer from the next one."""
_MISSING = {"nan", "na", "n/a", "#n/a", "null", "none", "?"}

Targets = tuple[Host, tuple[str, ...] | None]


def one_hot(labels: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.float64]:
    """Return rows (N, k) with a 1 at each label (N,) and 0 elsewhere, float64: targets for an MSE loss."""
    if not isinstance(labels, np.ndarray):
        raise DataError(f"one_hot: expected an array of integer labels (N,), got {shown(labels)}")
    integer("one_hot", "k", k)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"one_hot: expected integer labels (N,), got {labels.dtype} {labels.shape}")
    if labels.size and (labels.min() < 0 or labels.max() >= k):
        raise DataError(f"one_hot: expected labels from 0 to {k - 1}, got {labels.min()} to {labels.max()}")
    rows = np.zeros((len(labels), k))
    rows[np.arange(len(labels)), labels] = 1.0
    return rows


def check_task(task: str) -> None:
    """Raise OptionError unless `task` is one of `Task`."""
    choice("data", "task", task, get_args(Task))


def _row(index: int) -> str:
    return f"row {index} (counting from 0)"


def targets_from_numbers(values: Host, task: Task, where: str, place: Callable[[int], str] = _row) -> Targets:
    """Turn numbers (N,) into labels (N,) with their classes, or into regression targets (N, 1) and None.

    With `task="auto"` they are labels if all are integers with few distinct values (at most 20, and at most
    N/2 unless there are just two), or integers of 2^53 or more. In errors, `where` names the column and
    `place` a row.
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
    whole = not fractional.any()
    few = whole and _few(len(distinct), len(values))
    if task == "auto" and not few and values.dtype.kind in "iu" and _beyond_floats(distinct):
        _check_repeated(len(distinct), len(values), where)
        few = True
    if task == "classification" or (task == "auto" and few):
        return labels.astype(np.int64), tuple(str(int(value)) for value in distinct)
    floats = values if values.dtype in (np.float32, np.float64) else values.astype(np.float64)
    return floats.reshape(-1, 1), None


def targets_from_texts(
    labels: npt.NDArray[np.int64], names: Sequence[str], task: Task, where: str
) -> Targets:
    """Return labels (N,) of the names, sorted texts that are no numbers; DataError if they do not suit."""
    check_task(task)
    if task == "regression":
        raise DataError(
            f"{where}: expected numbers for regression, got text such as {shown(names[labels[0]])}"
        )
    if task == "auto":
        _check_repeated(len(names), len(labels), where)
    return labels, tuple(names)


def targets_from_cells(cells: Column, task: Task, where: str, place: Callable[[int], str] = _row) -> Targets:
    """Turn a column into labels, whose classes are the cells' texts, or into numbers.

    `read_csv` states the rule of `task="auto"`.
    """
    check_task(task)
    numbers = cells.numbers
    if task != "regression" and not cells.integers:
        _check_label_cells(cells, task, where, place)
    if cells.texts:
        return targets_from_texts(*cells.labelled(where), task, where)
    codes = cells.integers and (cells.zero_in_front or _beyond_floats(numbers))
    few = _few(cells.distinct, len(cells)) and bool((numbers == np.round(numbers)).all())
    if task == "auto" and codes and not few:
        _check_repeated(cells.distinct, len(cells), where)
    if task == "classification" or (task == "auto" and (codes or few)):
        labels, names = cells.labelled(where)
        return labels, tuple(names)
    return numbers.reshape(-1, 1), None


def class_notes(classes: Iterable[str]) -> list[str]:
    """Return a sentence for each set of classes that may be one class, or none."""
    alike, notes = defaultdict(list), []
    for name in classes:
        value = number(name)
        if value is not None and math.isfinite(value):
            alike[value].append(name)
        elif name.casefold() in _MISSING:
            notes.append(f"{shown(name)} is read as a class; remove its rows if it means a missing value")
    same = [names for names in alike.values() if len(names) > 1]
    if same:
        names = ", ".join(map(shown, same[0][:4]))
        more = f" (and {len(same) - 1} more such sets)" if len(same) > 1 else ""
        notes.append(f"{names} are different classes, because class names are text{more}")
    return notes


def _check_label_cells(cells: Column, task: Task, where: str, place: Callable[[int], str]) -> None:
    """Raise DataError at NaN, infinity or, if classification is asked for, at a fraction among numbers."""
    wanted: dict[Kind, tuple[str, str]] = {"infinite": ("a number or a class", "Remove or fill the row.")}
    if task == "classification" and not cells.texts:
        advice = "Use task='regression' for such numbers."
        wanted["fraction"] = "a class label (an integer or text)", advice
    found = [(*first, kind) for kind in wanted if (first := cells.first(kind)) is not None]
    if found:
        row, cell, kind = min(found)
        expected, advice = wanted[kind]
        raise DataError(f"{where}, {place(row)}: expected {expected}, got {listed([cell])}. {advice}")


def _few(distinct: int, rows: int) -> bool:
    return distinct <= max(2, min(MOST_CLASSES, rows // 2))


def _beyond_floats(numbers: Host) -> bool:
    return bool(numbers.max() >= _EXACT or numbers.min() <= -_EXACT)


def _check_repeated(distinct: int, rows: int, where: str) -> None:
    """Raise DataError if nearly every row has a class of its own."""
    if distinct > max(2, rows // 2):
        raise DataError(
            f"{where}: expected classes, got {distinct} different texts in {rows} rows, like identifiers. "
            f"Choose another target column, task='classification', or task='regression' for numbers."
        )
