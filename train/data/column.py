"""`Column`: the cells of one column of text, as numbers and as labels, in less memory than the cells."""

from __future__ import annotations

import math
import re
from array import array
from typing import Literal

import numpy as np
import numpy.typing as npt

from ...backends.errors import DataError

MOST_NAMES = 100_000
"""The most different texts that labels may stand for: a text takes a hundred times the memory of a label."""
_INTEGER = re.compile(r"[+-]?[0-9]+")
_ZERO_IN_FRONT = re.compile(r"[+-]?0[0-9]+")
Kind = Literal["empty", "text", "infinite", "fraction"]


def number(cell: str) -> float | None:
    """Return the number in a cell, or None."""
    try:
        # Python reads 1_000 as a number; in a data file it is probably an identifier.
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


class Column:
    """Cells, added one by one. NaN stands for one that is no number."""

    def __init__(self) -> None:
        self.texts = 0
        """How many cells are no numbers."""
        self.integers = True
        """Whether each cell is an integer, in digits alone."""
        self.zero_in_front = False
        """Whether one of the integers begins with a zero."""
        self._numbers, self._labels = array("d"), array("i")
        self._known: dict[str, tuple[int, float, bool]] = {}
        self._more = 0
        self._first: dict[Kind, tuple[int, str]] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, cell: str) -> None:
        """Add a cell."""
        label, value, is_text = self._known.get(cell) or self._new(cell)
        self._labels.append(label)
        self._numbers.append(value)
        self.texts += is_text

    def _new(self, cell: str) -> tuple[int, float, bool]:
        """Look at a cell, and keep its text if there are not too many."""
        value = number(cell)
        self.integers = self.integers and _INTEGER.fullmatch(cell) is not None
        self.zero_in_front = self.zero_in_front or _ZERO_IN_FRONT.fullmatch(cell) is not None
        kind: Kind | None = None
        if value is None:
            kind = "text" if cell else "empty"
        elif not math.isfinite(value):
            kind = "infinite"
        elif value != int(value):
            kind = "fraction"
        if kind is not None:
            self._first.setdefault(kind, (len(self), cell))
        found = len(self._known), math.nan if value is None else value, value is None
        if len(self._known) < MOST_NAMES:
            self._known[cell] = found
        else:
            self._more += 1
        return found

    def first(self, kind: Kind) -> tuple[int, str] | None:
        """Return the row and the text of the first cell of a kind, or None."""
        return self._first.get(kind)

    @property
    def distinct(self) -> int:
        """How many texts there are; beyond `MOST_NAMES`, at most so many."""
        return len(self._known) + self._more

    @property
    def numbers(self) -> npt.NDArray[np.float64]:
        """(N,) float64."""
        return np.frombuffer(self._numbers, np.float64)

    def labelled(self, where: str) -> tuple[npt.NDArray[np.int64], list[str]]:
        """Return labels (N,) and the names, sorted, by number if all are numbers; DataError if too many."""
        if self._more:
            raise DataError(f"{where}: expected at most {MOST_NAMES:,} classes, got more")
        numeric = not self.texts
        names = sorted(self._known, key=lambda name: (self._known[name][1] if numeric else 0.0, name))
        rank = np.empty(len(names), np.int64)
        rank[[self._known[name][0] for name in names]] = np.arange(len(names))
        return rank[np.frombuffer(self._labels, np.int32)], names
