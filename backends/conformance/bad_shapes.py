"""Bad shapes, axes, bounds and indices of the move and index ops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError, DtypeError, OptionError, ShapeError
from .case import INF, NAN, Case, T, case, flags, integers, normal


@dataclass(frozen=True)
class BadCall:
    """A call, and the error that it must raise."""

    case: Case
    error: type[Exception]


def bad(op: str, error: type[Exception], *args: Any, **kwargs: Any) -> BadCall:
    """Return a bad call, labelled by its arguments."""
    shown = [_shown(value) for value in args] + [f"{name}={_shown(value)}" for name, value in kwargs.items()]
    return BadCall(case(op, f"{op}({', '.join(shown)})", *args, **kwargs), error)


def _shown(value: Any) -> str:
    if isinstance(value, T):
        return f"{value.array.dtype} {value.array.shape}"
    if isinstance(value, (list, tuple)) and any(isinstance(part, T) for part in value):
        return f"[{', '.join(map(_shown, value))}]"
    text = repr(value)
    return text if len(text) < 80 else f"{text[:40]}..."


_AXES: tuple[tuple[type[Exception], Any], ...] = (
    (ShapeError, 7),
    (ShapeError, 2),
    (ShapeError, -3),
    (OptionError, 1.0),
    (OptionError, "0"),
    (OptionError, True),
)
"""Of a matrix."""


def axis_calls(op: str, *args: Any) -> Iterator[BadCall]:
    """Yield calls with bad axes."""
    for error, axis in _AXES:
        yield bad(op, error, *args, axis=axis)


def bad_shapes() -> Iterator[BadCall]:
    """Yield the calls of these ops."""
    yield from _rearranged()
    yield from _concat()
    yield from _pad()
    yield from _slices()
    yield from _indices()
    yield from _index_shapes()


_X = normal(2, 3)


def _rearranged() -> Iterator[BadCall]:
    for shape in ((-2, 3), (-2, -3), (-1, -1), (4, 2), (-1, 4), (0, -1), (-1, 0), ()):
        yield bad("reshape", ShapeError, _X, shape)
    yield bad("reshape", ShapeError, normal(0), (0, -1))
    for wrong in ((2.0, 3), "23", 6, None, (2, None)):
        yield bad("reshape", OptionError, _X, wrong)
    for axes in ((0,), (), (0, 1, 2), (0, 0), (0, -2), (0, 2), (-3, 0)):
        yield bad("permute_dims", ShapeError, _X, axes)
    for order in (None, (0, 1.0), "10", 1):
        yield bad("permute_dims", OptionError, _X, order)
    for old, new in (
        ((3,), (-1,)),
        ((3,), (2, -1)),
        ((3,), (4,)),
        ((2, 3), (3,)),
        ((2, 3), (3, 2)),
        ((2, 3), (2, 3, 1)),
        ((3,), (0,)),
        ((1,), (-2,)),
    ):
        yield bad("broadcast_to", ShapeError, normal(*old), new)
    for stretch in (3, None, (2.5,), "3"):
        yield bad("broadcast_to", OptionError, normal(1), stretch)


def _concat() -> Iterator[BadCall]:
    yield bad("concat", ShapeError, [])
    yield bad("concat", OptionError, _X)
    for shapes in (((), ()), ((),), ((2, 3), (3,)), ((2, 3), (2, 4)), ((2, 3), (0,)), ((0,), (2, 3))):
        yield bad("concat", ShapeError, [normal(*shape) for shape in shapes])
    yield bad("concat", DtypeError, [normal(2), None])
    yield from axis_calls("concat", [_X, _X])
    yield bad("concat", OptionError, [_X, _X], axis=None)


def _pad() -> Iterator[BadCall]:
    for widths in (((1, 1),), (), ((1, 1),) * 3, ((0, 0), (-1, 0)), ((0, -1), (0, 0))):
        yield bad("pad", ShapeError, _X, widths)
    for wrong in (((1,), (1,)), ((1, 1), (1, 1, 1)), (1, 1), 1, None, ((0.5, 0), (0, 0))):
        yield bad("pad", OptionError, _X, wrong)
    for value in ("1", None, [1.0], True):
        yield bad("pad", DtypeError, _X, ((1, 1), (0, 0)), value=value)
    for number in (0.5, NAN, -INF, 2**63):
        yield bad("pad", DtypeError, integers(2), ((1, 1),), value=number)
    yield bad("pad", DtypeError, flags(2), ((1, 1),), value=2)


_BOUNDS: tuple[tuple[type[Exception], Any, Any, Any], ...] = (
    (ShapeError, (0,), (2, 3), None),
    (ShapeError, (0, 0), (2,), None),
    (ShapeError, (0, 0, 0), (2, 3, 1), None),
    (ShapeError, (), (), None),
    (ShapeError, (0, 0), (2, 3), (1,)),
    (ShapeError, (0, 0), (2, 3), (1, 1, 1)),
    (ShapeError, (0, 0), (2, 3), ()),
    (ShapeError, (-1, 0), (2, 3), None),
    (ShapeError, (0, 0), (2, -1), None),
    (ShapeError, (0, 0), (2, 4), None),
    (ShapeError, (0, 2), (2, 1), None),
    (ShapeError, (0, 4), (2, 4), None),
    (OptionError, (0, 0), (2, 3), (1, 0)),
    (OptionError, (0, 0), (2, 3), (1, -1)),
    (OptionError, (0.0, 0), (2, 3), None),
    (OptionError, (None, 0), (2, 3), None),
    (OptionError, (0, 0), (2, None), None),
    (OptionError, 0, 2, None),
)
"""Of a slice of a (2, 3): starts, stops, steps."""


def _slices() -> Iterator[BadCall]:
    for error, starts, stops, steps in _BOUNDS:
        yield bad("slice", error, _X, starts, stops, steps=steps)
        yield bad("slice_add", error, _X, _X, starts, stops, steps=steps)
    for shape in ((3,), (1, 3), (2, 1), (), (1, 2, 3), (2, 2), (4, 3)):
        yield bad("slice_add", ShapeError, normal(4, 3), normal(*shape), (1, 0), (3, 3))


def _indices() -> Iterator[BadCall]:
    row = T(np.array([0, 1]))
    matrix = T(np.array([[0, 1, 0], [1, 0, 1]]))
    for op, right in (
        ("take", row),
        ("index_add", row),
        ("take_along_axis", matrix),
        ("scatter_add", matrix),
    ):
        shape = right.array.shape
        values = (_X,) if op in ("index_add", "scatter_add") else ()
        yield from axis_calls(op, _X, right, *values)
        for axis in (None, (0, 1)):
            yield bad(op, OptionError, _X, right, *values, axis=axis)
        for number in (2, 7, -1, -2, 2**40, -(2**63)):
            array = right.array.copy()
            array[-1] = number
            yield bad(op, DataError, _X, T(array), *values, axis=0)
        for indices in (normal(*shape), flags(*shape), [0, 1]):
            yield bad(op, DtypeError, _X, indices, *values, axis=0)
        yield bad(op, ShapeError, _X, integers(), *values, axis=0)
        yield bad(op, DataError, normal(0, 3), right, *values, axis=0)
        yield bad(op, ShapeError, normal(), right, *values, axis=0)
    for indices in (normal(2), flags(2)):
        yield bad("one_hot", DtypeError, indices, 3)
    for classes in (-1, 2.5, None, "3"):
        yield bad("one_hot", OptionError, integers(2), classes)
    yield bad("one_hot", DtypeError, integers(2), 3, dtype="float16")


def _index_shapes() -> Iterator[BadCall]:
    row, matrix = T(np.array([0, 1])), T(np.array([[0, 1, 2], [1, 2, 3]]))
    yield bad("take", ShapeError, _X, T(np.zeros((1, 2), np.int64)), axis=0)
    yield bad("index_add", ShapeError, _X, T(np.zeros((1, 2), np.int64)), _X, axis=0)
    for shape in ((3,), (1, 3), (2, 1), (), (2, 4), (3, 3), (1, 2, 3), (2,)):
        yield bad("index_add", ShapeError, normal(4, 3), row, normal(*shape), axis=0)
        yield bad("scatter_add", ShapeError, normal(4, 3), matrix, normal(*shape), axis=0)
    for shape, axis in (((2, 2), 0), ((1, 3), 1), ((3, 3), 1), ((2, 4), 0), ((3,), 0), ((1, 2, 3), 1)):
        indices = T(np.zeros(shape, np.int64))
        yield bad("take_along_axis", ShapeError, _X, indices, axis=axis)
        yield bad("scatter_add", ShapeError, _X, indices, normal(*shape), axis=axis)
