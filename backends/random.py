"""Random numbers on the host: a pure function of (seed, stream, step), the same bits on every backend.

Counter-based (Philox 4x64; Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011):
the seed and the stream are the key, the step is the top word of the counter. There is no state.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from typing import Any, Literal

import numpy as np

from .errors import DtypeError, OptionError, ShapeError
from .host import Host
from .options import integer

Distribution = Literal["uniform", "normal"]
_WORD = 2**64
_CUT = 2.0**24  # a float32 below 1 has 24 digits


def generator(seed: int, stream: int | str, step: int = 0) -> np.random.Generator:
    """Return a numpy generator of (seed, stream, step); a stream may have a name."""
    return np.random.Generator(np.random.Philox(**_words(seed, stream, step)))


def philox_key(seed: int, stream: int | str) -> tuple[int, int]:
    """Return the two words of the generator's key."""
    if isinstance(stream, str):
        stream = _number_of(stream)
    if type(seed) is not int or not 0 <= seed < _WORD:
        seed = integer("random", "seed", seed, least=0, most=_WORD - 1)
    if type(stream) is not int:
        stream = integer("random", "stream", stream, least=None)
    return seed, stream % _WORD


@functools.lru_cache(1024)
def _number_of(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


def _words(seed: int, stream: int | str, step: int) -> dict[str, Any]:
    """Return key and counter of (seed, stream, step)."""
    if type(step) is not int:
        step = integer("random", "step", step, least=None)
    # As arrays of words: a plain list would be read as floats and lose bits above 2**53.
    key = np.array(philox_key(seed, stream), dtype=np.uint64)
    return {"key": key, "counter": np.array([0, 0, 0, step % _WORD], dtype=np.uint64)}


class _Source(threading.local):
    """One generator in each thread for all draws: to set its state takes a third of the time of a new one."""

    def __init__(self) -> None:
        self.philox = np.random.Philox(0)
        self.generator = np.random.Generator(self.philox)
        self.start: Any = self.philox.state

    def at(self, seed: int, stream: int | str, step: int) -> np.random.Generator:
        """Return the generator at (seed, stream, step), for one draw."""
        state: Any = {**self.start, "state": _words(seed, stream, step)}
        self.philox.state = state
        return self.generator


_source = _Source()


def permutation(n: int, seed: int, stream: int | str, step: int) -> Host:
    """Return the numbers below n in the order of (seed, stream, step): int64 (n,)."""
    return _source.at(seed, stream, step).permutation(n).astype(np.int64, copy=False)


def check_draw(distribution: Distribution, dtype: str) -> None:
    """Raise unless a distribution and a dtype are known."""
    if dtype not in ("float32", "float64"):
        raise DtypeError(f"random: expected dtype float32 or float64, got {dtype!r}")
    if distribution not in ("uniform", "normal"):
        raise OptionError(f"random: expected distribution to be 'uniform' or 'normal', got {distribution!r}")


def check_counter(shape: tuple[int, ...], dtype: str) -> None:
    """Raise unless a tensor of this shape and dtype may be a step: int64 ()."""
    if shape != () or dtype != "int64":
        kind = ShapeError if dtype == "int64" else DtypeError
        raise kind(
            f"random: expected step to be an integer or an int64 tensor (), got {dtype} {tuple(shape)}"
        )


def draw(
    shape: tuple[int, ...],
    seed: int,
    stream: int | str,
    step: int,
    distribution: Distribution,
    dtype: str,
) -> Host:
    """Draw an array: uniform on [0, 1) or standard normal, in float32 or float64.

    A float32 is the float64 of the same draw with fewer digits, so that a run in the other dtype differs
    by rounding alone. The uniform one is cut, not rounded, to stay below 1.
    """
    check_draw(distribution, dtype)
    source = _source.at(seed, stream, step)
    if distribution == "uniform":
        value = source.random(shape)
        if dtype == "float32":
            value = np.floor(np.multiply(value, _CUT, out=value), out=value)
            value /= _CUT
    else:
        value = source.standard_normal(shape)
    return np.asarray(value, dtype=np.dtype(dtype))
