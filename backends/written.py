"""The files that were written in a `with`: what an interrupt left behind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

_moves: ContextVar[list[tuple[Path, int]] | None] = ContextVar("lamina_written", default=None)


def move(temporary: Path, target: Path, *, replace: bool = True) -> None:
    """Give a finished file its name in one step, and note it.

    Without `replace`, a file of that name is a FileExistsError, also if it has come to be just now.
    """
    moves = _moves.get()
    if moves is not None:  # noted before: an interrupt may come between two statements
        moves.append((target, temporary.stat().st_ino))
    if replace:
        os.replace(temporary, target)
        return
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # the file system has no links
        if target.exists():
            raise FileExistsError(17, os.strerror(17), str(target)) from None
        os.replace(temporary, target)
        return
    temporary.unlink()


@contextlib.contextmanager
def noted() -> Iterator[list[tuple[Path, int]]]:
    """Note each file that is written inside; `still_there` reads the notes."""
    moves: list[tuple[Path, int]] = []
    token = _moves.set(moves)
    try:
        yield moves
    finally:
        _moves.reset(token)


def still_there(moves: list[tuple[Path, int]]) -> list[Path]:
    """Return the noted files that have their names."""
    found: dict[Path, None] = {}
    for path, number in moves:
        with contextlib.suppress(OSError):
            if path.stat().st_ino == number:
                found[path] = None
    return list(found)
