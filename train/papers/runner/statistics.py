"""Mean, deviation, bootstrap interval, and the verdict on a reported number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Statistic = Literal["mean", "median"]
_RESAMPLES = 10_000


@dataclass(frozen=True)
class Summary:
    """One number over several runs."""

    n: int
    centre: float
    """The mean or the median."""
    std: float
    """The sample standard deviation (n - 1); NaN for one run, or if a value is not finite."""
    low: float
    high: float
    """The 95 % interval of the centre (percentile bootstrap; Efron 1979)."""

    def to_dict(self) -> dict[str, float]:
        """Return it for JSON."""
        return dict(vars(self))


def summarize(values: Sequence[float], statistic: Statistic = "mean") -> Summary:
    """Return the summary of values (n,) with n ≥ 1; equal values give equal intervals."""
    x = np.asarray(values, dtype=np.float64)
    centre: Any = np.mean if statistic == "mean" else np.median
    std = float(np.std(x, ddof=1)) if len(x) > 1 and np.isfinite(x).all() else math.nan
    low, high = bootstrap(x, centre)
    return Summary(len(x), float(centre(x)), std, low, high)


def bootstrap(values: Any, centre: Any, *, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of the centre under resampling with a fixed seed.

    Both ends are NaN unless both are finite. A median may be finite although some values are not.
    """
    if len(values) == 1:
        return math.nan, math.nan
    rows = np.random.default_rng(0).integers(0, len(values), (_RESAMPLES, len(values)))
    tail = 50.0 * (1.0 - level)
    with np.errstate(invalid="ignore"):
        low, high = np.percentile(centre(values[rows], axis=1), [tail, 100.0 - tail])
    return (float(low), float(high)) if np.isfinite([low, high]).all() else (math.nan, math.nan)


def verdict(reported: float, std: float | None, summary: Summary, better: str) -> str:
    """Return "within", "better" or "worse"; outside and without a `better` side, "higher" or "lower".

    Within means at most two deviations off: the paper's if it gives one, else our runs' (a single run of the
    paper is one draw of ours). `better` is "higher", "lower" or "".
    """
    spread = summary.std if std is None else std
    off = summary.centre - reported
    if not math.isfinite(off):
        return "worse"
    if abs(off) <= 2.0 * (0.0 if math.isnan(spread) else spread):
        return "within"
    if not better:
        return "higher" if off > 0 else "lower"
    return "better" if (off > 0) == (better == "higher") else "worse"
