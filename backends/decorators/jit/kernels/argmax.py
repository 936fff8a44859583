"""The index of the first maximum along an axis; NaN counts as the largest number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..ir import Code, Terms, Value, vector
from .elementwise import convert
from .loops import Loops, best_axis, width_of
from .reduce import MAX
from .span import Array, Span
from .sums import Places, nest


def argmax(
    code: Code,
    shape: Sequence[int],
    axis: int,
    inputs: Sequence[Array],
    output: Array,
    expression: Callable[..., Value] = lambda code, x: x,
    *,
    element: str | None = None,
) -> None:
    """Write the index of the first largest expression(code, *inputs) along an axis of extent > 0.

    `element` is that of the expression, else the first input's. The output is i64; its stride along the axis
    counts for nothing.
    """
    if 0 in shape:
        return
    strides = tuple(0 if i == axis else s for i, s in enumerate(output.strides))
    arrays = [*inputs, replace(output, strides=strides)]
    loops = Loops.over(shape, arrays, [axis]).at_least_one()
    _Search(code, loops, element or inputs[0].element, expression).write()


class _Search:
    def __init__(self, code: Code, loops: Loops, element: str, expression: Callable[..., Value]) -> None:
        self.code, self.loops, self.expression = code, loops, expression
        self.element = "i64" if element == "i1" else element
        self.width = width_of(code, loops.arrays)

    def write(self) -> None:
        """Write the loops over the axes that are kept."""
        shape, rank = self.loops.shape, self.loops.rank
        axis = best_axis(shape, self.loops.arrays[:-1])
        others = [i for i in range(rank) if i != axis]

        def inside(found: Places) -> None:
            kept: Places = [()] * rank
            for i, place in zip(others, found, strict=True):
                kept[i] = place
            if axis == rank:
                self._over_lanes(kept)
            else:
                self._along(shape[axis], lambda i, live: self._each_lane(kept, axis, i, live))

        nest(self.code, [()] * len(others), [shape[i] for i in others], inside)

    def _each_lane(self, kept: Places, axis: int, place: Terms, live: int) -> None:
        index = [*kept[:axis], place, *kept[axis + 1 :]]
        best = _Best(self.code, self.element, self.width)
        with self.code.loop(self.loops.shape[-1]) as k:
            value = self._value([*index, [(k, 1)]], axis, live)
            best.see(value, self.code.splat(self.code.sum([(k, 1)]), self.width))
        Span(self.code, (*index, ()), axis, self.width, live).store(best.index(), self.loops.arrays[-1])

    def _over_lanes(self, kept: Places) -> None:
        """Let each lane see every width-th element, and compare the lanes at the end."""
        code, width, rank = self.code, self.width, self.loops.rank
        best = _Best(code, self.element, width)
        lanes = code.lanes_of(vector("i64", width), range(width))

        def see(place: Terms, live: int) -> None:
            value = self._value([*kept, place], rank, live)
            if live < width:
                least = code.number(value.type, MAX.identity[self.element])
                value = code.select(code.mask(width, live), value, least)
            best.see(value, code.add(code.splat(code.sum(place), width), lanes))

        self._along(self.loops.shape[rank], see)
        Span(code, (*kept, ()), 0, 1, 1).store(best.first(), self.loops.arrays[-1])

    def _along(self, extent: int, body: Callable[[Terms, int], None]) -> None:
        whole, rest = divmod(extent, self.width)
        if whole:
            with self.code.loop(whole) as i:
                body([(i, self.width)], self.width)
        if rest:
            body([(whole * self.width, 1)], rest)

    def _value(self, index: Places, axis: int, live: int) -> Value:
        span = Span(self.code, tuple(index), axis, self.width, live)
        value = self.expression(self.code, *(span.load(array) for array in self.loops.arrays[:-1]))
        return convert(self.code, value, self.element)


class _Best:
    """Each lane's largest value so far, and its index."""

    def __init__(self, code: Code, element: str, width: int) -> None:
        self.code = code
        self.type, self.place = vector(element, width), vector("i64", width)
        self.values, self.indices = code.cell(self.type), code.cell(self.place)
        code.store(code.number(self.type, MAX.identity[element]), self.values)
        code.store(code.number(self.place, 0), self.indices)

    def see(self, value: Value, index: Value) -> None:
        """Compare with values that stand behind all earlier ones."""
        code = self.code
        before = code.load(self.values, self.type)
        better = self._beyond(value, before)
        code.store(code.select(better, value, before), self.values)
        code.store(code.select(better, index, self.index()), self.indices)

    def index(self) -> Value:
        """Return each lane's index."""
        return self.code.load(self.indices, self.place)

    def first(self) -> Value:
        """Return the index of the first largest value of all lanes."""
        code = self.code
        value, index = code.load(self.values, self.type), self.index()
        while value.type.lanes > 1:
            half = value.type.lanes // 2
            low, high = range(half), range(half, 2 * half)
            x, y = code.shuffle(value, value, low), code.shuffle(value, value, high)
            i, j = code.shuffle(index, index, low), code.shuffle(index, index, high)
            differ = code.bitwise("or", self._beyond(x, y), self._beyond(y, x))
            tie = code.bitwise("xor", differ, code.number(differ.type, 1))
            earlier = code.bitwise("and", tie, code.compare("lt", j, i))
            second = code.bitwise("or", self._beyond(y, x), earlier)
            value, index = code.select(second, y, x), code.select(second, j, i)
        return index

    def _beyond(self, x: Value, y: Value) -> Value:
        """Return whether x is larger than y, or NaN and y is not."""
        larger = self.code.compare("gt", x, y)
        if not x.type.floating:
            return larger
        number = self.code.bitwise("xor", self.code.is_nan(y), self.code.number(larger.type, 1))
        return self.code.bitwise("or", larger, self.code.bitwise("and", self.code.is_nan(x), number))
