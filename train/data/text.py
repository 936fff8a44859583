"""Delimited text as rows of cells with their line numbers, and a header."""

from __future__ import annotations

import codecs
import csv
import io
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path

from ...backends.errors import DataError
from ...backends.options import listed, shown
from .column import number
from .opened import opened

_DELIMITERS = ("\t", ";", ",")
_SNIFFED_ROWS = 20
MOST_COLUMNS = 100_000
"""The most columns of a table: text takes a hundred times the memory of its numbers."""
_SHOWN_CELLS = 4
_BROKEN = "a quoted cell that does not end, or text after its closing quote"
_CHUNK = 1 << 16


class TextTable:
    """Rows of equal length, read one by one, and the names in the header, if there is one.

    Parameters
    ----------
    path, header
        The file, and its names.
    rows
        Each row's cells with its last line.
    reading
        How the first row was read, and how to choose otherwise.
    """

    def __init__(
        self, path: Path, header: tuple[str, ...] | None, rows: Iterator[tuple[list[str], int]], reading: str
    ) -> None:
        self.path, self.header, self.reading = path, header, reading
        (first, line), rest = next(rows), rows
        self.width = len(first)
        """The number of columns."""
        self.lines = array("I")
        """The last line of each row that was read."""
        self._rows = chain([(first, line)], rest)

    def rows(self) -> Iterator[list[str]]:
        """Yield each row's cells."""
        for cells, line in self._rows:
            self.lines.append(line)
            yield cells

    def column(self, index: int) -> str:
        """Return a column's name for messages, or its number from 0."""
        if self.header is None:
            return f"column {index} (counting from 0)"
        return f"column {shown(self.header[index])}"


@contextmanager
def text_table(path: Path, delimiter: str | None = None, header: bool | None = None) -> Iterator[TextTable]:
    """Open a file of `,`, `;` or tab separated cells, plain or gzipped.

    header: whether the first row holds names; by default it does if none of its cells is a number.
    """
    try:
        with opened(path) as stream:
            # newline="": the csv module must see the line ends inside quotes.
            text = io.TextIOWrapper(stream, "utf-8-sig", newline="")  # type: ignore[type-var]  # it has all
            lines = iter(text)
            start = list(islice(lines, _SNIFFED_ROWS))
            yield _table(path, _records(path, chain(start, lines), delimiter or _sniff(start)), header)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: expected UTF-8 text, got another byte at {_place_of_no_text(path)}; "
            "save the file as UTF-8"
        ) from error


def _table(path: Path, records: Iterator[tuple[list[str], int]], header: bool | None) -> TextTable:
    first = next(records, None)
    if first is None:
        raise DataError(f"{path}: expected rows of numbers and a target column, got an empty file")
    cells, line = first
    start = ", ".join(shown(cell)[1:-1] for cell in cells[:_SHOWN_CELLS])
    start += ", ..." if len(cells) > _SHOWN_CELLS else ""
    if header is None:
        header = all(number(cell) is None for cell in cells)
    rows = _equally_long(path, first, records)
    if not header:
        reading = f"line {line} ({start}) is data; --header reads it as the columns' names"
        return TextTable(path, None, rows, reading)
    reading = f"line {line} ({start}) names the columns; --no-header reads it as data"
    names = tuple(cell or f"column {index}" for index, cell in enumerate(cells))
    next(rows)
    second = next(rows, None)
    _check_header(path, names, second is not None)
    return TextTable(path, names, chain([second] if second else [], rows), reading)


def _equally_long(
    path: Path, first: tuple[list[str], int], records: Iterator[tuple[list[str], int]]
) -> Iterator[tuple[list[str], int]]:
    """Yield the first record and the others; DataError at one of another length."""
    width = len(first[0])
    for cells, line in chain([first], records):
        if len(cells) != width:
            raise DataError(
                f"{path}, line {line}: expected {width} cells as in line {first[1]}, got {len(cells)}"
            )
        yield cells, line


def _place_of_no_text(path: Path) -> int:
    """Return the place of the first byte that is no UTF-8."""
    decoder, place = codecs.getincrementaldecoder("utf-8")(), 0
    with opened(path) as stream:
        while True:
            chunk = stream.read(_CHUNK)
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                return place - held + error.start
            if not chunk:
                return place
            place += len(chunk)


def _records(path: Path, lines: Iterable[str], delimiter: str) -> Iterator[tuple[list[str], int]]:
    """Yield the cells of each record that is not blank, and the number of its last line."""
    reader = csv.reader(_short_enough(path, lines, delimiter), delimiter=delimiter, strict=True)
    try:
        for record in reader:
            if len(record) > MOST_COLUMNS:
                raise _too_wide(path, reader.line_num, len(record))
            cells = [cell.strip() for cell in record]
            # A blank line has no cell; a line of spaces has one, which is empty.
            if cells and cells != [""]:
                yield cells, reader.line_num
    except csv.Error as error:
        long = "field limit" in str(error)
        got = f"a cell of more than {csv.field_size_limit():,} characters" if long else _BROKEN
        raise DataError(f"{path}, line {reader.line_num}: expected well-formed CSV, got {got}") from error


def _short_enough(path: Path, lines: Iterable[str], delimiter: str) -> Iterator[str]:
    """Yield lines; DataError at one of too many cells, however its quotes stand."""
    for place, line in enumerate(lines, start=1):
        if line.count(delimiter) > MOST_COLUMNS + csv.field_size_limit():
            raise _too_wide(path, place, line.count(delimiter) + 1)
        yield line


def _too_wide(path: Path, line: int, count: int) -> DataError:
    return DataError(
        f"{path}, line {line}: expected at most {MOST_COLUMNS:,} columns, got {count:,}; save them as NPZ, "
        "or choose some"
    )


def _sniff(lines: list[str]) -> str:
    """Return the delimiter that splits the first rows into equally many cells, at least two.

    The comma comes last: it is also the decimal mark in files with semicolons.
    """
    widths: dict[str, list[int]] = {}
    lines = [line for line in lines if line.strip()]
    for delimiter in _DELIMITERS:
        counts = [line.count(delimiter) for line in lines]
        if max(counts, default=0) > MOST_COLUMNS:  # too many to make them cells
            widths[delimiter] = [count + 1 for count in counts]
            continue
        reader = csv.reader(lines, delimiter=delimiter)
        try:
            widths[delimiter] = [len(record) for record in reader]
        except csv.Error:
            widths[delimiter] = []
    for delimiter, found in widths.items():
        if found and found[0] >= 2 and len(set(found)) == 1:
            return delimiter
    # All give ragged rows: the most frequent one in the first row gives the clearest message.
    return max(reversed(_DELIMITERS), key=lambda delimiter: widths[delimiter][:1])


def _check_header(path: Path, header: tuple[str, ...], has_rows: bool) -> None:
    if not has_rows:
        raise DataError(f"{path}: expected rows of data, got a header alone: {listed(header)}")
    twice = sorted(name for name, count in Counter(header).items() if count > 1)
    if twice:
        raise DataError(
            f"{path}: expected different column names, got {listed(map(shown, twice))} more than once"
        )
