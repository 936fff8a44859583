"""Maps: elementwise expressions over arrays of any strides, one vector at a time."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..ir import Code, Terms, Value
from .span import Array, Span
from .sums import best_shared, nest, share

_UNROLLED = 2
"""How many vectors a turn of a loop works on: the one's latency is the other's time."""


@dataclass(frozen=True)
class Loops:
    """A loop nest over arrays: its extents, and each array's strides along them."""

    shape: tuple[int, ...]
    arrays: tuple[Array, ...]
    rank: int
    """How many of the axes, the first ones, are kept by a reduction."""

    @classmethod
    def over(cls, shape: Sequence[int], arrays: Sequence[Array], summed: Sequence[int] = ()) -> Loops:
        """Return the nest with as few axes as possible, the one of the last array's largest stride outermost.

        Axes of extent 1 go; neighbours that every array walks through as if they were one are joined. Axes
        that are summed over come last, and are joined among themselves.
        """

        def order(axis: int) -> tuple[int, ...]:
            return (axis in summed, *(-abs(array.strides[axis]) for array in reversed(arrays)))

        groups: list[list[int]] = []
        for axis in sorted((axis for axis, extent in enumerate(shape) if extent != 1), key=order):
            outer = groups[-1][-1] if groups else -1
            if groups and (outer in summed) == (axis in summed) and _joined(shape, arrays, outer, axis):
                groups[-1].append(axis)
            else:
                groups.append([axis])
        extents = tuple(math.prod(shape[axis] for axis in group) for group in groups)
        inner = [group[-1] for group in groups]
        rank = sum(axis not in summed for axis in inner)
        return cls(extents, tuple(array.permuted(inner) for array in arrays), rank)

    def at_least_one(self) -> Loops:
        """Return the nest with an axis of extent 1 at its end, if it has none behind the kept ones."""
        if self.rank < len(self.shape):
            return self
        arrays = tuple(replace(array, strides=(*array.strides, 0)) for array in self.arrays)
        return replace(self, shape=(*self.shape, 1), arrays=arrays)


def _joined(shape: Sequence[int], arrays: Sequence[Array], outer: int, inner: int) -> bool:
    return all(array.strides[outer] == array.strides[inner] * shape[inner] for array in arrays)


def best_axis(shape: Sequence[int], arrays: Sequence[Array], among: Sequence[int] | None = None) -> int:
    """Return the axis along which most arrays are contiguous; of equal ones the longest."""

    def worth(axis: int) -> tuple[int, int]:
        strides = [abs(array.strides[axis]) for array in arrays]
        contiguous = sum(2 if s == 1 else 1 if s == 0 else -2 for s in strides)
        return contiguous, shape[axis]

    return max(range(len(shape)) if among is None else among, key=worth)


def width_of(code: Code, arrays: Sequence[Array]) -> int:
    """Return how many elements of the largest of these types a vector register holds."""
    return min(code.machine.lanes(array.element) for array in arrays)


def spans(
    code: Code,
    places: Sequence[Terms],
    axis: int,
    extent: int,
    width: int,
    body: Callable[[list[Span]], None],
    *,
    shared: bool = False,
) -> None:
    """Call the body for all of an axis, with a few spans at a time; the last one may be cut.

    shared: whether the parts of a kernel share the axis.
    """
    loop: Any = functools.partial(share, code) if shared else code.loop

    def at(first: Terms, count: int, live: int) -> list[Span]:
        found = []
        for i in range(count):
            index = list(places)
            index[axis] = [*first, (i, width)]
            found.append(Span(code, tuple(index), axis, width, live if i == count - 1 else width))
        return found

    most = _UNROLLED if extent > (_UNROLLED + 1) * width else _UNROLLED + 1
    turns = extent // (most * width)
    if turns:
        with loop(turns) as i:
            body(at([(i, most * width)], most, width))
    done = turns * most * width
    if done < extent:
        count = -(-(extent - done) // width)
        with loop(1):
            body(at([(done, 1)], count, extent - done - (count - 1) * width))


def elementwise(
    code: Code,
    shape: Sequence[int],
    inputs: Sequence[Array],
    outputs: Sequence[Array],
    expression: Callable[..., Value | Sequence[Value]],
    *,
    shared: bool = False,
) -> None:
    """Write outputs = expression(code, *inputs), element by element, over arrays of one shape.

    The expression gets and returns one vector for each array. An output may be one of the inputs.
    shared: whether the parts of a kernel share a loop.
    """
    if 0 in shape:
        return
    loops = Loops.over(shape, [*inputs, *outputs])
    if not loops.shape:
        loops = loops.at_least_one()
    arrays, extents = loops.arrays, loops.shape

    def body(parts: list[Span]) -> None:
        for span in parts:
            values = [span.load(array) for array in arrays[: len(inputs)]]
            results = expression(code, *values)
            results = [results] if isinstance(results, Value) else results
            for result, array in zip(results, arrays[len(inputs) :], strict=True):
                span.store(result, array)

    axis = best_axis(extents, arrays)
    others = [i for i in range(len(extents)) if i != axis]

    lengths = [extents[i] for i in others]
    outer = best_shared(code, [*lengths, extents[axis] // width_of(code, arrays)]) if shared else None

    def inside(found: list[Terms]) -> None:
        places: list[Terms] = [()] * len(extents)
        for i, place in zip(others, found, strict=True):
            places[i] = place
        width = 1 if extents[axis] == 1 else width_of(code, arrays)
        spans(code, places, axis, extents[axis], width, body, shared=outer == len(others))

    nest(code, [()] * len(others), lengths, inside, shared=outer)
