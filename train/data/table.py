"""CSV files: one row per sample, one column for the target."""

from __future__ import annotations

from array import array
from pathlib import Path

import numpy as np

from ...backends.errors import DataError, OptionError, did_you_mean
from ...backends.options import flag, integer, listed, shown
from ..files import as_path
from .column import Column, number
from .dataset import Dataset
from .rows import Rows
from .scaling import FloatArray
from .targets import Targets, Task, check_task, class_notes, targets_from_cells
from .text import TextTable, text_table


def read_csv(
    path: str | Path,
    *,
    target: str | int | None = None,
    task: Task = "auto",
    delimiter: str | None = None,
    header: bool | None = None,
) -> Dataset:
    """Read a CSV file: every column is a numeric feature, except the target.

    Class names are the cells' texts, without spaces around them: 00501 and 501 are two classes, and so are
    1 and 1.0.

    Parameters
    ----------
    path : str or Path
        UTF-8 text, plain or gzipped.
    target : str or int, optional
        The target column: its name, or its number from 0 (negative: from the end). Default: the last.
    task : {"auto", "classification", "regression"}
        "auto" means classification if a cell of the target is no number; if it has at most 20 different
        values, all integers, with two rows each on average (or just two values); or if it holds codes, which
        are integers alone, one of them with a zero in front or from 2^53 on. Else it means regression.
    delimiter : str, optional
        Default: a tab, `;` or `,`, the one that splits the first rows evenly.
    header : bool, optional
        Whether the first row names the columns. Default: it does if none of its cells is a number.

    Returns
    -------
    Dataset
        inputs (N, D) float64; targets (N,) int64 with `classes` (sorted, by number if all are numbers), or
        (N, 1) float64. `notes` say how the file was read.
    """
    check_task(task)
    if delimiter is not None and (
        not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n'
    ):
        raise OptionError(
            f"read_csv: expected delimiter to be one character, such as ';', got {shown(delimiter)}"
        )
    header = None if header is None else flag("read_csv", "header", header)
    with text_table(as_path("read_csv", path), delimiter, header) as table:
        if table.width < 2:
            raise DataError(
                f"{path}: expected a target column and at least one feature, separated by ',', ';' or tab, "
                f"got one column"
            )
        chosen = _find_target(table, target)
        features = [index for index in range(table.width) if index != chosen]
        inputs, cells = _collected(table, features, chosen)
    targets, classes = _targets(table, cells, chosen, task)
    notes = (table.reading, *class_notes(classes or ()))
    if table.header is None:
        return Dataset(table.path.name, inputs, targets, classes, notes=notes)
    names = tuple(table.header[index] for index in features)
    return Dataset(table.path.name, inputs, targets, classes, names, table.header[chosen], notes)


def _find_target(table: TextTable, target: str | int | None) -> int:
    """Return the index of the target column; a column named "3" wins over column 3."""
    if target is None:
        return table.width - 1
    if isinstance(target, str):
        if table.header is not None and target in table.header:
            return table.header.index(target)
        try:
            number_of = int(target)
        except ValueError:
            known = table.header or ()
            columns = f"one of {listed(known)}" if known else "a number from 0 (there is no header)"
            raise DataError(
                f"{table.path}: expected the target column to be {columns}, got {shown(target)}."
                f"{did_you_mean(target, known)}"
            ) from None
        return _find_target(table, number_of)
    index = integer("read_csv", "target", target, least=None)
    if not -table.width <= index < table.width:
        raise DataError(
            f"{table.path}: expected a target column from 0 to {table.width - 1}, got {shown(target)}"
        )
    return index % table.width


def _collected(table: TextTable, features: list[int], chosen: int | None) -> tuple[FloatArray, Column]:
    """Return the features (N, D) of all rows, and the cells of the chosen column."""
    values, column = array("d"), Column()
    for cells in table.rows():
        try:
            values.extend([float(cells[index]) for index in features])
        except ValueError:
            raise _bad_feature(table, cells, features) from None
        if any("_" in cells[index] for index in features):
            raise _bad_feature(table, cells, features)
        if chosen is not None:
            column.add(cells[chosen])
    return np.frombuffer(values, np.float64).reshape(-1, len(features)), column


def _bad_feature(table: TextTable, cells: list[str], features: list[int]) -> DataError:
    index = next(index for index in features if number(cells[index]) is None)
    return _bad_cell(table, len(table.lines) - 1, index, cells[index])


def _targets(table: TextTable, cells: Column, chosen: int, task: Task) -> Targets:
    where = f"{table.path}, target {table.column(chosen)}"
    if empty := cells.first("empty"):
        raise _bad_cell(table, empty[0], chosen, "")
    count = len(cells) - cells.texts
    text = cells.first("text")
    # An "NA" among numbers must not become a class, nor turn every number into one.
    if text is not None and (task == "regression" or (task == "auto" and count > len(cells) / 2)):
        raise _bad_cell(table, text[0], chosen, text[1])
    return targets_from_cells(cells, task, where, lambda row: f"line {table.lines[row]}")


def _bad_cell(table: TextTable, row: int, index: int, cell: str) -> DataError:
    where = f"{table.path}, line {table.lines[row]}, {table.column(index)}"
    if not cell:
        return DataError(f"{where}: expected a value, got an empty cell. Fill it in or remove the line.")
    hint = ""
    if number(cell.replace(",", ".")) is not None:
        hint = " Write decimals with a point."
    elif row == 0 and table.header is None:
        hint = " The first row is a header if no cell is a number; --header (header=True) makes it one."
    return DataError(f"{where}: expected a number, got {shown(cell)}.{hint}")


def read_rows(
    path: str | Path,
    count: int,
    *,
    task: Task,
    names: tuple[str, ...] | None = None,
    target: str | int | None = None,
    header: bool | None = None,
) -> Rows:
    """Read rows for a model of `count` features, and their targets if the file has any.

    If the file and the model both have names, columns are selected by name; others are ignored. Otherwise
    the file has `count` columns, or one more for the target.

    Parameters
    ----------
    path : str or Path
        As for `read_csv`.
    count : int
        The number of features of the model.
    task : {"classification", "regression"}
        The kind of its targets.
    names : tuple of str, optional
        The names of its features.
    target : str or int, optional
        Its target column, by name or number (default: the last).
    header : bool, optional
        Whether the first row names the columns, as in `read_csv`.
    """
    with text_table(as_path("read_csv", path), header=header) as table:
        if names is not None and table.header is not None:
            features, chosen = _columns_by_name(table, names, target)
        else:
            named = names is not None or (isinstance(target, str) and number(target) is None)
            features, chosen = _columns_by_number(table, count, target, named=named)
        inputs, cells = _collected(table, features, chosen)
    if chosen is None:
        return Rows(inputs, reading=table.reading)
    try:
        return Rows(inputs, _targets(table, cells, chosen, task), reading=table.reading)
    except DataError as error:  # only a score needs the targets
        return Rows(inputs, problem=str(error), reading=table.reading)


def _columns_by_name(
    table: TextTable, names: tuple[str, ...], target: str | int | None
) -> tuple[list[int], int | None]:
    header = table.header or ()
    absent = [name for name in names if name not in header]
    if absent:
        raise DataError(
            f"{table.path}: expected a column {shown(absent[0])}, got {listed(header)}."
            f"{did_you_mean(absent[0], header)}"
        )
    return [header.index(name) for name in names], header.index(target) if target in header else None


def _columns_by_number(
    table: TextTable, count: int, target: str | int | None, *, named: bool
) -> tuple[list[int], int | None]:
    if table.width == count:
        return list(range(count)), None
    lost = named and target is not None and target not in (table.header or ())
    if table.width != count + 1 or lost:
        also = "" if lost else f" (or {count + 1} with the target)"
        raise DataError(f"{table.path}: expected {count} columns of features{also}, got {table.width}")
    chosen = _find_target(table, target)
    return [index for index in range(table.width) if index != chosen], chosen
