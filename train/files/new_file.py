"""The rule for files that a command writes: an existing file is never overwritten silently."""

from __future__ import annotations

from pathlib import Path

from .atomic import OutputError, check_target


def new_file(path: str | Path, *, force: bool = False) -> Path:
    """Return a path to write to.

    Raises
    ------
    OutputError
        If it exists and `force` (the option --force) is not set, or if it cannot be written: before the work,
        not after it.

    """
    if not str(path).strip():
        raise OutputError(f"--out: expected a file, got {str(path)!r}")
    try:
        exists = Path(path).exists()
    except OSError as error:  # a name that is too long, or a folder that may not be read
        raise OutputError(f"--out: '{path}' cannot be written: {error.strerror or error}") from error
    if exists and not force:
        raise OutputError(
            f"--out: expected a new file, got '{path}', which exists; add --force to replace it"
        )
    check_target(Path(path))
    return Path(path)
