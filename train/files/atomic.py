"""`atomic_write`: a file is written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from ...backends.errors import LaminaError
from ...backends.written import move
from .paths import as_path


class OutputError(LaminaError, OSError):
    """A file cannot be written."""


def atomic_write(
    path: str | os.PathLike[str],
    data: bytes | bytearray | memoryview | Sequence[bytes | memoryview],
    *,
    replace: bool = True,
) -> None:
    """Replace `path` by `data` in one step: a reader sees the old file or the new one, never a part.

    The bytes go to a temporary file in the same folder (a rename across file systems is not atomic), which is
    flushed to the disk and renamed. A failure or an interrupt leaves the old file and no temporary one. A
    symbolic link is followed; an existing file keeps its permissions. Without `replace`, an existing file is
    an error, also one that has come to be just now.

    data: the bytes, or pieces of them.

    Raises
    ------
    OutputError
        If the folder is missing or cannot be written, the disk is full, or `path` is not a plain file (or
        exists, without `replace`).
    """
    target = check_target(as_path("the file to write", path))
    folder = target.parent
    # Not the target's name plus a suffix, which may be too long.
    temporary = folder / f".lamina-{secrets.token_hex(8)}.tmp"
    try:
        # Not tempfile.mkstemp, which ignores the umask: its files are private.
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666
        )
        with os.fdopen(descriptor, "wb") as file:
            if isinstance(data, (bytes, bytearray, memoryview)):
                file.write(data)
            else:
                file.writelines(data)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            os.chmod(temporary, target.stat().st_mode & 0o7777)
        move(temporary, target, replace=replace)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise OutputError(_cannot(target, folder, error.strerror or str(error))) from error
        raise
    _sync_folder(folder)


def check_target(path: Path) -> Path:
    """Return where a file will be written, with links followed; OutputError if it cannot be."""
    target = Path(os.path.realpath(path))
    try:
        _check(target, target.parent)
    except OutputError:
        raise
    except OSError as error:  # a name that is too long, or a folder that may not be read
        raise OutputError(_cannot(target, target.parent, error.strerror or str(error))) from error
    return target


def _check(target: Path, folder: Path) -> None:
    """Raise early if the rename would fail, or would destroy a device such as a terminal."""
    if not folder.exists():
        raise OutputError(_cannot(target, folder, "the folder does not exist; create it, or name another"))
    if not folder.is_dir():
        raise OutputError(_cannot(target, folder, "that is a file, not a folder"))
    if not os.access(folder, os.W_OK):
        raise OutputError(_cannot(target, folder, os.strerror(errno.EACCES)))
    if target.is_dir():
        raise OutputError(_cannot(target, folder, "that is a folder; give the name of a file in it"))
    if target.exists() and not target.is_file():
        raise OutputError(_cannot(target, folder, "it is a device or a pipe, not a plain file"))


def _cannot(target: Path, folder: Path, why: str) -> str:
    return f"Cannot write {target.name!r} in folder '{folder}': {why}."


def _sync_folder(folder: Path) -> None:
    """Flush the rename to the disk, if the system can."""
    with contextlib.suppress(OSError):  # Windows opens no folders; the file is complete anyway
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
