"""The seed that new layers draw from: the k-th drawing since `manual_seed` uses stream k. No other state."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from contextvars import ContextVar

from ..backends.errors import OptionError
from ..backends.select import environment
from .integers import integer

_State = tuple[int, Iterator[int]]
_of_all: list[_State] = []
_of_scope: ContextVar[_State | None] = ContextVar("lamina_seed", default=None)
_lock = threading.Lock()


def manual_seed(seed: int) -> None:
    """Start over, in all threads: layers made from here on draw streams 0, 1, 2, ... of this seed.

    Inside `seeded` it starts that block over, and nothing else. Without a call the seed is LAMINA_SEED,
    or 0.

    Raises
    ------
    OptionError
        If the seed is not an integer from 0 to 2**64 - 1.

    """
    state = _start(seed)
    if _of_scope.get() is None:
        _of_all[:] = [state]
    else:
        _of_scope.set(state)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from a seed inside a `with`, in this context alone; outside, nothing has happened."""
    token = _of_scope.set(_start(seed))
    try:
        yield
    finally:
        _of_scope.reset(token)


def next_stream() -> tuple[int, str]:
    """Return (seed, stream) for the next drawing."""
    seed, numbers = _of_scope.get() or _shared()
    return seed, f"layer {next(numbers)}"


def _start(seed: int) -> _State:
    number = integer(seed)
    if number is None or not 0 <= number < 2**64:
        raise OptionError(f"seed must be an integer from 0 to 2**64 - 1, got {seed!r}")
    return number, itertools.count()


def _shared() -> _State:
    with _lock:
        if not _of_all:
            text = environment("LAMINA_SEED") or "0"
            if not text.isdecimal():
                raise OptionError(f"LAMINA_SEED must be a whole number of at least 0, got {text!r}")
            _of_all[:] = [_start(int(text))]
        return _of_all[0]
