"""The seed of new layers: the k-th parameter drawn since `manual_seed` uses stream k."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from contextvars import ContextVar

from ..backends.errors import OptionError
from ..backends.options import integer
from ..backends.select import environment

_State = tuple[int, Iterator[int]]
_global: list[_State] = []
_local: ContextVar[_State | None] = ContextVar("lamina_seed", default=None)
_lock = threading.Lock()


def manual_seed(seed: int) -> None:
    """Let the next layers, in all threads, draw streams 0, 1, 2, ... of this seed.

    Inside `seeded` this affects that block only. The seed is LAMINA_SEED, or 0, until the first call.

    Raises
    ------
    OptionError
        If the seed is not an integer from 0 to 2**64 - 1.

    """
    state = _start(seed)
    if _local.get() is None:
        _global[:] = [state]
    else:
        _local.set(state)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from a seed inside a `with`, in this context only; the seed outside does not change."""
    token = _local.set(_start(seed))
    try:
        yield
    finally:
        _local.reset(token)


def next_stream() -> tuple[int, str]:
    """Return (seed, stream) of the next parameter."""
    seed, numbers = _local.get() or _shared()
    return seed, f"layer {next(numbers)}"


def _start(seed: int) -> _State:
    return integer("manual_seed", "seed", seed, least=0, most=2**64 - 1), itertools.count()


def _shared() -> _State:
    with _lock:
        if not _global:
            text = environment("LAMINA_SEED") or "0"
            if not text.isdecimal():
                raise OptionError(f"expected LAMINA_SEED to be a whole number of at least 0, got {text!r}")
            _global[:] = [_start(int(text))]
        return _global[0]
