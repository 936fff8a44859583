"""Run folders: making one, and locating the model in one."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from ...backends import DataError
from ..data import SOURCES
from ..files import OutputError, claimed, is_unused
from ..runs.record import check_run

_LONGEST = 100


@contextlib.contextmanager
def run_folder(out: str | None, source: str) -> Iterator[Path]:
    """Claim a folder for a run: `out`, which is empty or new, or the next free runs/NAME-K.

    At the end, a folder that was made here and is still empty is removed.

    Raises
    ------
    OutputError
        If it is not empty, another run uses it, or it cannot be made or written; before the training, not
        after it.

    """
    if out is not None and not out.strip():
        raise OutputError(f"--out: expected a folder, got {out!r}")
    made: list[Path] = []
    with contextlib.ExitStack() as exits:
        exits.callback(_remove_empty, made)
        try:
            folder = _free_folder(source, made) if out is None else _made(Path(out), made)
            exits.enter_context(claimed(folder))
            if not is_unused(folder):
                raise OutputError(
                    f"--out: expected an empty or new folder, got '{folder}', which is not empty"
                )
        except FileExistsError as error:
            raise OutputError(
                f"--out: expected a folder, got the existing file '{error.filename}'"
            ) from error
        except OutputError:
            raise
        except OSError as error:
            where = error.filename if out is None else out
            raise OutputError(f"Cannot write the run folder '{where}': {error.strerror or error}.") from error
        yield folder


@contextlib.contextmanager
def resumed_folder(run: str) -> Iterator[Path]:
    """Claim the folder of a run that was stopped.

    Raises
    ------
    OutputError
        If another run uses it, or it cannot be written.

    """
    try:
        with claimed(Path(run)):
            yield Path(run)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"Cannot write the run folder '{run}': {error.strerror or error}.") from error


def model_file(source: str) -> Path | None:
    """Return the model file of a source: the source itself, or a file in the run folder; else None."""
    path = Path(source)
    if path.suffix in (".safetensors", ".onnx"):
        return path
    inside = path / "model.safetensors"
    try:
        if not inside.is_file():
            return None
        check_run(path)
        return inside
    except OSError as error:  # a name that is too long, or a folder that may not be read
        raise DataError(f"'{source}' cannot be read: {error.strerror or error}") from error


def _made(folder: Path, made: list[Path]) -> Path:
    """Make a folder and those above it; add the new ones to the list."""
    missing = []
    place = folder
    while not place.exists():
        missing.append(place)
        place = place.parent
    for new in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another run has just made it
            new.mkdir()
            made.append(new)
    if not folder.is_dir():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))
    return folder


def _remove_empty(made: list[Path]) -> None:
    for folder in reversed(made):
        with contextlib.suppress(OSError):
            folder.rmdir()


def _free_folder(source: str, made: list[Path]) -> Path:
    name = source if source in SOURCES else Path(source).resolve().stem[:_LONGEST]
    runs = _made(Path("runs"), made)
    for k in itertools.count(1):
        with contextlib.suppress(FileExistsError):  # it exists, or another run has just made it
            (runs / f"{name}-{k}").mkdir()
            made.append(runs / f"{name}-{k}")
            return made[-1]
    raise AssertionError
