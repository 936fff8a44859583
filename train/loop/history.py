"""`History`: one row of numbers for each epoch, in memory and in a JSON file."""

from __future__ import annotations

import json
import math
import numbers
import os
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ...backends.errors import DataError, OptionError, did_you_mean
from ...backends.host import Host
from ...backends.notebook import table
from ...backends.options import choice, shown
from ..files import as_path, atomic_write, from_json

FORMAT = "lamina-history"
VERSION = 1

# Strict JSON has no such numbers. They are not null: a diverged loss must differ from a missing one.
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

_ENDS = 15
"""Rows that a notebook shows of the beginning, and of the end."""


class History:
    """Rows of named numbers: epoch, learning_rate, train_loss, validation_accuracy, seconds, ...

    Rows need not have the same names: a column may begin late or have gaps (validation every tenth epoch).

    Examples
    --------
    >>> history = History()
    >>> history.append(epoch=0, train_loss=0.7)
    >>> history.append(epoch=1, train_loss=0.5, validation_loss=0.6)
    >>> history.column("validation_loss")
    array([nan, 0.6])
    >>> history.best("train_loss", "min")["epoch"]
    1.0
    """

    def __init__(self) -> None:
        self._rows: list[dict[str, float]] = []

    def append(self, **values: float) -> None:
        """Add one row; each value is a real number (NaN and infinities are kept)."""
        if not values:
            raise OptionError("History.append: expected at least one name=value, got none")
        self._rows.append({name: _number(name, value) for name, value in values.items()})

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, float]:
        return dict(self._rows[index])

    def __iter__(self) -> Iterator[dict[str, float]]:
        return (dict(row) for row in self._rows)

    def __repr__(self) -> str:
        return f"History({len(self)} rows: {', '.join(self.names)})"

    def _repr_html_(self) -> str:
        """Return a table for a notebook: the first and the last rows, if there are many."""
        rows = [[f"{row[name]:.6g}" if name in row else "" for name in self.names] for row in self._rows]
        if len(rows) > 2 * _ENDS:
            rows = [*rows[:_ENDS], ["..."] * len(self.names), *rows[-_ENDS:]]
        return table(self.names, rows, names=0)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns, in the order of their first use."""
        return tuple(dict.fromkeys(name for row in self._rows for name in row))

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """Return one column, float64 (rows,), with NaN where a row lacks the value."""
        if name not in self.names:
            known = ", ".join(self.names) or "none yet"
            raise OptionError(
                f"History: expected a column of {known}, got {shown(name)}.{did_you_mean(name, self.names)}"
            )
        return np.array([row.get(name, math.nan) for row in self._rows], dtype=np.float64)

    def best(self, name: str, mode: Literal["min", "max"]) -> dict[str, float]:
        """Return the (first) row with a column's smallest or greatest value; NaN is ignored."""
        choice("History.best", "mode", mode, ("min", "max"))
        values = self.column(name)
        if np.isnan(values).all():
            raise DataError(
                f"History.best: expected a number in column {name!r}, got NaN in all {len(self)} rows"
            )
        return self[int(np.nanargmin(values) if mode == "min" else np.nanargmax(values))]

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write the history to a JSON file, completely or not at all (OutputError)."""
        atomic_write(path, self.to_text().encode())

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> History:
        """Read a file that `to_json` wrote. DataError names the file and its fault."""
        try:
            text = as_path("History.from_json", path).read_bytes().decode()
        except OSError as error:
            raise DataError(f"Cannot read history '{os.fspath(path)}': {error.strerror or error}.") from error
        except UnicodeDecodeError as error:
            raise DataError(
                f"'{os.fspath(path)}' is not a Lamina history: expected UTF-8 text, got another byte at "
                f"{error.start}"
            ) from error
        return cls.from_text(text, source=os.fspath(path))

    def to_text(self) -> str:
        """Return the history as strict JSON, one row a line.

        `{"format": "lamina-history", "version": 1, "rows": [{"epoch": 0.0, "train_loss": "NaN"}]}`: numbers
        that JSON lacks are the strings "NaN", "Infinity" and "-Infinity"; a row omits names it lacks.
        """
        rows = [json.dumps({k: _encode(v) for k, v in row.items()}, allow_nan=False) for row in self._rows]
        body = ",\n  ".join(rows)
        return f'{{"format": "{FORMAT}", "version": {VERSION}, "rows": [\n  {body}\n]}}\n'

    def to_arrays(self) -> tuple[tuple[str, ...], Host, Host]:
        """Return (names, values, present): float64 (rows, names), and bool, whether a row has the value."""
        names = self.names
        values = np.array([[row.get(name, 0.0) for name in names] for row in self._rows], np.float64)
        present = np.array([[name in row for name in names] for row in self._rows], np.bool_)
        shape = len(self), len(names)
        return names, values.reshape(shape), present.reshape(shape)

    @classmethod
    def from_arrays(cls, names: Any, values: Any, present: Any) -> History:
        """Return the history of `to_arrays`; DataError if the arrays are no such ones."""
        fits = (
            isinstance(names, (list, tuple))
            and all(isinstance(name, str) for name in names)
            and getattr(values, "dtype", None) == np.float64
            and getattr(present, "dtype", None) == np.bool_
            and values.shape == present.shape
            and values.shape[1:] == (len(set(names)),) == (len(names),)
            and bool(present.any(axis=1).all())
        )
        if not fits:
            raise DataError(f"History: expected names and arrays (rows, names), got {shown(names)}")
        history = cls()
        rows = zip(values.tolist(), present.tolist(), strict=True)
        history._rows = [
            {name: value for name, value, there in zip(names, *row, strict=True) if there} for row in rows
        ]
        return history

    @classmethod
    def from_text(cls, text: str, *, source: str = "text") -> History:
        """Read the text of `to_text`; DataErrors call it `source`."""
        if not isinstance(text, str):
            raise DataError(f"'{source}' is not a Lamina history: expected text, got {shown(text)}")
        document = from_json(text, f"'{source}' is not a Lamina history")
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise DataError(
                f'\'{source}\' is not a Lamina history: expected an object with "format": "{FORMAT}", got '
                f"{shown(document)}"
            )
        version = document.get("version")
        if version != VERSION or isinstance(version, bool):
            raise DataError(
                f"'{source}': expected history version {VERSION}, got {shown(version)}; "
                "read it with the Lamina that wrote it"
            )
        rows = document.get("rows")
        if not isinstance(rows, list):
            raise DataError(f"'{source}': expected \"rows\" to be a list, got {type(rows).__name__}")
        history = cls()
        history._rows = [_decode_row(row, index, source) for index, row in enumerate(rows)]
        return history


def _number(name: str, value: object) -> float:
    # NaN is allowed here, unlike in options. A reduction may return a 0-d array.
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise OptionError(f"History.append: expected a real number for {name!r}, got {shown(value)}")
    try:
        return float(value)
    except OverflowError:
        raise OptionError(
            f"History.append: expected a real number that a float holds for {name!r}, got {shown(value)}"
        ) from None


def _encode(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _decode_row(row: Any, index: int, source: str) -> dict[str, float]:
    if not isinstance(row, dict) or not row:
        raise DataError(f"'{source}': row {index}: expected an object of name: number, got {shown(row)}")
    return {name: _decode(value, f"'{source}': row {index}, {name!r}") for name, value in row.items()}


def _decode(value: Any, where: str) -> float:
    if isinstance(value, str) and value in _SPECIAL:
        return _SPECIAL[value]
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise DataError(f"{where}: expected a number or one of {', '.join(_SPECIAL)}, got {shown(value)}")
    try:
        return float(value)
    except OverflowError as error:
        raise DataError(f"{where}: expected a number within a float's range, got one too large") from error
