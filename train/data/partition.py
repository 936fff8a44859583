"""Disjoint parts of row numbers: shuffled, stratified, a function of the seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from ...backends.errors import DataError, OptionError
from ...backends.options import as_number, shown
from ...backends.random import generator

IndexArray = npt.NDArray[np.int64]


def partition(strata: IndexArray, fractions: Sequence[float], *, seed: int) -> tuple[IndexArray, ...]:
    """Cut the rows 0 .. N-1 into one part per fraction.

    Each stratum is shared out by largest remainder: a part gets the floor or the ceiling of its share. The
    rounding error of a stratum is carried to the next, so many small strata fill every part.

    Parameters
    ----------
    strata : numpy.ndarray
        (N,) the stratum of each row: its class label, or 0 for a plain random split.
    fractions : sequence of float
        One per part, each above 0; their sum is 1.
    seed : int
        Decides the shuffle.

    Returns
    -------
    tuple of numpy.ndarray
        Shuffled row numbers, int64, that hold every row once.
    """
    shares = _checked(fractions)
    order = generator(seed, "split").permutation(len(strata))
    shuffled = strata[order]
    part_of = np.empty(len(strata), dtype=np.int64)
    carry = np.zeros(len(shares))
    for stratum in np.unique(strata):
        members = np.flatnonzero(shuffled == stratum)
        counts = _share_out(len(members), shares, carry)
        carry += len(members) * shares - counts
        part_of[members] = np.repeat(np.arange(len(shares)), counts)
    parts = tuple(order[part_of == part].astype(np.int64) for part in range(len(shares)))
    for number, (part, fraction) in enumerate(zip(parts, shares, strict=True), start=1):
        if len(part) == 0:
            raise DataError(
                f"expected a row for part {number} of {len(shares)} (fraction {fraction:g}), got none of "
                f"{len(strata)} rows. Use more rows or a larger fraction."
            )
    return parts


def _checked(fractions: Sequence[float]) -> npt.NDArray[np.float64]:
    values = [as_number(value) for value in fractions] if isinstance(fractions, Iterable) else []
    known = [value for value in values if value is not None and 0 < value <= 1]
    if not values or len(known) < len(values) or not math.isclose(sum(known), 1.0):
        raise OptionError(
            "split: expected fractions above 0 that add up to 1, such as 0.7, 0.1, 0.2, "
            f"got {shown(fractions)}"
        )
    return np.array(known)


def _share_out(
    count: int, shares: npt.NDArray[np.float64], carry: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Return integers that add up to `count`, each the floor or the ceiling of its share."""
    ideal = count * shares
    counts = np.floor(ideal).astype(np.int64)
    left = count - int(counts.sum())
    # Stable: a tie goes to the earlier part on every platform.
    first = np.argsort(-(ideal - counts + carry), kind="stable")[:left]
    counts[first] += 1
    return counts
