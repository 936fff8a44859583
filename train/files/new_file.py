"""The rule for files that a command writes: an existing file is never overwritten silently."""

from __future__ import annotations

from pathlib import Path

from .atomic import OutputError


def new_file(path: str | Path, *, force: bool = False) -> Path:
    """Return a path to write to; OutputError if it exists and `force` (the option --force) is not set."""
    if not force and Path(path).exists():
        raise OutputError(
            f"--out: expected a new file, got '{path}', which exists; add --force to replace it"
        )
    return Path(path)
