"""The seed that new layers draw from: the k-th drawing since `manual_seed` uses stream k. No other state."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextvars import ContextVar

from ..backends.errors import OptionError
from ..backends.select import environment

_state: ContextVar[tuple[int, Iterator[int]] | None] = ContextVar("lamina_seed", default=None)


def manual_seed(seed: int) -> None:
    """Start over: layers made from here on draw streams 0, 1, 2, ... of this seed.

    Without a call the seed is LAMINA_SEED, or 0.

    Raises
    ------
    OptionError
        If the seed is not an integer from 0 to 2**64 - 1.

    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise OptionError(f"seed must be an integer from 0 to 2**64 - 1, got {seed!r}")
    _state.set((seed, itertools.count()))


def next_stream() -> tuple[int, str]:
    """Return (seed, stream) for the next drawing."""
    state = _state.get()
    if state is None:
        text = environment("LAMINA_SEED") or "0"
        if not text.isdecimal():
            raise OptionError(f"LAMINA_SEED must be a whole number of at least 0, got {text!r}")
        manual_seed(int(text))
        return next_stream()
    seed, numbers = state
    return seed, f"layer {next(numbers)}"
