"""`claimed`: one process at a time writes into a folder."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from .atomic import OutputError

LOCK = ".lamina-lock"
"""The name of the lock's file in the folder."""
_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; a process that dies releases it.

    A file system without locks lets every process in.

    Raises
    ------
    OutputError
        If another process, or another thread, holds it.
    OSError
        If its file cannot be made.

    """
    path = folder / LOCK
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        # The holder removes the file: a lock on a removed file would exclude nobody.
        _lock(descriptor, folder)
        while not _is_at(descriptor, path):
            os.close(descriptor)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            _lock(descriptor, folder)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()
    finally:
        os.close(descriptor)


def is_unused(folder: Path) -> bool:
    """Return whether a folder is empty, but for what a killed process may leave."""
    return all(path.name.startswith(".lamina-") for path in folder.iterdir())


def _lock(descriptor: int, folder: Path) -> None:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise OutputError(
                f"'{folder}' is in use by another run; wait until it ends, or name another folder with --out"
            ) from error


def _is_at(descriptor: int, path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    return False
