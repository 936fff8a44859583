"""Run folders: claiming one, and locating the model in one."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

from ...backends import DataError
from ..data import SOURCES
from ..files import InUseError, OutputError, is_unused, workplace
from ..runs.folder import model_in

_LONGEST = 100


@contextlib.contextmanager
def run_folder(out: str | None, source: str) -> Iterator[Path]:
    """Claim a folder for a run: `out`, which is empty or new, or the next free runs/NAME-K.

    Raises
    ------
    OutputError
        If it is not empty, another run uses it, or it cannot be made or written; before the training, not
        after it.

    """
    if out is not None and not out.strip():
        raise OutputError(f"--out: expected a folder, got {out!r}")
    with contextlib.ExitStack() as exits:
        if out is None:
            yield _free_folder(exits, source)
            return
        folder = exits.enter_context(workplace("--out", Path(out)))
        if not is_unused(folder):
            raise OutputError(f"--out: expected an empty or new folder, got '{folder}', which is not empty")
        yield folder


def _free_folder(exits: contextlib.ExitStack, source: str) -> Path:
    """Claim the next free folder until `exits` closes."""
    name = source if source in SOURCES else Path(source).resolve().stem[:_LONGEST]
    for k in itertools.count(1):
        folder = Path("runs", f"{name}-{k}")
        if folder.exists():
            continue
        with contextlib.suppress(InUseError), contextlib.ExitStack() as claim:
            claim.enter_context(workplace("--out", folder))
            if is_unused(folder):  # no other run has just made it, and ended
                exits.enter_context(claim.pop_all())
                return folder
    raise AssertionError


def resumed_folder(run: str) -> contextlib.AbstractContextManager[Path]:
    """Claim the folder of a run that was stopped, and that `resumed` has found.

    Raises
    ------
    OutputError
        If another run uses it, or it cannot be written.

    """
    return workplace("--resume", Path(run))


def model_file(source: str) -> Path | None:
    """Return the model file of a source: the source itself, or a file in the run folder; else None."""
    path = Path(source)
    if path.suffix in (".safetensors", ".onnx"):
        return path
    try:
        return model_in(path)
    except OSError as error:  # a name that is too long, or a folder that may not be read
        raise DataError(f"'{source}' cannot be read: {error.strerror or error}") from error
