"""Numbers that change from step to step: those of many steps at once have the bits of one step's."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .host import Host

_BITS = 12
_BLOCK = 2**_BITS
"""Steps whose powers are computed at once."""
_HALF_ULP = 2.0**-54
"""1 minus this, or less, is 1."""


def steps_after(done: int, count: int) -> Host:
    """Return the numbers of the next steps, int64 (count,): done + 1, done + 2, ..."""
    return np.arange(done + 1, done + count + 1)


def one_minus_power(base: float, step: Any) -> Any:
    """Return 1 - base^step, for a base from 0 to below 1 and one step from 0, or several in order (S,).

    numpy's power differs from Python's in the last bit, so several are looked up in tables of Python's.
    """
    if type(step) is int:
        return 1.0 - base**step
    if not len(step):
        return np.empty(0)
    first, last = int(step[0]) >> _BITS, int(step[-1]) >> _BITS
    blocks = [_table(base, block) for block in range(first, last + 1)]
    table = blocks[0] if first == last else np.concatenate(blocks)
    return table[step - (first << _BITS)]


@lru_cache(maxsize=128)
def _table(base: float, block: int) -> Host:
    start = block << _BITS
    if base**start <= _HALF_ULP:
        return np.ones(_BLOCK)
    return np.array([1.0 - base**step for step in range(start, start + _BLOCK)])


def for_each(value: Any, count: int) -> Host:
    """Return a number for each step, float64 (count,): a number that is the same in all, or an array.

    Raises ValueError for an array of another shape.
    """
    if count == 1 or type(value) is float:
        return np.array([float(value)] * count)
    return np.asarray(value, np.float64).reshape((count,)) if np.ndim(value) else np.full(count, float(value))
