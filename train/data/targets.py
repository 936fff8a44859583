"""Targets from a column of values: class labels, numbers to regress, one-hot rows."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from ...backends.errors import DataError
from ...backends.host import Host
from ...backends.options import choice, integer, shown
from .text import number

Task = Literal["auto", "classification", "regression"]
MOST_CLASSES = 20
"""With `task="auto"`, integers with more distinct values than this mean regression."""
_EXACT = 2**53
"""From here on a float64 cannot tell an integer from the next one."""
_INTEGER = re.compile(r"[+-]?[0-9]+")
_ZERO_IN_FRONT = re.compile(r"[+-]?0[0-9]+")
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


def targets_from_text(values: Sequence[str], task: Task, where: str) -> Targets:
    """Turn class names (N,) into labels (N,) and the sorted names."""
    check_task(task)
    if task == "regression":
        raise DataError(f"{where}: expected numbers for regression, got text such as {str(values[0])!r}")
    if task == "auto":
        _check_repeated(len(set(values)), len(values), where)
    return _labelled(values, sorted(set(values)))


def targets_from_cells(
    cells: Sequence[str],
    numbers: Sequence[float | None],
    task: Task,
    where: str,
    place: Callable[[int], str] = _row,
) -> Targets:
    """Turn the cells of a column into labels, whose classes are the cells' texts, or into numbers.

    numbers: what each cell is as a number. `read_csv` states the rule of `task="auto"`.
    """
    known = np.array([np.nan if value is None else value for value in numbers])
    codes = all(map(_INTEGER.fullmatch, cells))
    if task != "regression" and not codes:
        _check_label_cells(cells, numbers, task, where, place)
    if None in numbers:
        return targets_from_text(cells, task, where)
    distinct = sorted(set(cells), key=lambda cell: (float(cell), cell))
    codes = codes and (any(map(_ZERO_IN_FRONT.fullmatch, distinct)) or _beyond_floats(known))
    few = _few(len(distinct), len(cells)) and bool((known == np.round(known)).all())
    if task == "auto" and codes and not few:
        _check_repeated(len(distinct), len(cells), where)
    if task == "classification" or (task == "auto" and (codes or few)):
        return _labelled(cells, distinct)
    return known.reshape(-1, 1), None


def class_notes(classes: Iterable[str]) -> list[str]:
    """Return a sentence for each set of classes that may be one class, or none."""
    alike, notes = defaultdict(list), []
    for name in classes:
        value = number(name)
        if value is not None and math.isfinite(value):
            alike[value].append(name)
        elif name.casefold() in _MISSING:
            notes.append(f"{name!r} is read as a class; remove its rows if it means a missing value")
    same = [names for names in alike.values() if len(names) > 1]
    if same:
        names = ", ".join(map(repr, same[0][:4]))
        more = f" (and {len(same) - 1} more such sets)" if len(same) > 1 else ""
        notes.append(f"{names} are different classes, because class names are text{more}")
    return notes


def _check_label_cells(
    cells: Sequence[str], numbers: Sequence[float | None], task: Task, where: str, place: Callable[[int], str]
) -> None:
    """Raise DataError at NaN, infinity or, if classification is asked for, at a fraction among numbers."""
    all_numbers = None not in numbers
    for row, value in enumerate(numbers):
        if value is None:
            continue
        if not math.isfinite(value):
            raise DataError(
                f"{where}, {place(row)}: expected a number or a class, got {cells[row]}. "
                f"Remove or fill the row."
            )
        if task == "classification" and all_numbers and value != int(value):
            raise DataError(
                f"{where}, {place(row)}: expected a class label (an integer or text), got {cells[row]}. "
                f"Use task='regression' for such numbers."
            )


def _labelled(values: Sequence[str], names: Sequence[str]) -> Targets:
    label = {name: index for index, name in enumerate(names)}
    return np.array([label[value] for value in values], np.int64), tuple(names)


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
