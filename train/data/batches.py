"""The order in which an epoch visits the rows, and its cut into batches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...backends.errors import DataError, OptionError
from ...backends.random import generator
from .partition import IndexArray


def order(n: int, *, seed: int, epoch: int, shuffle: bool = True) -> IndexArray:
    """Return the row numbers (n,) of one epoch, int64: a function of (n, seed, epoch) alone."""
    if n < 1:
        raise DataError(f"An epoch needs at least one row, got n = {n}")
    if not shuffle:
        return np.arange(n, dtype=np.int64)
    return generator(seed, "shuffle", epoch).permutation(n).astype(np.int64, copy=False)


def batch_count(n: int, batch_size: int, *, drop_last: bool = False) -> int:
    """Return how many batches `batches` yields in an epoch of n rows."""
    if batch_size < 1:
        raise OptionError(f"batch_size must be at least 1, got {batch_size}")
    if drop_last and n < batch_size:
        raise DataError(
            f"drop_last leaves no batch: {n} rows are fewer than batch_size {batch_size}. "
            f"Use a smaller batch_size, or keep the last batch."
        )
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
        Decide the order; see `order`.
    shuffle : bool
        False visits the rows as they stand.
    drop_last : bool
        Leave out a last batch with fewer than `batch_size` rows.

    Yields
    ------
    numpy.ndarray
        (batch_size,) int64; the last one may be shorter.
    """
    # A function that returns a generator, not a generator function: wrong arguments must fail at the call.
    rows = order(n, seed=seed, epoch=epoch, shuffle=shuffle)
    count = batch_count(n, batch_size, drop_last=drop_last)
    return (rows[i * batch_size : (i + 1) * batch_size] for i in range(count))
