"""NPZ files with inputs and targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...backends.archive import Archive
from ...backends.errors import DataError
from ...backends.host import Host
from .dataset import Dataset
from .targets import Targets, Task, check_task, targets_from_numbers, targets_from_text

_PAIRS = (("x", "y"), ("X", "Y"), ("X", "y"), ("inputs", "targets"), ("data", "target"))


def read_npz(path: str | Path, *, task: Task = "auto") -> Dataset:
    """Read an NPZ file with arrays `x` and `y` (or `X`/`Y`, `X`/`y`, `inputs`/`targets`, `data`/`target`).

    Parameters
    ----------
    path : str or Path
        A file of `numpy.savez` or `savez_compressed`; pickled objects are never loaded.
    task : {"auto", "classification", "regression"}
        How to read y of shape (N,) or (N, 1), as in `read_csv`; y of (N, K) is regression.

    Returns
    -------
    Dataset
        inputs (N, ...), float32 kept and other numbers as float64.
    """
    check_task(task)
    file = Path(path)
    inputs, values = _read_arrays(file)
    if values is None:
        raise DataError(f"{file}: expected inputs and targets (y), got no targets")
    targets, classes = _targets(values, task, f"{file}, targets")
    return Dataset(file.name, _floats(inputs, file), targets, classes)


def read_npz_rows(path: str | Path, *, task: Task) -> tuple[Host, Targets | None, str]:
    """Read inputs (N, ...) and their targets, if the file has any; see `table.read_rows`."""
    file = Path(path)
    inputs, values = _read_arrays(file)
    inputs = _floats(inputs, file)
    if values is None:
        return inputs, None, ""
    try:
        data = Dataset(file.name, inputs, *_targets(values, task, f"{file}, targets"))
    except DataError as error:
        return inputs, None, str(error)
    return inputs, (data.targets, data.classes), ""


def _floats(inputs: Host, file: Path) -> Host:
    if inputs.dtype.kind not in "fiub":
        raise DataError(f"{file}: expected inputs that are numbers, got dtype {inputs.dtype}")
    return inputs if inputs.dtype in (np.float32, np.float64) else inputs.astype(np.float64)


def _read_arrays(path: Path) -> tuple[Host, Host | None]:
    try:
        with path.open("rb") as stream, Archive(stream) as archive:
            names = archive.names
            for first, second in _PAIRS:
                if first in names and second in names:
                    return archive.read(first), archive.read(second)
            for first, _ in _PAIRS:
                if names == [first]:
                    return archive.read(first), None
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    present = ", ".join(sorted(names)) or "nothing"
    raise DataError(f"{path}: expected arrays x and y (or inputs and targets), got {present}")


def _targets(values: Host, task: Task, where: str) -> Targets:
    if values.ndim == 0 or len(values) == 0:
        raise DataError(f"{where}: expected (N,) or (N, K) with N of at least 1, got {values.shape}")
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.dtype.kind not in "fiubU":
        raise DataError(f"{where}: expected numbers or text, got dtype {values.dtype}")
    if values.ndim == 1:
        if values.dtype.kind == "U":
            return targets_from_text(values, task, where)
        return targets_from_numbers(values if values.dtype.kind != "b" else values.astype(int), task, where)
    if task == "classification" or values.dtype.kind == "U":
        raise DataError(
            f"{where}: expected class labels (N,), got {values.shape}; one-hot rows become labels by "
            f"targets.argmax(axis=1)"
        )
    return values if values.dtype in (np.float32, np.float64) else values.astype(np.float64), None
