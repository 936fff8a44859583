"""How far a result may be from the float64 oracle, by class of op. The bars are those of docs/numerics.md."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Host = np.ndarray[Any, Any]

# Relative and absolute bars of a forward pass, by dtype.
FORWARD_BARS = {"float64": (1e-10, 1e-12), "float32": (1.3e-6, 1e-5)}
CUDA_BARS = {"float64": (1e-10, 1e-12), "float32": (1e-5, 1e-5)}


@dataclass(frozen=True)
class Tolerance:
    """A class of ops and its bar.

    `kind` is "exact" (bit-equal), "ulp" (`ulp` units in the last place), "summed" (k u f(|inputs|) with
    k terms added up and u the unit roundoff), or "forward" (the relative and absolute bars above).
    """

    kind: Literal["exact", "ulp", "summed", "forward"]
    ulp: float = 0.0

    def allowed(
        self, expected: Host, dtype: str, *, terms: int = 1, magnitude: Host | None = None, cuda: bool = False
    ) -> Host:
        """Return the largest allowed |actual - expected| for each element of `expected` (*), in float64.

        `terms` and `magnitude` (the op applied to the absolute inputs) serve the "summed" class.
        """
        if self.kind == "exact" or dtype not in FORWARD_BARS:
            return np.zeros(expected.shape)
        if self.kind == "ulp":
            return self.ulp * ulp_of(expected, dtype)
        if self.kind == "summed" and magnitude is not None:
            unit = 2.0**-24 if dtype == "float32" else 2.0**-53
            return max(terms, 1) * unit * np.abs(magnitude) + ulp_of(expected, dtype)
        rtol, atol = (CUDA_BARS if cuda else FORWARD_BARS)[dtype]
        return atol + rtol * np.abs(expected)

    def errors(self, actual: Host, expected: Host, **how: Any) -> Host:
        """Return |actual - expected| / allowed, (*): above 1 is a failure, and NaN or inf must match."""
        dtype = dtype_name(actual.dtype)
        wide, actual = expected.astype(np.float64), actual.astype(np.float64)
        with np.errstate(all="ignore"):
            same = (actual == wide) | (np.isnan(actual) & np.isnan(wide))
            # What overflows the narrow dtype is inf there, and right to be.
            same |= np.isinf(actual) & (np.sign(actual) == np.sign(wide)) & (np.abs(wide) >= _largest(dtype))
            if same.all():
                return np.zeros(same.shape)
            allowed = self.allowed(wide, dtype, **how)
            ratio = np.abs(actual - wide) / allowed
        judged: Host = np.where(same, 0.0, np.where(np.isfinite(ratio), ratio, np.inf))
        return judged


def shares(actual: Host, expected: Host, tolerance: Tolerance, *, flush: bool = False, **how: Any) -> Host:
    """Return each element's error as a share of its bar, (*): above 1 is a failure.

    Integers and booleans are right or wrong, 0 or inf. With `flush`, 0 will do where the other number is
    subnormal. `how` is what `Tolerance.allowed` takes.
    """
    if actual.dtype.kind != "f":
        return np.where(actual == expected, 0.0, np.inf)
    ratio = tolerance.errors(actual, expected, **how)
    if flush:
        tiny = np.finfo(actual.dtype).tiny
        none = ((actual == 0) | (expected == 0)) & (np.abs(actual) < tiny) & (np.abs(expected) < tiny)
        ratio = np.where(none, 0.0, ratio)
    return ratio


@functools.cache
def dtype_name(dtype: np.dtype[Any]) -> str:
    """Return the dtype's name, which numpy takes microseconds to put together."""
    return dtype.name


def ulp_of(value: Host, dtype: str) -> Host:
    """Return the distance from |value| to the next number of `dtype`, at least its smallest."""
    with np.errstate(all="ignore"):
        spacing: Host = np.spacing(np.abs(value).astype(dtype)).astype(np.float64)
    return spacing


def _largest(dtype: str) -> float:
    return float(np.finfo(dtype).max) if dtype in FORWARD_BARS else float("inf")


EXACT = Tolerance("exact")
SUMMED = Tolerance("summed")
FORWARD = Tolerance("forward")


def ulp(units: float) -> Tolerance:
    """Return the class of elementwise ops that are right to so many units in the last place."""
    return Tolerance("ulp", units)
