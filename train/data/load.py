"""`load_splits`: the data set of a name or a path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...backends.errors import DataError, OptionError, did_you_mean
from ...backends.options import flag, integer, number, shown
from ..files import as_path
from .cubes import cubes
from .dataset import Dataset
from .digits import digits_splits
from .disc import MOST_DRAWN, disc
from .idx import idx_splits
from .npz import read_npz
from .opened import is_archive
from .splits import Splits
from .table import read_csv
from .targets import Task, check_task

_ENDS = {".csv": "CSV", ".tsv": "CSV", ".npz": "NPZ"}
_ROWS, _VALIDATION, _TEST = 1000, 0.1, 0.2
# The options of each kind of source; any other option is an error.
_OPTIONS = {
    "disc": ("variant", "n", "validation"),
    "cubes": ("n", "validation"),
    "digits": (),
    "CSV": ("target", "task", "header", "validation", "test"),
    "NPZ": ("task", "validation", "test"),
    "IDX": ("validation",),
}
SOURCES = ("disc", "cubes", "digits")
"""The named data sets; any other source is a path."""


def load_splits(
    source: str | Path,
    *,
    seed: int = 0,
    variant: str | None = None,
    n: int | None = None,
    target: str | int | None = None,
    task: Task = "auto",
    header: bool | None = None,
    validation: float | None = None,
    test: float | None = None,
    check_finite: bool = False,
) -> Splits:
    """Load the train, validation and test sets of a named data set or of a path.

    An option that the source does not have raises OptionError, unless it is None.

    Parameters
    ----------
    source : str or Path
        "disc", "cubes", "digits"; a `.csv`, `.tsv` or `.npz` file; or a folder of IDX files. gzip may be
        around any file.
    seed : int
        Draws disc and cubes, and splits files. digits has a fixed split.
    variant : str, optional
        disc: a name in `DISC_VARIANTS` (default "jin").
    n : int, optional
        disc, cubes: the size of train and, as in the papers, of test (default 1000).
    target, task
        CSV: the target column (default: the last). CSV, NPZ: how to read it, as in `read_csv`.
    header : bool, optional
        CSV: whether the first row names the columns (default: it does if none of its cells is a number).
    validation : float, optional
        Share held out for validation (default 0.1; 0 for none), of all rows (CSV, NPZ) or of the training
        files (IDX). For disc and cubes, n times this many samples are drawn in addition.
    test : float, optional
        CSV, NPZ: share of all rows held out for the test (default 0.2).
    check_finite : bool
        Raise a DataError at the first NaN or infinity.
    """
    as_path("load_splits", source)
    seed = integer("load_splits", "seed", seed, least=0, most=2**64 - 1)
    check_finite = flag("load_splits", "check_finite", check_finite)
    check_task(task)
    kind = _kind(source)
    options = {
        "variant": variant,
        "n": n,
        "target": target,
        "task": None if task == "auto" else task,
        "header": header,
        "validation": validation,
        "test": test,
    }
    _check_options(source, kind, options)
    share = _VALIDATION if validation is None else validation
    number("load_splits", "validation", share, least=0, below=1)
    rows = _ROWS if n is None else integer("load_splits", "n", n, most=MOST_DRAWN)
    if kind == "disc":
        splits = _drawn(disc, rows, share, seed=seed, variant="jin" if variant is None else variant)
    elif kind == "cubes":
        splits = _drawn(cubes, rows, share, seed=seed)
    elif kind == "digits":
        splits = digits_splits()
    elif kind == "IDX":
        splits = idx_splits(source, validation=share, seed=seed)
    else:
        if kind == "CSV":
            data = read_csv(source, target=target, task=task, header=header)
        else:
            data = read_npz(source, task=task)
        if check_finite:
            data.check_finite()  # before the shuffle, so that the error names the row of the file
        splits = _cut(data, share, _TEST if test is None else test, seed)
    if check_finite:
        splits.check_finite()
    return splits


def _kind(source: str | Path) -> str:
    """Return the source's key in `_OPTIONS`; a named data set wins over a file of the same name."""
    if str(source) in SOURCES:
        return str(source)
    path = Path(source)
    try:
        return _kind_of_path(path, source)
    except OSError as error:  # a name that is too long, or a folder that may not be read
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _kind_of_path(path: Path, source: str | Path) -> str:
    if path.is_dir() and str(source):
        return "IDX"
    if path.is_file():
        return file_kind(path)
    if path.suffix or len(path.parts) > 1:
        folder = path.parent
        near = did_you_mean(path.name, (file.name for file in folder.iterdir())) if folder.is_dir() else ""
        raise DataError(f"{path}: expected a file or folder, got no such one.{near}")
    raise DataError(
        f"Unknown data set: expected {', '.join(SOURCES)}, a .csv, .tsv or .npz file, or a folder of IDX "
        f"files, got {shown(str(source))}.{did_you_mean(str(source), SOURCES)}"
    )


def file_kind(path: Path) -> str:
    """Return "CSV" or "NPZ": by a file's ending, which `.gz` may follow, and by its first bytes."""
    end = next((end for end in map(str.lower, reversed(path.suffixes)) if end != ".gz"), "")
    if end in ("", *_ENDS) and is_archive(path):
        return "NPZ"
    if end not in _ENDS:
        got = f"a file that ends in {shown(end)}" if end else "one of another format"
        raise DataError(f"{path}: expected a .csv, .tsv or .npz file, or a folder of IDX files, got {got}")
    return _ENDS[end]


def _check_options(source: str | Path, kind: str, options: dict[str, Any]) -> None:
    for option, value in options.items():
        if value is not None and option not in _OPTIONS[kind]:
            kinds = ", ".join(name for name, known in _OPTIONS.items() if option in known)
            raise OptionError(
                f"{option} = {shown(value)}: expected a data set of kind {kinds}, got {shown(str(source))}"
            )


def _drawn(draw: Callable[..., Dataset], n: int, validation: float, **options: Any) -> Splits:
    held_out = round(n * validation)
    if validation > 0 and held_out == 0:
        raise DataError(f"validation: expected 0, or a share of at least one of {n} rows, got {validation}")
    return Splits(
        draw(n, split="train", **options),
        draw(held_out, split="validation", **options) if held_out else None,
        draw(n, split="test", **options),
    )


def _cut(data: Dataset, validation: float, test: float, seed: int) -> Splits:
    number("load_splits", "test", test, above=0, below=1)
    if validation + test >= 1:
        raise OptionError(f"load_splits: expected validation + test below 1, got {validation} + {test}")
    if validation == 0:
        kept, held_out = data.split((1 - test, test), seed=seed)
        return Splits(kept, None, held_out)
    train, middle, last = data.split((1 - validation - test, validation, test), seed=seed)
    return Splits(train, middle, last)
