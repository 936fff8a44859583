"""Accuracy over many numbers: a million samples in ULP, and sums of millions."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from ..base import Backend
from ..differences import flushes
from ..host import Host
from ..ops import OPS
from ..tolerance import FORWARD
from .case import SPECIAL
from .checks import judge

SAMPLES = 1_000_000


def _sigmoid(x: Host) -> Host:
    tail = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, tail) / (1.0 + tail)


# The oracle, and the range of the samples: its results are neither 0 nor infinite.
_ULP: dict[str, tuple[Callable[[Host], Host], tuple[float, float]]] = {
    "exp": (np.exp, (-104.0, 89.0)),
    "log": (np.log, (0.0, 4.0)),
    "log1p": (np.log1p, (-1.0, 4.0)),
    "sqrt": (np.sqrt, (0.0, 4.0)),
    "tanh": (np.tanh, (-10.0, 10.0)),
    "sigmoid": (_sigmoid, (-104.0, 20.0)),
    "softplus": (lambda x: np.logaddexp(0.0, x), (-104.0, 104.0)),
    "expm1": (np.expm1, (-18.0, 89.0)),
    "square": (lambda x: x * x, (-4.0, 4.0)),
    "erf": (np.vectorize(math.erf, otypes=[float]), (-4.5, 4.5)),
}


@functools.cache
def _samples(op: str) -> tuple[Host, Host]:
    """Return float32 inputs (half in a range, half of all bit patterns), and the exact results."""
    function, (low, high) = _ULP[op]
    source = np.random.default_rng(20)
    half = SAMPLES // 2
    ranged = source.uniform(low, high, half).astype(np.float32)
    patterns = source.integers(0, 2**32, half, dtype=np.uint32).view(np.float32)
    with np.errstate(all="ignore"):
        x = np.concatenate([ranged, patterns, np.array(SPECIAL, np.float32)])
        return x, function(x.astype(np.float64))


def ulps(backend: Backend, op: str) -> None:
    """Compare an elementwise op with its bar in ULP, over a million samples and the special values."""
    x, right = _samples(op)
    handle = backend.from_host(x)
    if backend.default_dtype != "float32":
        handle = backend.from_host(x, dtype="float32")
    with warnings.catch_warnings(), backend.session():
        warnings.simplefilter("ignore", RuntimeWarning)
        actual = backend.to_host(getattr(backend, op)(handle))
    judge(
        f"{op} [{len(x)} samples] on {backend!r}",
        actual,
        right,
        OPS[op].tolerance,
        flush=flushes(backend, op),
    )


def erf_in_float64(backend: Backend, op: str) -> None:
    """Compare with the power series in rational numbers, in ULP."""
    x = np.concatenate([np.linspace(-6.0, 6.0, 601), np.random.default_rng(2).normal(0.0, 1.2, 1000)])
    actual = backend.to_host(backend.erf(backend.from_host(x, dtype="float64")))
    for point, value in zip(x.tolist(), actual.tolist(), strict=True):
        right = _exact_erf(point)
        error = float(abs(Fraction(value) - right) / Fraction(math.ulp(float(right))))
        assert error <= OPS[op].tolerance.ulp, (
            f"{op}({point!r}) on {backend!r}: expected {float(right)!r}, got {value!r}, {error:.2f} ULP away"
        )


_PI = Fraction(3141592653589793238462643383279502884197, 10**39)
_BITS = 250


@functools.cache
def _exact_erf(x: float) -> Fraction:
    """Return 2/√π Σ (-1)ⁿ x^(2n+1) / (n! (2n+1)), in fixed point."""
    square = int(Fraction(x) ** 2 * 2**_BITS)
    power, total, n = int(Fraction(x) * 2**_BITS), 0, 0
    while power:
        total += power // (2 * n + 1)
        n += 1
        power = -(power * square >> _BITS) // n
        if abs(power) < 2:
            break
    root = math.isqrt(int(4 / _PI * 2 ** (2 * _BITS)))
    return Fraction(total * root, 2 ** (2 * _BITS))


def long_sum(backend: Backend, op: str) -> None:
    """Sum 2.5 million float32 numbers along the first axis to the forward bars.

    Plain summation is off by 2.4 %, and k u Σ|x| would allow 15 %.
    """
    column = np.array([1.0, 0.9, 1.1, -0.3], np.float32)
    x = backend.from_host(np.broadcast_to(column, (2_500_000, 4)), dtype="float32")
    actual = backend.to_host(getattr(backend, op)(x, axis=0))
    right = column.astype(np.float64) * (2_500_000 if op == "sum" else 1)
    judge(f"{op} of (2500000, 4) over 0 on {backend!r}", actual, right, FORWARD)


def long_linear_grad(backend: Backend, op: str) -> None:
    """Sum the bias gradient of 2.5 million samples to the forward bars, with `out` and without."""
    column = np.array([1.0, 0.9, 1.1, -0.3], np.float32)
    grad = backend.from_host(np.broadcast_to(column, (2_500_000, 4)), dtype="float32")
    x = backend.full((2_500_000, 1), 0.0, dtype="float32")
    places = backend.empty((4, 1), dtype="float32"), backend.empty((4,), dtype="float32")
    for out in (None, places):
        _, bias = backend.linear_grad(grad, x, out=out)
        assert bias is not None
        what = f"{op} of 2500000 samples{' into out' if out else ''} on {backend!r}"
        judge(what, backend.to_host(bias), column.astype(np.float64) * 2_500_000, FORWARD)


def long_var(backend: Backend, op: str) -> None:
    """Compare the variance around a mean of 1e4, where E[x²] - E[x]² has no correct digit."""
    x = np.random.default_rng(3).normal(1e4, 1.0, (20_000, 2)).astype(np.float32)
    actual = backend.to_host(backend.var(backend.from_host(x, dtype="float32"), axis=0))
    judge(f"{op} at a mean of 1e4 on {backend!r}", actual, x.astype(np.float64).var(0), FORWARD)


def long_centre(backend: Backend, op: str) -> None:
    """Compare with float64 at a mean of 1e4, and beside an outlier of 1e4 in the first or the last row."""
    x = np.random.default_rng(3).normal(0.0, 1.0, (1_000_000, 4)).astype(np.float32)
    x[:, 1] += 1e4
    x[0, 2] = x[-1, 3] = 1e4
    centred, mean = backend.centre(backend.from_host(x, dtype="float32"), axis=0)
    right = x.astype(np.float64)
    judge(f"{op}'s mean on {backend!r}", backend.to_host(mean), right.mean(0, keepdims=True), FORWARD)
    judge(f"{op} on {backend!r}", backend.to_host(centred), right - right.mean(0), FORWARD)


CHECKS: dict[str, tuple[Callable[[Backend, str], None], ...]] = {
    **dict.fromkeys(_ULP, (ulps,)),
    "erf": (ulps, erf_in_float64),
    "sum": (long_sum,),
    "mean": (long_sum,),
    "linear_grad": (long_linear_grad,),
    "var": (long_var,),
    "centre": (long_centre,),
}
"""By op."""
