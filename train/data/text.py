"""Delimited text as rows of cells with their line numbers, and a header."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ...backends.errors import DataError
from .opened import opened, read_whole

_DELIMITERS = ("\t", ";", ",")
_SNIFFED_ROWS = 20
MOST_COLUMNS = 100_000
"""The most columns of a table: text takes a hundred times the memory of its numbers."""
_SHOWN_CELLS = 4
_BROKEN = "a quoted cell that does not end, or text after its closing quote"


@dataclass(frozen=True)
class TextTable:
    """Rows of equal length, the last line of each, and the names in the header, if there is one."""

    path: Path
    header: tuple[str, ...] | None
    rows: list[list[str]]
    lines: list[int]
    reading: str = ""
    """How the first row was read, and how to choose otherwise."""

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.rows[0])

    def column(self, index: int) -> str:
        """Return a column's name for messages, or its number from 0."""
        return (
            f"column {index} (counting from 0)" if self.header is None else f"column {self.header[index]!r}"
        )


def number(cell: str) -> float | None:
    """Return the number in a cell, or None."""
    try:
        # Python reads 1_000 as a number; in a data file it is probably an identifier.
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def read_text(path: Path, delimiter: str | None = None, header: bool | None = None) -> TextTable:
    """Read a file of `,`, `;` or tab separated cells, plain or gzipped.

    header: whether the first row holds names; by default it does if none of its cells is a number.
    """
    lines = _read_lines(path)
    rows, numbers = _parse(path, lines, delimiter or _sniff(lines))
    if not rows:
        raise DataError(f"{path}: expected rows of numbers and a target column, got an empty file")
    for cells, line in zip(rows, numbers, strict=True):
        if len(cells) != len(rows[0]):
            raise DataError(
                f"{path}, line {line}: expected {len(rows[0])} cells as in line {numbers[0]}, "
                f"got {len(cells)}"
            )
    start = ", ".join(rows[0][:_SHOWN_CELLS]) + (", ..." if len(rows[0]) > _SHOWN_CELLS else "")
    if header is None:
        header = all(number(cell) is None for cell in rows[0])
    if not header:
        reading = f"line {numbers[0]} ({start}) is data; --header reads it as the columns' names"
        return TextTable(path, None, rows, numbers, reading)
    reading = f"line {numbers[0]} ({start}) names the columns; --no-header reads it as data"
    names = tuple(cell or f"column {index}" for index, cell in enumerate(rows[0]))
    _check_header(path, names, len(rows) > 1)
    return TextTable(path, names, rows[1:], numbers[1:], reading)


def _read_lines(path: Path) -> list[str]:
    try:
        with opened(path) as stream:
            # newline="": the csv module must see the line ends inside quotes.
            return list(io.TextIOWrapper(io.BytesIO(read_whole(path, stream)), "utf-8-sig", newline=""))
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: expected UTF-8 text, got another byte at {error.start}; save the file as UTF-8"
        ) from error


def _parse(path: Path, lines: list[str], delimiter: str) -> tuple[list[list[str]], list[int]]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    rows, numbers = [], []
    try:
        for record in reader:
            if len(record) > MOST_COLUMNS:
                raise DataError(
                    f"{path}, line {reader.line_num}: expected at most {MOST_COLUMNS:,} columns, got "
                    f"{len(record):,}; save them as NPZ, or choose some"
                )
            cells = [cell.strip() for cell in record]
            # A blank line has no cell; a line of spaces has one, which is empty.
            if cells and cells != [""]:
                rows.append(cells)
                numbers.append(reader.line_num)
    except csv.Error as error:
        long = "field limit" in str(error)
        got = f"a cell of more than {csv.field_size_limit():,} characters" if long else _BROKEN
        raise DataError(f"{path}, line {reader.line_num}: expected well-formed CSV, got {got}") from error
    return rows, numbers


def _sniff(lines: list[str]) -> str:
    """Return the delimiter that splits the first rows into equally many cells, at least two.

    The comma comes last: it is also the decimal mark in files with semicolons.
    """
    widths: dict[str, list[int]] = {}
    for delimiter in _DELIMITERS:
        reader = csv.reader([line for line in lines[:_SNIFFED_ROWS] if line.strip()], delimiter=delimiter)
        try:
            widths[delimiter] = [len(record) for record in reader]
        except csv.Error:
            widths[delimiter] = []
    for delimiter, counts in widths.items():
        if counts and counts[0] >= 2 and len(set(counts)) == 1:
            return delimiter
    # All give ragged rows: the most frequent one in the first row gives the clearest message.
    return max(reversed(_DELIMITERS), key=lambda delimiter: widths[delimiter][:1])


def _check_header(path: Path, header: tuple[str, ...], has_rows: bool) -> None:
    if not has_rows:
        raise DataError(f"{path}: expected rows of data, got a header alone: {', '.join(header)}")
    twice = sorted(name for name, count in Counter(header).items() if count > 1)
    if twice:
        raise DataError(
            f"{path}: expected different column names, got {', '.join(map(repr, twice))} more than once"
        )
