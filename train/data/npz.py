"""NPZ files with inputs and targets."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from ...backends.archive import Archive
from ...backends.errors import DataError
from ...backends.host import Host
from ..files import as_path
from .dataset import Dataset
from .opened import Inflated, opened
from .rows import Rows
from .targets import Targets, Task, check_task, class_notes, targets_from_numbers, targets_from_texts

_PAIRS = (("x", "y"), ("X", "Y"), ("X", "y"), ("inputs", "targets"), ("data", "target"))


def read_npz(path: str | Path, *, task: Task = "auto") -> Dataset:
    """Read an NPZ file with arrays `x` and `y` (or `X`/`Y`, `X`/`y`, `inputs`/`targets`, `data`/`target`).

    Parameters
    ----------
    path : str or Path
        A file of `numpy.savez` or `savez_compressed`; pickled objects are never loaded.
    task : {"auto", "classification", "regression"}
        How to read y of shape (N,) or (N, 1): as classes if it is text, or integers of few values (as in
        `read_csv`) or of 2^53 and more; else as numbers. y of (N, K) is regression.

    Returns
    -------
    Dataset
        inputs (N, ...), float32 kept and other numbers as float64.
    """
    check_task(task)
    file = as_path("read_npz", path)
    inputs, values = _read_arrays(file)
    if values is None:
        raise DataError(f"{file}: expected inputs and targets (y), got no targets")
    targets, classes = _targets(values, task, f"{file}, targets")
    notes = tuple(class_notes(classes or ()))
    return Dataset(file.name, _floats(inputs, file), targets, classes, notes=notes)


def read_npz_rows(path: str | Path, *, task: Task) -> Rows:
    """Read inputs (N, ...) and their targets, if the file has any."""
    file = Path(path)
    inputs, values = _read_arrays(file)
    inputs = _floats(inputs, file)
    if values is None:
        return Rows(inputs)
    try:
        data = Dataset(file.name, inputs, *_targets(values, task, f"{file}, targets"))
    except DataError as error:
        return Rows(inputs, problem=str(error))
    return Rows(inputs, (data.targets, data.classes))


def _floats(inputs: Host, file: Path) -> Host:
    if inputs.dtype.kind not in "fiub":
        raise DataError(f"{file}: expected inputs that are numbers, got dtype {inputs.dtype}")
    return inputs if inputs.dtype in (np.float32, np.float64) else inputs.astype(np.float64)


def _read_arrays(path: Path) -> tuple[Host, Host | None]:
    with opened(path) as stream:
        # gzip would decompress from the start at each seek.
        source: Any = io.BytesIO(stream.read()) if isinstance(stream, Inflated) else stream
        try:
            with Archive(source) as archive:
                names = archive.names
                for first, second in _PAIRS:
                    if first in names and second in names:
                        return archive.read(first), archive.read(second)
                for first, _ in _PAIRS:
                    if names == [first]:
                        return archive.read(first), None
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
    present = ", ".join(sorted(names)) or "nothing"
    raise DataError(f"{path}: expected arrays x and y (or inputs and targets), got {present}")


def _from_texts(values: Host, task: Task, where: str) -> Targets:
    names, labels = np.unique(values, return_inverse=True)
    if not names[0]:
        raise DataError(
            f"{where}, row {int(np.argmax(values == ''))} (counting from 0): expected a class, got an empty "
            "text. Fill it in or remove the row."
        )
    return targets_from_texts(labels.astype(np.int64, copy=False), [str(name) for name in names], task, where)


def _targets(values: Host, task: Task, where: str) -> Targets:
    if values.ndim == 0 or len(values) == 0:
        raise DataError(f"{where}: expected (N,) or (N, K) with N at least 1, got {values.shape}")
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.dtype.kind not in "fiubU":
        raise DataError(f"{where}: expected numbers or text, got dtype {values.dtype}")
    if values.ndim == 1:
        if values.dtype.kind == "U":
            return _from_texts(values, task, where)
        return targets_from_numbers(values if values.dtype.kind != "b" else values.astype(int), task, where)
    if task == "classification" or values.dtype.kind == "U":
        raise DataError(
            f"{where}: expected class labels (N,), got {values.shape}; one-hot rows become labels by "
            f"targets.argmax(axis=1)"
        )
    return values if values.dtype in (np.float32, np.float64) else values.astype(np.float64), None
