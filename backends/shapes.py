"""Shape arithmetic that the backends and the op table share."""

from __future__ import annotations

import math

from .errors import ShapeError
from .protocol import Axis, Shape


def axes_of(axis: Axis, rank: int) -> tuple[int, ...]:
    """Return the axes as a tuple of non-negative numbers; None means all."""
    if axis is None:
        return tuple(range(rank))
    return tuple(a % rank for a in (axis if isinstance(axis, tuple) else (axis,)))


def reduced(shape: Shape, axis: Axis, keepdims: bool) -> Shape:
    """Return the shape after a reduction."""
    if type(axis) is int and axis >= 0 and not keepdims:
        return shape[:axis] + shape[axis + 1 :]
    axes = axes_of(axis, len(shape))
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def broadcast(*shapes: Shape) -> Shape:
    """Return the common shape under numpy's rules."""
    rank = max((len(s) for s in shapes), default=0)
    result = []
    for extents in zip(*((1,) * (rank - len(s)) + s for s in shapes), strict=True):
        sizes = {n for n in extents if n != 1}
        if len(sizes) > 1:
            raise ShapeError(f"the shapes {' and '.join(map(str, shapes))} do not broadcast")
        result.append(sizes.pop() if sizes else 1)
    return tuple(result)


def reshaped(old: Shape, new: Shape) -> Shape:
    """Return `new` with its -1, if any, filled in."""
    size, known = math.prod(old), math.prod(n for n in new if n != -1)
    if -1 in new and known and size % known == 0:
        new = tuple(size // known if n == -1 else n for n in new)
    if math.prod(new) != size or -1 in new:
        raise ShapeError(f"a tensor of shape {old} cannot be reshaped to {new}")
    return new


def slices(starts: Shape, stops: Shape, steps: Shape | None) -> tuple[slice, ...]:
    """Return one built-in slice per axis."""
    if steps is None:
        return tuple(map(slice, starts, stops))
    return tuple(map(slice, starts, stops, steps))


def count(shape: Shape, axis: Axis) -> int:
    """Return how many elements a reduction of `shape` over `axis` combines."""
    return math.prod(shape[a] for a in axes_of(axis, len(shape)))
