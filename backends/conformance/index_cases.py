"""Cases of the index and window ops."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..windows import Window
from .case import SPECIAL, Case, T, case, floats, integers, normal


def cases() -> Iterator[Case]:
    """Yield the cases of the index and window rows."""
    yield from _take()
    yield from _along()
    yield from _slice_add()
    yield from _windows()


def _indices(*numbers: int) -> T:
    return T(np.array(numbers, np.int64))


def _take() -> Iterator[Case]:
    for shape, axis, picked in (
        ((5, 3), 0, (4, 0, 0, 2)),
        ((5, 3), 1, (2, 1)),
        ((2, 4, 3), -2, (3, 3, 3)),
        ((2, 4, 3), -1, (0,)),
        ((6,), 0, (5, 1, 5, 5)),
        ((4, 2), 0, ()),
        ((1, 2), 0, (0, 0, 0)),
        ((3, 0), 0, (1, 1)),
    ):
        label = f"{shape} at {picked} of axis {axis}"
        yield case("take", label, normal(*shape), _indices(*picked), axis=axis)
        extents = list(shape)
        extents[axis] = len(picked)
        yield case("index_add", label, normal(*shape), _indices(*picked), normal(*extents, seed=1), axis=axis)
    yield case("take", "int64", integers(5), _indices(4, 4, 0), axis=0)
    yield case("take", "special values", floats(*SPECIAL), _indices(*range(14, -1, -1)), axis=0, special=True)
    many = T(np.arange(300) % 4)
    yield case("index_add", "many repeats", normal(4, 2), many, normal(300, 2, seed=1), axis=0, smooth=False)
    yield case("index_add", "int64", integers(3), _indices(2, 2), integers(2), axis=0)


def _along() -> Iterator[Case]:
    for shape, axis, picked in (
        ((4, 3), 1, 2),
        ((4, 3), 0, 6),
        ((2, 3, 4), -1, 1),
        ((2, 3, 4), 1, 5),
        ((5,), 0, 8),
        ((3, 1), 1, 3),
        ((3, 2), 1, 0),
        ((0, 2), 1, 3),
    ):
        extents = list(shape)
        extents[axis] = picked
        where = integers(*extents, high=shape[axis])
        label = f"{shape}, {picked} of axis {axis}"
        yield case("take_along_axis", label, normal(*shape), where, axis=axis)
        yield case("scatter_add", label, normal(*shape), where, normal(*extents, seed=1), axis=axis)
    zeros = T(np.zeros((2, 50), np.int64))
    yield case(
        "scatter_add", "all to one place", normal(2, 3), zeros, normal(2, 50, seed=1), axis=1, smooth=False
    )
    yield case("take_along_axis", "int64", integers(2, 3), integers(2, 2, high=3), axis=1)
    yield case("scatter_add", "int64", integers(2, 3), integers(2, 2, high=3), integers(2, 2), axis=1)


def _slice_add() -> Iterator[Case]:
    for shape, starts, stops, steps in (
        ((5, 6), (1, 2), (4, 5), None),
        ((5, 6), (0, 0), (5, 6), None),
        ((7, 6), (1, 0), (7, 5), (2, 3)),
        ((4, 3), (2, 0), (2, 3), None),
        ((5,), (1,), (5,), (9,)),
        ((), (), (), None),
    ):
        steps_or_ones = steps or (1,) * len(shape)
        extents = [len(range(*bounds)) for bounds in zip(starts, stops, steps_or_ones, strict=True)]
        label = f"{shape} from {starts} to {stops} by {steps}"
        yield case("slice_add", label, normal(*shape), normal(*extents, seed=1), starts, stops, steps=steps)
    yield case("slice_add", "int64", integers(4), integers(2), (1,), (3,))


def _windows() -> Iterator[Case]:
    for label, shape, kernel, options in _geometries():
        window = Window.of(shape[2:], kernel, **options)
        columns = window.columns_of("unfold", shape)
        smooth = int(np.prod(columns)) <= 400
        yield case("unfold", label, normal(*shape), window, smooth=smooth)
        yield case("fold", label, normal(*columns), window, smooth=smooth)


def _geometries() -> Iterator[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]]]:
    yield "1 axis", (2, 3, 7), (3,), {}
    yield "2 axes", (2, 2, 5, 6), (3, 2), {}
    yield "3 axes", (1, 2, 4, 3, 5), (2, 2, 3), {}
    yield "kernel of 1", (2, 3, 4, 4), (1, 1), {}
    yield "kernel of 1, strided", (2, 3, 5, 4), (1, 1), {"stride": (2, 3)}
    yield "kernel as large as the image", (2, 2, 3, 4), (3, 4), {}
    yield "no samples", (0, 2, 5), (2,), {}
    yield "no channels", (2, 0, 5), (2,), {}
    yield "one position after another", (1, 1, 6), (2,), {"stride": (2,)}
    yield "gaps between the windows", (1, 2, 8, 9), (2, 2), {"stride": (3, 4)}
    for rank in (1, 2, 3, 4):
        shape = (2, 2, *(6, 5, 4, 2)[:rank])
        for stride, padded, dilation in itertools.product((1, 2), (False, True), (1, 2)):
            options = {
                "stride": (stride, 1, 2, 1)[:rank],
                "padding": ((1, 2), (0, 1), (1, 1), (0, 0))[:rank] if padded else ((0, 0),) * rank,
                "dilation": (dilation, 1, dilation, 1)[:rank],
            }
            padding = "asymmetric padding" if padded else "no padding"
            label = f"{rank} axes, stride {options['stride']}, dilation {options['dilation']}, {padding}"
            yield label, shape, (3, 2, 2, 1)[:rank], options
    yield "padding wider than the image", (1, 1, 2), (3,), {"padding": ((4, 3),)}
