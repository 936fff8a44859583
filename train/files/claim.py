"""`workplace`: a folder that one process at a time writes into."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from .atomic import OutputError


class InUseError(OutputError):
    """Another process works in the folder."""


@contextlib.contextmanager
def workplace(owner: str, folder: Path) -> Iterator[Path]:
    """Make a folder if it is not there, claim it, and remove what a killed process has left.

    At the end, a folder that was made for this and is still empty is removed.

    Parameters
    ----------
    owner
        The option that names the folder, for errors.
    folder
        The folder.

    Raises
    ------
    InUseError
        If another process works in it.
    OutputError
        If it cannot be made or written.

    """
    new: list[Path] = []
    with contextlib.ExitStack() as exits:
        exits.callback(_remove_empty, new)
        try:
            _make(folder, new)
            exits.enter_context(claimed(folder))
            for path in folder.glob(".lamina-*.tmp"):
                path.unlink(missing_ok=True)
        except OutputError:
            raise
        except FileExistsError as error:
            raise OutputError(
                f"{owner}: expected a folder, got the existing file '{error.filename}'"
            ) from error
        except OSError as error:
            raise OutputError(
                f"{owner}: cannot write the folder '{folder}': {error.strerror or error}."
            ) from error
        yield folder


def _make(folder: Path, made: list[Path]) -> None:
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


def _remove_empty(made: list[Path]) -> None:
    for folder in reversed(made):
        with contextlib.suppress(OSError):
            folder.rmdir()


LOCK = ".lamina-lock"
"""The name of the lock's file in the folder."""
_WAITS = (0.0, 0.01, 0.02)
_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; a process that dies releases it.

    A file system without locks lets every process in.

    Raises
    ------
    InUseError
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


def is_claimed(folder: Path) -> bool:
    """Return whether a process, or another thread, works in a folder."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR)
    except OSError:  # the holder removes it
        return False
    try:
        _try_lock(descriptor)
    except OSError as error:
        return error.errno not in _WITHOUT_LOCKS
    finally:
        os.close(descriptor)
    return False


def _lock(descriptor: int, folder: Path) -> None:
    for wait in _WAITS:  # `is_claimed` holds it for a moment
        time.sleep(wait)
        try:
            return _try_lock(descriptor)
        except OSError as error:
            if error.errno in _WITHOUT_LOCKS:
                return None
            fault = error
    raise InUseError(
        f"'{folder}' is in use by another run; wait until it ends, or use another folder"
    ) from fault


def _try_lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_at(descriptor: int, path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    return False
