"""Cases of the reductions and of the matrix product."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .case import INF, NAN, Case, T, case, flags, floats, integers, normal

_AXES: tuple[tuple[tuple[int, ...], Any], ...] = (
    ((5,), None),
    ((5,), 0),
    ((2, 3, 4), None),
    ((2, 3, 4), 0),
    ((2, 3, 4), 1),
    ((2, 3, 4), -1),
    ((2, 3, 4), (0, 2)),
    ((2, 3, 4), (2, 0)),
    ((2, 3, 4), (-1, -3)),
    ((2, 3, 4), (0, 1, 2)),
    ((2, 3, 4), ()),
    ((2, 1, 3), 1),
    ((), None),
    ((0, 3), 1),
)

_LARGE: tuple[tuple[tuple[int, ...], Any], ...] = (
    ((70, 128), 1),
    ((70, 130), -1),
    ((130, 40), 0),
    ((128, 5, 8), 0),
    ((65, 8, 16), (0, 2)),
    ((3, 70, 32), (1, 2)),
    ((3, 71, 33), (0, 1)),
    ((3, 64, 32), None),
)
"""Sums that a backend may make in several parts."""


def cases() -> Iterator[Case]:
    """Yield the cases of sum, max, argmax and matmul."""
    for op in ("sum", "max"):
        for shape, axis in _AXES:
            for keepdims in (False, True):
                label = f"{shape} over {axis}{', keepdims' if keepdims else ''}"
                yield case(op, label, normal(*shape), axis=axis, keepdims=keepdims)
        yield case(op, "no options", normal(3, 4))
        yield case(op, "int64", integers(3, 4, low=-9), axis=0)
        yield case(op, "long, last axis", normal(3, 1001), axis=1, smooth=False)
        yield case(op, "long, first axis", normal(1001, 3), axis=0, smooth=False)
        yield case(op, "long, all", normal(77, 13), smooth=False)
        for shape, axis in _LARGE:
            yield case(op, f"{shape} over {axis}", normal(*shape), axis=axis, keepdims=True, smooth=False)
            yield case(op, f"{shape} over {axis}, removed", normal(*shape), axis=axis, smooth=False)
        yield case(op, "NaN", floats(1.0, NAN, INF), special=True)
        yield case(op, "infinities", floats(1.0, INF, 3.0), special=True)
        yield case(op, "minus infinity", floats(-INF, -INF), axis=0, special=True)
    yield from _sum()
    yield case("max", "ties", T(np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])), axis=1, smooth=False)
    yield from _argmax()
    yield from _matmul()


def _sum() -> Iterator[Case]:
    yield case("sum", "of nothing", normal(0, 3), axis=0)
    yield case("sum", "of nothing at all", normal(0))
    yield case("sum", "bool counts", flags(7, 3), axis=0)
    yield case("sum", "bool, no axis", flags(7), axis=())
    yield case("sum", "int64, all", integers(4, 5, low=-9))
    yield case("sum", "opposite infinities", floats(INF, -INF), special=True)
    yield case("sum", "cancellation", T(np.tile([1e6, -1e6, 0.25], 40)), smooth=False)


def _argmax() -> Iterator[Case]:
    yield case("argmax", "rows", normal(4, 5), axis=1)
    yield case("argmax", "columns", normal(4, 5), axis=0)
    yield case("argmax", "negative axis", normal(2, 3, 4), axis=-2)
    yield case("argmax", "keepdims", normal(2, 3, 4), axis=1, keepdims=True)
    yield case("argmax", "one element", normal(1, 3), axis=0)
    yield case("argmax", "vector", normal(9), axis=0)
    yield case("argmax", "int64", integers(3, 9), axis=1)
    yield case("argmax", "no rows", normal(0, 3), axis=1)
    yield case("argmax", "the first of many ties", T(np.zeros((3, 200))), axis=1)
    yield case("argmax", "the first of some ties", integers(20, 30, high=4), axis=0)
    yield case("argmax", "the first NaN", floats(1.0, NAN, INF, NAN), axis=0, special=True)
    yield case("argmax", "infinities", T(np.array([[INF, INF, 1.0], [-INF] * 3])), axis=1, special=True)


def _matmul() -> Iterator[Case]:
    for left, right in (
        ((3, 4), (4, 5)),
        ((1, 4), (4, 1)),
        ((1, 1), (1, 1)),
        ((3, 0), (0, 5)),
        ((0, 4), (4, 5)),
        ((3, 4), (4, 0)),
        ((2, 3, 4), (2, 4, 5)),
        ((2, 3, 4), (4, 5)),
        ((3, 4), (2, 4, 5)),
        ((2, 1, 3, 4), (3, 4, 2)),
        ((1, 3, 4), (5, 4, 2)),
        ((0, 3, 4), (4, 2)),
        ((2, 2, 3, 0), (2, 0, 2)),
    ):
        yield case("matmul", f"{left} times {right}", normal(*left), normal(*right, seed=1))
    yield case("matmul", "long inner axis", normal(5, 900), normal(900, 6, seed=1), smooth=False)
    yield case("matmul", "large", normal(70, 65), normal(65, 80, seed=1), smooth=False)
    ends = T(np.array([[1.0, NAN], [INF, 1.0]]))
    yield case("matmul", "NaN and infinity", ends, normal(2, 3), special=True)
