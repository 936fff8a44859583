"""The files that were written in a `with`: what an interrupt left behind."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path


class Notes:
    """The files that were written in a context, also by threads that run in copies of it."""

    def __init__(self) -> None:
        self._moves: list[tuple[Path, int]] = []
        self._lock = threading.Lock()
        self._closed = False

    def move(self, temporary: Path, target: Path, *, replace: bool) -> None:
        """Give a finished file its name, and note it."""
        with self._lock:
            if self._closed:
                raise OSError(errno.ECANCELED, "the command has ended", str(target))
            # Noted before: an interrupt may come between two statements.
            self._moves.append((target, temporary.stat().st_ino))
            _move(temporary, target, replace=replace)

    def close(self) -> None:
        """Let no more file get its name; so what is said of them stays true."""
        with self._lock:
            self._closed = True

    def still_there(self) -> list[Path]:
        """Return the noted files that have their names."""
        found: dict[Path, None] = {}
        for path, number in self._moves:
            with contextlib.suppress(OSError):
                if path.stat().st_ino == number:
                    found[path] = None
        return list(found)


_notes: ContextVar[Notes | None] = ContextVar("lamina_written", default=None)


def move(temporary: Path, target: Path, *, replace: bool = True) -> None:
    """Give a finished file its name in one step, and note it.

    Without `replace`, a file of that name is a FileExistsError, also if it has come to be just now.
    """
    notes = _notes.get()
    if notes is None:
        _move(temporary, target, replace=replace)
    else:
        notes.move(temporary, target, replace=replace)


def _move(temporary: Path, target: Path, *, replace: bool) -> None:
    if replace:
        os.replace(temporary, target)
        return
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # the file system has no links
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        os.replace(temporary, target)
        return
    temporary.unlink()


@contextlib.contextmanager
def noted() -> Iterator[Notes]:
    """Note each file that is written inside."""
    notes = Notes()
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)


def close_notes() -> None:
    """Let no more file get its name in this context."""
    if (notes := _notes.get()) is not None:
        notes.close()
