"""The order of the rows in an epoch, and its batches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...backends.errors import DataError
from ...backends.options import flag, integer
from ...backends.random import permutation
from .partition import IndexArray

_MOST_ROWS = 10**9


def order(n: int, *, seed: int, epoch: int, shuffle: bool = True) -> IndexArray:
    """Return the row numbers (n,) of one epoch, int64, a function of (n, seed, epoch)."""
    integer("order", "n", n, most=_MOST_ROWS)
    if not flag("order", "shuffle", shuffle):
        return np.arange(n, dtype=np.int64)
    return permutation(n, seed, "shuffle", epoch)


def batch_count(n: int, batch_size: int, *, drop_last: bool = False) -> int:
    """Return the number of batches in an epoch of n rows."""
    integer("batches", "batch_size", batch_size)
    if flag("batches", "drop_last", drop_last) and n < batch_size:
        raise DataError(f"batches: with drop_last, expected batch_size of at most {n} rows, got {batch_size}")
    return n // batch_size if drop_last else -(-n // batch_size)


def batches(
    n: int, batch_size: int, *, seed: int, epoch: int, shuffle: bool = True, drop_last: bool = False
) -> Iterator[IndexArray]:
    """Return an iterator over the row numbers of each batch of one epoch.

    Parameters
    ----------
    n, batch_size : int
        Rows in the data set, and in a batch; the last batch may have fewer.
    seed, epoch : int
        As in `order`.
    shuffle : bool
        False keeps the rows in their order.
    drop_last : bool
        Skip a last batch with fewer than `batch_size` rows.

    Yields
    ------
    numpy.ndarray
        (batch_size,) int64; the last one may be shorter.
    """
    # Not a generator function: wrong arguments must fail at the call.
    rows = order(n, seed=seed, epoch=epoch, shuffle=shuffle)
    count = batch_count(n, batch_size, drop_last=drop_last)
    return (rows[i * batch_size : (i + 1) * batch_size] for i in range(count))
