"""The runs in a folder: the state, the data, the score and the age of each."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...backends import DataError
from ..files import is_claimed, read_sealed
from ..files.tree import put_together
from ..loop.checkpoint_folder import checkpoints_in, epoch_of
from ..loop.history import History
from ..loop.state import SEAL
from .folder import CHECKPOINTS
from .record import NAME, Record

_LARGEST = 64 * 2**20
"""The most bytes of a checkpoint that is read for its history alone."""


@dataclass(frozen=True)
class Listed:
    """What a list says of a run."""

    folder: Path
    state: str
    """As `lamina runs` says it: running, done, interrupted, failed or unreadable."""
    age: float
    """Seconds since the run started, or, once it has ended, since its end."""
    data: str = ""
    epochs: int = 0
    """Finished epochs."""
    planned: int = 0
    score: float | None = None
    measure: str = "accuracy"
    """What the score is: "accuracy", or "r2" if the targets are numbers."""
    of: str = ""
    """The part of the data that the score is of, "test" or "validation"."""
    fault: str = ""
    """Why it failed, or cannot be read."""


def list_runs(folder: Path) -> list[Listed]:
    """Return the runs in a folder, or the run that is the folder itself; the newest first.

    Raises
    ------
    DataError
        If the folder cannot be read.

    """
    try:
        places = [folder] if (folder / NAME).exists() else list(folder.iterdir())
        found = [_listed(place) for place in places if (place / NAME).exists()]
    except OSError as error:
        raise DataError(f"'{folder}' cannot be read: {error.strerror or error}") from error
    return sorted(found, key=lambda one: (one.age, str(one.folder)))


def _listed(folder: Path) -> Listed:
    # A clock that was set back must not give a run a negative age.
    age = max(time.time() - (folder / NAME).stat().st_mtime, 0.0)
    try:
        record = Record.read(folder)
    except DataError as error:
        return Listed(folder, "unreadable", age, fault=str(error))
    state, results = _state(folder, record), record.results
    planned = record.recipe.epochs or 0
    if state == "done" or results.get("exploded"):
        measure = "r2" if "test_r2" in results else "accuracy"
        fault = str(results.get("stopped", "")) if state == "failed" else ""
        return Listed(
            folder, state, age, record.recipe.source, int(results.get("epochs") or 0), planned,
            _number(results.get(f"test_{measure}")), measure, "test", fault,
        )  # fmt: skip
    epochs, score = _progress(folder)
    fault = str(results.get("error", "")) if state == "failed" else ""
    data = record.recipe.source
    return Listed(folder, state, age, data, epochs, planned, score, of="validation", fault=fault)


def _state(folder: Path, record: Record) -> str:
    if record.state == "running":
        return "running" if is_claimed(folder) else "interrupted"
    return "failed" if record.state == "done" and record.results.get("exploded") else record.state


def _progress(folder: Path) -> tuple[int, float | None]:
    """Return the finished epochs of the last checkpoint, and its validation accuracy if it has one."""
    try:
        found = checkpoints_in(folder / CHECKPOINTS)
        if not found:
            return 0, None
        if found[-1].stat().st_size > _LARGEST:
            return epoch_of(found[-1]), None
        arrays, description = read_sealed("lamina runs", found[-1], SEAL)
        rows = list(History.from_arrays(**put_together(description["state"]["history"], arrays)))
    except (DataError, OSError, KeyError, TypeError):  # damaged, or removed by now
        return 0, None
    return len(rows), _number(rows[-1].get("validation_accuracy")) if rows else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
