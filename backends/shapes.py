"""Shape rules of the ops, which every backend and the op table share: each raises for what does not fit.

Shapes, axes and bounds are tuples of integers; anything else is an OptionError. A rule that is asked at every
call is cached by its integers.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import DtypeError, OptionError, ShapeError, gradient_shape_error
from .options import as_integer
from .protocol import Axis, Shape, Widths

_cached = functools.lru_cache(maxsize=4096)
_index = operator.index


def integers(op: str, option: str, values: Any) -> tuple[int, ...]:
    """Return the integers of a sequence as a tuple."""
    try:
        return tuple(map(_index, values))
    except TypeError:
        raise OptionError(f"{op}: expected {option} to be a tuple of integers, got {values!r}") from None


def extents(op: str, shape: Any) -> Shape:
    """Return a shape that an op is asked for: no extent is negative."""
    new = integers(op, "shape", shape)
    if new and min(new) < 0:
        raise ShapeError(f"{op}: expected extents of at least 0, got {new}")
    return new


def range_of(start: Any, stop: Any, step: Any, dtype: str) -> tuple[int, int, int]:
    """Return the bounds of `arange`."""
    if dtype == "bool":
        raise DtypeError("arange: expected a dtype of numbers, got bool")
    bounds = integers("arange", "start, stop and step", (start, stop, step))
    if bounds[2] == 0:
        raise OptionError("arange: expected a step other than 0, got 0")
    return bounds  # type: ignore[return-value]


def cell_shapes(shapes: Any) -> dict[str, Shape]:
    """Return the shapes that `cells` is asked for, by name."""
    if not isinstance(shapes, Mapping):
        raise OptionError(f"cells: expected a dict of shapes by name, got {shapes!r}")
    return {name: extents("cells", shape) for name, shape in shapes.items()}


# -- axes --------------------------------------------------------------------------------------


def axis_of(op: str, axis: Any, rank: int) -> int:
    """Return one axis, from -rank to rank - 1."""
    if type(axis) is int and -rank <= axis < rank:
        return axis
    number = as_integer(axis)
    if number is None:
        raise OptionError(f"{op}: expected axis to be an integer, got {axis!r}")
    if not -rank <= number < rank:
        raise ShapeError(f"{op}: expected an axis of a tensor of {rank} axes, got {axis!r}")
    return number


def axes_in(op: str, axis: Any, rank: int) -> Axis:
    """Return the axis of a reduction, checked: an integer, a tuple of different ones, or None for all."""
    if axis is None or (type(axis) is int and -rank <= axis < rank):
        return axis
    if type(axis) is not tuple:
        number = as_integer(axis)
        if number is None:
            raise OptionError(f"{op}: expected axis to be an integer, a tuple of them or None, got {axis!r}")
        return axis_of(op, number, rank)
    axes: tuple[int, ...] = axis
    for one in axis:
        if type(one) is not int:
            axes = integers(op, "axis", axis)
            break
    _distinct(op, axes, rank)
    return axes


@_cached
def _distinct(op: str, axes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Return axes as numbers from 0."""
    numbers = tuple(axis_of(op, int(axis), rank) % rank for axis in axes)
    if len(set(numbers)) < len(axes):
        raise ShapeError(f"{op}: expected different axes, got {axes} of {rank}")
    return numbers


def axes_of(axis: Axis, rank: int, op: str = "reduce") -> tuple[int, ...]:
    """Return the axes of a reduction as a tuple of numbers from 0."""
    axis = axes_in(op, axis, rank)
    if axis is None:
        return tuple(range(rank))
    return _distinct(op, axis if type(axis) is tuple else (axis,), rank)


def reduced(shape: Shape, axis: Axis, keepdims: bool, op: str = "reduce") -> Shape:
    """Return the shape after a reduction."""
    if type(axis) is int and 0 <= axis < len(shape) and not keepdims:
        return shape[:axis] + shape[axis + 1 :]
    axes = axes_of(axis, len(shape), op)
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes)


@_cached
def count(shape: Shape, axis: Axis) -> int:
    """Return how many elements a reduction of `shape` over checked axes combines."""
    return math.prod(shape[a] for a in axes_of(axis, len(shape)))


def check_not_empty(op: str, shape: Shape, axis: Axis) -> None:
    """Raise if a maximum is asked for where there is none."""
    if count(shape, axis) == 0:
        raise ShapeError(f"{op}: expected at least one element along axis {axis}, got shape {tuple(shape)}")


# -- elementwise and products ------------------------------------------------------------------


def broadcast(*shapes: Shape, op: str = "") -> Shape:
    """Return the common shape under numpy's rules."""
    rank = max((len(s) for s in shapes), default=0)
    result = []
    for sizes in zip(*((1,) * (rank - len(s)) + tuple(s) for s in shapes), strict=True):
        different = {n for n in sizes if n != 1}
        if len(different) > 1:
            found = " and ".join(str(tuple(s)) for s in shapes)
            raise ShapeError(f"{op or 'broadcast'}: expected shapes that broadcast, got {found}")
        result.append(different.pop() if different else 1)
    return tuple(result)


def check_equal(op: str, first: Shape, second: Shape) -> None:
    """Raise unless two shapes are equal."""
    if first != second:
        raise ShapeError(f"{op}: expected tensors of one shape, got {tuple(first)} and {tuple(second)}")


def product(x: Shape, y: Shape, op: str = "matmul") -> Shape:
    """Return the shape of a matrix product."""
    if len(x) < 2 or len(y) < 2 or x[-1] != y[-2]:
        raise ShapeError(f"{op}: expected (..., M, K) and (..., K, N), got {tuple(x)} and {tuple(y)}")
    return (*broadcast(x[:-2], y[:-2], op=op), x[-2], y[-1])


@_cached
def check_linear(x: Shape, weight: Shape, bias: Shape | None) -> None:
    """Raise unless the shapes are (..., I) of two axes or more, (O, I), and (O,) or None."""
    if len(x) < 2 or len(weight) != 2 or x[-1] != weight[-1] or bias not in (None, weight[:1]):
        raise ShapeError(
            f"linear: expected x (N, ..., I), weight (O, I) and bias (O,) or None, got {tuple(x)}, "
            f"{tuple(weight)} and {None if bias is None else tuple(bias)}"
        )


# -- moves -------------------------------------------------------------------------------------


# The `check_` rules are cached by their arguments. To a cache 2.0 is 2, so a backend passes its library what
# it was given; the library's TypeError leads to the rules that look at each number.


def reshaped(old: Shape, new: Any) -> Shape:
    """Return `new` with its -1, if any, filled in."""
    return check_reshape(old, integers("reshape", "shape", new))


@_cached
def check_reshape(old: Shape, new: Shape) -> Shape:
    """Return `new` with its -1, if any, filled in."""
    size, known = math.prod(old), math.prod(n for n in new if n != -1)
    if new.count(-1) == 1 and min(new) == -1 and known and size % known == 0:
        return tuple(size // known if n == -1 else n for n in new)
    if known != size or (new and min(new) < 0):
        raise ShapeError(
            f"reshape: expected a shape of {size} elements, with at most one -1, for a tensor of shape "
            f"{tuple(old)}, got {new}"
        )
    return new


def permuted(shape: Shape, axes: Any) -> tuple[int, ...]:
    """Return the axes of `permute_dims`: each one once."""
    order = integers("permute_dims", "axes", axes)
    check_order(shape, order)
    return order


@_cached
def check_order(shape: Shape, order: tuple[int, ...]) -> None:
    """Raise unless an order holds each axis once."""
    rank = len(shape)
    if len(order) != rank or sorted(a % rank for a in order if -rank <= a < rank) != list(range(rank)):
        raise ShapeError(f"permute_dims: expected each of {rank} axes once, got {order}")


def stretched(old: Shape, new: Any) -> Shape:
    """Return the shape of `broadcast_to`."""
    shape = extents("broadcast_to", new)
    check_stretch(old, shape)
    return shape


@_cached
def check_stretch(old: Shape, new: Shape) -> None:
    """Raise unless a shape broadcasts to another."""
    lead = len(new) - len(old)
    fits = lead >= 0 and all(n in (1, m) for n, m in zip(old, new[lead:], strict=True))
    if not fits or (new and min(new) < 0):
        raise ShapeError(f"broadcast_to: expected a shape that {tuple(old)} broadcasts to, got {new}")


def joined(shapes: Sequence[Shape], axis: Any) -> Shape:
    """Return the shape of `concat`."""
    if not shapes:
        raise ShapeError("concat: expected at least one tensor, got none")
    first = shapes[0]
    at = axis_of("concat", axis, len(first)) % len(first)
    before, after = first[:at], first[at + 1 :]
    total = 0
    for shape in shapes:
        if len(shape) != len(first) or shape[:at] != before or shape[at + 1 :] != after:
            raise ShapeError(
                f"concat: expected tensors that differ along axis {axis} alone, got {tuple(first)} and "
                f"{tuple(shape)}"
            )
        total += shape[at]
    return (*before, total, *after)


def check_sequence(tensors: Any) -> None:
    """Raise unless `concat` is given a list or a tuple."""
    if type(tensors) not in (list, tuple):
        raise OptionError(f"concat: expected a list of tensors, got {type(tensors).__name__}")


def widths_of(shape: Shape, widths: Any) -> Widths:
    """Return the widths of `pad`: (before, after) for each axis, not negative."""
    try:
        pairs = tuple((_index(before), _index(after)) for before, after in widths)
    except (TypeError, ValueError):
        raise OptionError(f"pad: expected widths to be pairs of integers, got {widths!r}") from None
    _check_widths(shape, pairs)
    return pairs


@_cached
def _check_widths(shape: Shape, widths: Widths) -> None:
    """Raise unless there is a pair for each axis, not negative."""
    if len(widths) != len(shape) or any(min(pair) < 0 for pair in widths):
        raise ShapeError(
            f"pad: expected a pair of widths of at least 0 for each axis of {tuple(shape)}, got {widths}"
        )


def slices(op: str, shape: Shape, starts: Any, stops: Any, steps: Any) -> tuple[slice, ...]:
    """Return one built-in slice per axis: 0 <= start <= stop <= extent, and a step of at least 1."""
    first, last = integers(op, "starts", starts), integers(op, "stops", stops)
    between = None if steps is None else integers(op, "steps", steps)
    _check_bounds(op, shape, first, last, between)
    if between is None:
        return tuple(map(slice, first, last))
    return tuple(map(slice, first, last, between))


@_cached
def _check_bounds(op: str, shape: Shape, starts: Shape, stops: Shape, steps: Shape | None) -> None:
    """Raise unless the bounds of a slice fit a shape."""
    ones = (1,) * len(shape) if steps is None else steps
    if not len(starts) == len(stops) == len(ones) == len(shape):
        raise ShapeError(
            f"{op}: expected a start, a stop and a step for each axis of {tuple(shape)}, "
            f"got {starts}, {stops} and {steps}"
        )
    if any(not 0 <= a <= z <= n for a, z, n in zip(starts, stops, shape, strict=True)):
        raise ShapeError(f"{op}: expected 0 <= start <= stop <= {tuple(shape)}, got {starts} and {stops}")
    if any(step < 1 for step in ones):
        raise OptionError(f"{op}: expected steps of at least 1, got {steps}")


def sliced(shape: Shape, parts: tuple[slice, ...]) -> Shape:
    """Return the shape of a slice."""
    return tuple(len(range(n)[part]) for n, part in zip(shape, parts, strict=True))


# -- indices -----------------------------------------------------------------------------------


def taken(op: str, shape: Shape, indices: Shape, axis: Any) -> Shape:
    """Return the shape of the slices at indices (K,) along an axis."""
    return _taken(op, shape, indices, axis if type(axis) is int else axis_of(op, axis, len(shape)))


@_cached
def _taken(op: str, shape: Shape, indices: Shape, axis: int) -> Shape:
    at = axis_of(op, axis, len(shape)) % len(shape)
    if len(indices) != 1:
        raise ShapeError(f"{op}: expected indices (K,), got shape {tuple(indices)}")
    return (*shape[:at], indices[0], *shape[at + 1 :])


def along(op: str, shape: Shape, indices: Shape, axis: Any) -> Shape:
    """Return the indices' shape, which is the tensor's but for the axis."""
    return _along(op, shape, indices, axis if type(axis) is int else axis_of(op, axis, len(shape)))


@_cached
def _along(op: str, shape: Shape, indices: Shape, axis: int) -> Shape:
    at = axis_of(op, axis, len(shape)) % len(shape)
    fits = len(indices) == len(shape) and indices[:at] == shape[:at] and indices[at + 1 :] == shape[at + 1 :]
    if not fits:
        raise ShapeError(
            f"{op}: expected indices that differ from x {tuple(shape)} along axis {axis} alone, got "
            f"{tuple(indices)}"
        )
    return indices


def check_values(op: str, expected: Shape, values: Shape) -> None:
    """Raise unless the values to add have the shape of the part that they are added to."""
    if values != expected:
        raise ShapeError(f"{op}: expected values of shape {tuple(expected)}, got {tuple(values)}")


def check_pool_grad(grad: Shape, indices: Shape, size: Any) -> Shape:
    """Return the image's size for `max_pool_grad`: the gradient and the indices are (N, C, *counts)."""
    new = extents("max_pool_grad", size)
    if grad != indices:
        raise gradient_shape_error("max_pool_grad", grad, indices)
    if len(grad) < 2:
        raise ShapeError(f"max_pool_grad: expected a gradient (N, C, *counts), got {tuple(grad)}")
    return new
