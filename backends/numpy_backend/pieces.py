"""Large arrays in pieces that stay in a core's cache: numpy makes a pass over memory for each operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .handles import Array

_add_reduce: Any = np.add.reduce

EXACT_SUM = 64
"""Longest plain float32 sum. It errs by up to n 2^-24; longer ones add such sums up, or pairwise ones."""

ONES: dict[str, list[Any]] = {c: [np.ones(n, c) for n in range(EXACT_SUM + 1)] for c in "fd"}
"""Vectors of ones, by dtype and length."""

PIECE = 1 << 16
"""Elements of a piece: a few such arrays fit a core's second-level cache, and outweigh numpy's calls."""


def contiguous(*arrays: Array) -> bool:
    """Return whether all are contiguous arrays of one shape and dtype."""
    first = arrays[0]
    return all(
        type(x) is np.ndarray and x.flags.c_contiguous and x.shape == first.shape and x.dtype is first.dtype
        for x in arrays
    )


def piecewise(function: Callable[..., None], *arrays: Array) -> Array:
    """Return an elementwise function of contiguous arrays of one shape.

    `function` takes a piece of each array, and the place for its result.
    """
    flat = [x.reshape(-1) for x in arrays]
    result = np.empty_like(flat[0])
    for start in range(0, result.size, PIECE):
        part = slice(start, start + PIECE)
        function(*(x[part] for x in flat), result[part])
    return result.reshape(arrays[0].shape)


def rowwise(function: Callable[..., None], length: int, *arrays: Array) -> Array:
    """Return a function of rows of contiguous arrays (..., length) of one shape, and of arrays (..., 1).

    `function` takes a few rows (k, length) or (k, 1) of each array, and the place for its result.
    """
    rows = [x.reshape(-1, x.shape[-1]) for x in arrays]
    result = np.empty_like(rows[0])
    step = max(PIECE // length, 1)
    for start in range(0, len(result), step):
        part = slice(start, start + step)
        function(*(x[part] for x in rows), result[part])
    return result.reshape(arrays[0].shape)


def row_sums(x: Array) -> Array:
    """Return the sums of the rows of a contiguous matrix (k, n) as (k, 1), in its dtype.

    EXACT_SUM elements at a time by a product with ones, whose results are added in numpy's pairwise order.
    """
    k, n = x.shape
    if n % EXACT_SUM == 0:
        sums = x.reshape(-1, EXACT_SUM).dot(ONES[x.dtype.char][EXACT_SUM])
        return _add_reduce(sums.reshape(k, -1), 1, None, None, True)
    return _add_reduce(x, 1, None, None, True)


def long_sum(x: Array, axis: Any, keepdims: bool) -> Array:
    """Return a float32 sum over more than EXACT_SUM elements in float64.

    A large contiguous array is first added up in float32: along its last axes EXACT_SUM elements at a time,
    by a product with ones, or whole in numpy's pairwise order if their number is no multiple; along its
    first axis EXACT_SUM rows at a time. To convert to float64 takes seven times as long.
    """
    axes = tuple(range(x.ndim)) if axis is None else (axis,) if type(axis) is int else axis
    axes = tuple(a % x.ndim for a in axes)
    if x.size >= EXACT_SUM**2 and x.flags.c_contiguous:
        shape = x.shape
        last = x.ndim
        while last - 1 in axes:
            last -= 1
        length = int(np.prod(shape[last:]))
        if last < x.ndim and length >= EXACT_SUM:
            if length % EXACT_SUM == 0:
                x = x.reshape(-1, EXACT_SUM).dot(ONES["f"][EXACT_SUM]).reshape(*shape[:last], -1)
            else:
                x = _add_reduce(x.reshape(*shape[:last], length), -1, None, None, True)
            rest = (*(a for a in axes if a < last), last)
            total = _add_reduce(x, rest, np.float64, None, keepdims)
            return total.reshape(*total.shape[:-1], *(1,) * (len(shape) - last)) if keepdims else total
        if 0 in axes and last == x.ndim and shape[0] >= EXACT_SUM:
            x = _rows_added(x)
    return _add_reduce(x, axes, np.float64, None, keepdims)


def _rows_added(x: Array) -> Array:
    """Return a contiguous array with fewer rows of the same sum: EXACT_SUM rows become one, (n, ...)."""
    count = len(x) // EXACT_SUM
    whole = x[: count * EXACT_SUM].reshape(count, EXACT_SUM, -1)
    sums = np.matmul(ONES["f"][EXACT_SUM], whole).reshape(count, *x.shape[1:])
    tail = x[count * EXACT_SUM :]
    return np.concatenate([sums, _add_reduce(tail, 0, None, None, True)]) if len(tail) else sums
