"""The checkpoints in a folder: their names, and the newest one that is whole."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Any

from ...backends import DataError
from ...backends.host import Host
from ..files import as_path, read_sealed
from .state import SEAL, CheckpointWarning

_NAME = re.compile(r"(\d{6,18})-epoch-(\d{1,18})-step-\d{1,18}\.safetensors")


def file_name(number: int, epoch: int, step: int) -> str:
    """Return the name of the number-th checkpoint: after `epoch` epochs, and `step` steps of the next."""
    return f"{number:06}-epoch-{epoch}-step-{step}.safetensors"


def number_of(path: Path) -> int:
    """Return a checkpoint's number."""
    return int(path.name.partition("-")[0])


def epoch_of(path: Path) -> int:
    """Return how many epochs were finished when a checkpoint was written."""
    return int(path.name.split("-")[2])


def is_checkpoint(path: Path) -> bool:
    """Return whether a path has the name of a checkpoint."""
    return _NAME.fullmatch(path.name) is not None


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, the newest last; none if there is no folder."""
    try:
        found = [path for path in folder.iterdir() if is_checkpoint(path)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataError(f"'{folder}' cannot be read: {error.strerror or error}") from error
    return sorted(found, key=number_of)


def read_checkpoint(path: str | os.PathLike[str]) -> tuple[Path, dict[str, Host], Any]:
    """Return (file, arrays, description) of a checkpoint, or of the newest whole one in a folder.

    Raises
    ------
    DataError
        If there is none.

    """
    place = as_path("Trainer.resume", path)
    if not os.path.isdir(place):  # False for a name that is too long
        return place, *read_sealed("Trainer.resume", place, SEAL)
    found = checkpoints_in(place)
    if not found:
        raise DataError(f"'{place}': expected a folder with checkpoints, got one without.")
    for path in reversed(found[1:]):
        try:
            return path, *read_sealed("Trainer.resume", path, SEAL)
        except DataError as error:
            warnings.warn(f"{error} The checkpoint before it is taken.", CheckpointWarning, stacklevel=3)
    return found[0], *read_sealed("Trainer.resume", found[0], SEAL)
