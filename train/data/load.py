"""One door to every data set: a name, or a path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...backends.errors import DataError, OptionError, did_you_mean
from .cubes import cubes
from .dataset import Dataset
from .digits import digits_splits
from .disc import disc
from .idx import idx_splits
from .npz import read_npz
from .splits import Splits
from .table import read_csv
from .targets import Task, check_task

_CSV_ENDS = (".csv", ".tsv")
_ROWS, _VALIDATION, _TEST = 1000, 0.1, 0.2
# What each kind of source lets the user choose: an option that would change nothing is an error, not ignored.
_OPTIONS = {
    "disc": ("variant", "n", "validation"),
    "cubes": ("n", "validation"),
    "digits": (),
    "CSV": ("target", "task", "validation", "test"),
    "NPZ": ("task", "validation", "test"),
    "IDX": ("validation",),
}
SOURCES = ("disc", "cubes", "digits")
"""The data sets that have a name; anything else is a path."""


def load_splits(
    source: str | Path,
    *,
    seed: int = 0,
    variant: str | None = None,
    n: int | None = None,
    target: str | int | None = None,
    task: Task = "auto",
    validation: float | None = None,
    test: float | None = None,
    check_finite: bool = False,
) -> Splits:
    """Load train, validation and test sets by the name of a data set or by a path.

    An option that does not apply to the source is an `OptionError`; leave it out, or pass None.

    Parameters
    ----------
    source : str or Path
        "disc", "cubes", "digits"; a `.csv`, `.tsv` or `.npz` file; or a folder of IDX files.
    seed : int
        Draws disc and cubes, and splits files. The split of digits is fixed.
    variant : str, optional
        disc: the rule, a name in `DISC_VARIANTS` (default "jin").
    n : int, optional
        disc, cubes: the size of train and, as in the papers, of test as well (default 1000).
    target, task
        CSV: the target column (default the last). CSV, NPZ: how to read it; see `read_csv`.
    validation : float, optional
        The share held out for validation (default 0.1; 0 for none). disc, cubes: drawn besides train, n times
        this many. CSV, NPZ: a share of all rows. IDX: a share of the training files.
    test : float, optional
        CSV, NPZ: the share of all rows held out for test (default 0.2).
    check_finite : bool
        Raise a `DataError` that names the first NaN or infinity.
    """
    check_task(task)
    kind = _kind(source)
    given = {
        "variant": variant,
        "n": n,
        "target": target,
        "task": None if task == "auto" else task,
        "validation": validation,
        "test": test,
    }
    _check_options(source, kind, given)
    share = _VALIDATION if validation is None else validation
    if not 0 <= share < 1:
        raise OptionError(f"validation must be from 0 to below 1, got {share}")
    rows = _ROWS if n is None else n
    if kind == "disc":
        splits = _drawn(disc, rows, share, seed=seed, variant=variant or "jin")
    elif kind == "cubes":
        splits = _drawn(cubes, rows, share, seed=seed)
    elif kind == "digits":
        splits = digits_splits()
    elif kind == "IDX":
        splits = idx_splits(source, validation=share, seed=seed)
    else:
        data = read_csv(source, target=target, task=task) if kind == "CSV" else read_npz(source, task=task)
        if check_finite:
            data.check_finite()  # before the rows are shuffled: the number of the row is then the file's
        splits = _cut(data, share, _TEST if test is None else test, seed)
    if check_finite:
        splits.check_finite()
    return splits


def _kind(source: str | Path) -> str:
    """Return the row of `_OPTIONS` that the source is; a built-in name wins over a file of that name."""
    if str(source) in SOURCES:
        return str(source)
    path = Path(source)
    if path.is_dir() and str(source):
        return "IDX"
    end = path.suffix.lower()
    if path.is_file() and end not in (*_CSV_ENDS, ".npz"):
        raise DataError(f"{path}: expected a .csv, .tsv or .npz file, or a folder of IDX files")
    if path.is_file():
        return "CSV" if end in _CSV_ENDS else "NPZ"
    if end or len(path.parts) > 1:
        folder = path.parent
        near = did_you_mean(path.name, [file.name for file in folder.iterdir()]) if folder.is_dir() else ""
        raise DataError(f"{path}: no such file or folder.{near}")
    raise DataError(
        f"Unknown data set {str(source)!r}. Available: {', '.join(SOURCES)}, a path to a .csv, .tsv or .npz "
        f"file, or to a folder of IDX files.{did_you_mean(str(source), SOURCES)}"
    )


def _check_options(source: str | Path, kind: str, given: dict[str, Any]) -> None:
    for option, value in given.items():
        if value is not None and option not in _OPTIONS[kind]:
            takers = [name for name, options in _OPTIONS.items() if option in options]
            raise OptionError(
                f"{option} = {value!r} does not apply to {str(source)!r}; it is for {', '.join(takers)}"
            )


def _drawn(draw: Callable[..., Dataset], n: int, validation: float, **options: Any) -> Splits:
    held_out = round(n * validation)
    if validation > 0 and held_out == 0:
        raise DataError(f"validation = {validation} of n = {n} is no row; use 0, or more of either")
    return Splits(
        draw(n, split="train", **options),
        draw(held_out, split="validation", **options) if held_out else None,
        draw(n, split="test", **options),
    )


def _cut(data: Dataset, validation: float, test: float, seed: int) -> Splits:
    if not 0 < test < 1 or validation + test >= 1:
        raise OptionError(
            f"test must be above 0 and below 1, and leave rows for train, got validation = {validation} and "
            f"test = {test}"
        )
    if validation == 0:
        kept, held_out = data.split((1 - test, test), seed=seed)
        return Splits(kept, None, held_out)
    train, middle, last = data.split((1 - validation - test, validation, test), seed=seed)
    return Splits(train, middle, last)
