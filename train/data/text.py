"""Delimited text into rows of cells, each with its line number: reading, delimiter, header."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from ...backends.errors import DataError

_DELIMITERS = ("\t", ";", ",")
_SNIFFED_ROWS = 20


@dataclass(frozen=True)
class TextTable:
    """Rows of equal length with the line each ends on; the header's names, or None where there is none."""

    path: Path
    header: tuple[str, ...] | None
    rows: list[list[str]]
    lines: list[int]

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.rows[0])

    def column(self, index: int) -> str:
        """Return how messages call a column: by its name, or by its number counting from 0."""
        return (
            f"column {index} (counting from 0)" if self.header is None else f"column {self.header[index]!r}"
        )


def number(cell: str) -> float | None:
    """Return the number a cell holds, or None where it holds none."""
    try:
        # Python reads 1_000 as a number; in a data file it is more likely an identifier.
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def read_text(path: Path, delimiter: str | None = None) -> TextTable:
    """Read a file of `,`, `;` or tab separated cells; a first row without any number is the header."""
    lines = _read_lines(path)
    rows, numbers = _parse(path, lines, delimiter or _sniff(lines))
    if not rows:
        raise DataError(f"{path}: the file is empty; expected rows of numbers and a target column")
    for cells, line in zip(rows, numbers, strict=True):
        if len(cells) != len(rows[0]):
            raise DataError(
                f"{path}, line {line}: expected {len(rows[0])} cells as in line {numbers[0]}, "
                f"got {len(cells)}"
            )
    header = None
    if all(number(cell) is None for cell in rows[0]):
        header = tuple(cell or f"column {index}" for index, cell in enumerate(rows[0]))
        rows, numbers = rows[1:], numbers[1:]
        _check_header(path, header, bool(rows))
    return TextTable(path, header, rows, numbers)


def _read_lines(path: Path) -> list[str]:
    try:
        # newline="" as the csv module asks for: it must see the line ends inside quotes.
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(file)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: expected UTF-8 text, but byte {error.start} of what was read is not; save it as UTF-8"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _parse(path: Path, lines: list[str], delimiter: str) -> tuple[list[list[str]], list[int]]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    rows, numbers = [], []
    try:
        for record in reader:
            cells = [cell.strip() for cell in record]
            # A blank line has no cell; a line of blanks has one, which only a one-column file could mean.
            if cells and cells != [""]:
                rows.append(cells)
                numbers.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not well-formed: {error}") from error
    return rows, numbers


def _sniff(lines: list[str]) -> str:
    """Return the delimiter that cuts the first rows into equally many cells, at least two.

    The comma comes last, since it is also the decimal mark of files that use a semicolon.
    """
    widths: dict[str, list[int]] = {}
    for delimiter in _DELIMITERS:
        reader = csv.reader([line for line in lines[:_SNIFFED_ROWS] if line.strip()], delimiter=delimiter)
        try:
            widths[delimiter] = [len(record) for record in reader]
        except csv.Error:
            widths[delimiter] = []
    for delimiter, found in widths.items():
        if found and found[0] >= 2 and len(set(found)) == 1:
            return delimiter
    # Ragged under each of them: the one that the first row has most of gives the clearest message.
    return max(reversed(_DELIMITERS), key=lambda delimiter: widths[delimiter][:1])


def _check_header(path: Path, header: tuple[str, ...], has_rows: bool) -> None:
    if not has_rows:
        raise DataError(f"{path}: the file has a header and no rows of data: {', '.join(header)}")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(
            f"{path}: column names must differ, {', '.join(map(repr, twice))} comes more than once"
        )
