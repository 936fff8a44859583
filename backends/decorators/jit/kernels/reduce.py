"""Sums and maxima along any axes of arrays of any strides.

The vectors lie along the axis on which most inputs are contiguous. If that axis is kept, each lane is a
result of its own; if it is summed over, the lanes are added up at the end, in halves. Several sums are under
way at a time. A float32 sum of many terms adds runs of 64 in float32, and the runs in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..ir import Code, Value, vector
from .elementwise import maximum
from .loops import Loops, best_axis, width_of
from .span import Array, Span
from .sums import LONGEST, Places, best_shared, nest, runs, share

_IN_FLIGHT = 8
_BESIDE = 4
"""The most vectors of results that are summed at a time."""
_RUN = {"float": 64, "double": LONGEST}
"""The most terms that are added one after the other to one number of each element."""


@dataclass(frozen=True)
class Reducer:
    """How values are combined."""

    combine: Callable[[Code, Value, Value], Value]
    identity: dict[str, float]
    """By element: what changes nothing."""
    adds: bool
    """Whether long runs lose digits."""


SUM = Reducer(Code.add, {"float": 0.0, "double": 0.0, "i64": 0}, adds=True)
MAX = Reducer(maximum, {"float": -math.inf, "double": -math.inf, "i64": -(2**63)}, adds=False)


def reduce(
    code: Code,
    shape: Sequence[int],
    axes: Sequence[int],
    inputs: Sequence[Array],
    outputs: Sequence[Array],
    reducer: Reducer,
    expression: Callable[..., Value | Sequence[Value]] = lambda code, x: x,
    finish: Callable[..., Sequence[Value]] = lambda code, x: (x,),
    *,
    beside: Sequence[Array] = (),
    element: str | None = None,
    shared: bool = False,
    count: int = 1,
) -> None:
    """Write outputs = finish(Σ expression(code, *inputs), *beside), summed over the axes of one shape.

    `element` is that of the sum, else the first output's. The arrays `beside` are read where the outputs are
    written. All arrays have a stride for each axis; along `axes`, those of the outputs and of `beside` count
    for nothing.
    Over no elements the sum is the reducer's identity. With a count, the expression returns so many values,
    and `finish` takes their sums. shared: whether the parts of a kernel share a loop.
    """
    if any(extent == 0 for axis, extent in enumerate(shape) if axis not in axes):
        return
    results = [
        replace(array, strides=tuple(0 if axis in axes else s for axis, s in enumerate(array.strides)))
        for array in (*beside, *outputs)
    ]
    loops = Loops.over(shape, [*inputs, *results], axes).at_least_one()
    element = element or outputs[0].element
    _Reduction(
        code, loops, len(inputs), len(beside), reducer, element, expression, finish, shared, count
    ).write()


@dataclass(frozen=True)
class _Reduction:
    code: Code
    loops: Loops
    inputs: int
    beside: int
    reducer: Reducer
    element: str
    expression: Callable[..., Value | Sequence[Value]]
    finish: Callable[..., Sequence[Value]]
    shared: bool
    count: int

    def write(self) -> None:
        """Write the loops over the axes that are kept."""
        shape, rank = self.loops.shape, self.loops.rank
        axis = best_axis(shape, self.loops.arrays[: self.inputs])
        others = [i for i in range(rank) if i != axis]

        def inside(found: Places) -> None:
            kept: Places = [()] * rank
            for i, place in zip(others, found, strict=True):
                kept[i] = place
            if axis < rank:
                self._each_lane(kept, axis, share if shared == len(others) else Code.loop)
            else:
                self._over_lanes(kept, axis)

        lengths = [shape[i] for i in others]
        turns = [-(-shape[axis] // (_BESIDE * self.width))] if axis < rank else []
        shared = best_shared(self.code, [*lengths, *turns]) if self.shared else None
        nest(self.code, [()] * len(others), lengths, inside, shared=shared)

    @property
    def width(self) -> int:
        """The lanes of a vector."""
        return width_of(self.code, self.loops.arrays)

    def _each_lane(self, kept: Places, axis: int, loop: Any) -> None:
        """Reduce a few vectors beside each other, each lane to a result of its own."""
        extent, width = self.loops.shape[axis], self.width
        most = min(-(-extent // width), _BESIDE)
        whole, rest = divmod(extent, most * width)
        groups = [(0, whole, most, width)]
        if rest:
            count = -(-rest // width)
            groups.append((whole * most * width, 1, count, rest - (count - 1) * width))
        for first, turns, count, live in groups:
            if not turns:
                continue
            with loop(self.code, turns) as i:
                spans = []
                for c in range(count):
                    index = list(kept)
                    index[axis] = [(first, 1), (i, most * width), (c, width)]
                    spans.append(self._span(index, axis, width, live if c == count - 1 else width))
                self._columns(spans)

    def _columns(self, spans: list[Span]) -> None:
        rank, extents = self.loops.rank, self.loops.shape[self.loops.rank :]
        parts = 1
        while len(spans) * parts < _IN_FLIGHT and 2 * parts <= extents[-1]:
            parts *= 2
        sums = [self._sum(spans[0].width, parts, extents, parts) for _ in spans]

        def last(at: Places, extent: int) -> None:
            whole, rest = divmod(extent, parts)
            for first, count, step in ((0, whole, parts), (whole * parts, 1, rest)):
                if not count or not step:
                    continue
                with self.code.loop(count) as i:
                    for part in range(step):
                        place = [*at[:-1], [*at[-1], (first + part, 1), (i, step)]]
                        for span, total in zip(spans, sums, strict=True):
                            total.add(part, self._value(replace(span, index=(*span.index[:rank], *place))))

        self._all(extents, sums, last)
        for span, total in zip(spans, sums, strict=True):
            self._store(total.result(across=False), span)

    def _over_lanes(self, kept: Places, axis: int) -> None:
        """Reduce everything to one result."""
        code, shape, rank, width = self.code, self.loops.shape, self.loops.rank, self.width
        order = [*(i for i in range(rank, len(shape)) if i != axis), axis]  # the vectors' axis innermost
        extents = [shape[i] for i in order]
        parts = 1
        while parts < _IN_FLIGHT and 2 * parts * width <= extents[-1]:
            parts *= 2
        total = self._sum(width, parts, extents, parts * width)

        def value(at: Places, place: Sequence[tuple[object, int]], live: int) -> list[Value]:
            index: Places = [*kept, *([()] * len(order))]
            for i, other in zip(order, at, strict=True):
                index[i] = other
            index[axis] = [*index[axis], *place]  # type: ignore[list-item]
            return self._value(Span(code, tuple(index), axis, width, live))

        def last(at: Places, extent: int) -> None:
            first = 0
            for step in (parts, 1):
                count = (extent - first) // (step * width)
                if count:
                    with code.loop(count) as i:
                        for part in range(step):
                            total.add(part, value(at, [(first + part * width, 1), (i, step * width)], width))
                first += count * step * width
            if live := extent - first:
                found = value(at, [(first, 1)], live)
                neutral = code.number(found[0].type, self.reducer.identity[self.element])
                total.add(0, [code.select(code.mask(width, live), x, neutral) for x in found])

        self._all(extents, [total], last)
        self._store(total.result(across=True), self._span(kept, 0, 1, 1))

    # -- shared --------------------------------------------------------------------------------------

    def _sum(self, width: int, parts: int, extents: Sequence[int], together: int) -> _Sums:
        steps = -(-extents[-1] // together) if extents[-1] else 1
        run = _RUN.get(self.element, 0)
        long = self.reducer.adds and run > 0 and math.prod(extents[:-1]) * steps > run
        limit = max(run * extents[-1] // steps, 1) if long else 0
        one = self.code, self.reducer, self.element, width, parts, limit
        return _Sums([_Sum(*one) for _ in range(self.count)], limit)

    def _all(self, extents: Sequence[int], sums: list[_Sums], last: Callable[[Places, int], None]) -> None:
        """Write the loops over all terms, in runs if the sums are long."""
        for total in sums:
            total.begin()
        if 0 in extents:
            return

        def run(at: Places, lengths: Sequence[int]) -> None:
            nest(self.code, at, lengths, lambda places: last(places, lengths[-1]), inner=1)
            for total in sums:
                total.flush()

        limit = sums[0].limit or math.prod(extents)
        runs(self.code, extents, limit, run)

    def _span(self, kept: Places, axis: int, width: int, live: int) -> Span:
        summed: Places = [()] * (len(self.loops.shape) - self.loops.rank)
        return Span(self.code, (*kept, *summed), axis, width, live)

    def _value(self, span: Span) -> list[Value]:
        found = self.expression(self.code, *(span.load(a) for a in self.loops.arrays[: self.inputs]))
        return [found] if isinstance(found, Value) else list(found)

    def _store(self, values: Sequence[Value], span: Span) -> None:
        others = self.loops.arrays[self.inputs :]
        beside, outputs = others[: self.beside], others[self.beside :]
        results = self.finish(self.code, *values, *(span.load(array) for array in beside))
        for result, output in zip(results, outputs, strict=True):
            span.store(result, output)


@dataclass(frozen=True)
class _Sums:
    """Several sums over the same elements, all under way."""

    each: Sequence[_Sum]
    limit: int

    def begin(self) -> None:
        for one in self.each:
            one.begin()

    def add(self, part: int, values: Sequence[Value]) -> None:
        for one, value in zip(self.each, values, strict=True):
            one.add(part, value)

    def flush(self) -> None:
        for one in self.each:
            one.flush()

    def result(self, *, across: bool) -> list[Value]:
        return [one.result(across=across) for one in self.each]


class _Sum:
    """A vector of sums under way, in several parts; with a limit, the runs' totals are doubles."""

    def __init__(
        self, code: Code, reducer: Reducer, element: str, width: int, parts: int, limit: int
    ) -> None:
        self.code, self.reducer = code, reducer
        self.type, self.wide = vector(element, width), vector("double", width)
        self.cells = [code.cell(self.type) for _ in range(parts)]
        self.total = code.cell(self.wide) if limit else None

    def begin(self) -> None:
        for cell in self.cells:
            self.code.store(self.code.number(self.type, self.reducer.identity[self.type.element]), cell)
        if self.total is not None:
            self.code.store(self.code.number(self.wide, 0.0), self.total)

    def add(self, part: int, value: Value) -> None:
        before = self.code.load(self.cells[part], self.type)
        self.code.store(self.reducer.combine(self.code, before, value), self.cells[part])

    def flush(self) -> None:
        """Add a run to the total, and begin the next one."""
        if self.total is None:
            return
        run = self._combined()
        if run.type is not self.wide:
            run = self.code.cast("fpext", run, "double")
        self.code.store(self.code.add(self.code.load(self.total, self.wide), run), self.total)
        for cell in self.cells:
            self.code.store(self.code.number(self.type, 0.0), cell)

    def result(self, *, across: bool) -> Value:
        """Return the parts combined, and with `across` the lanes too."""
        combine = lambda x, y: self.reducer.combine(self.code, x, y)  # noqa: E731
        value = self._combined() if self.total is None else self.code.load(self.total, self.wide)
        value = self.code.across(value, combine) if across else value
        if value.type.element != self.type.element:
            value = self.code.cast("fptrunc", value, self.type.element)
        return value

    def _combined(self) -> Value:
        values = [self.code.load(cell, self.type) for cell in self.cells]
        while len(values) > 1:
            pairs = zip(values[::2], values[1::2], strict=True)
            values = [self.reducer.combine(self.code, x, y) for x, y in pairs]
        return values[0]
