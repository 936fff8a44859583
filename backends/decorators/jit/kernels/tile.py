"""The register tile: some rows and vectors of a product's result, held in registers while the sum runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..ir import Code, Terms, Value, bytes_of, vector
from .span import Span
from .sums import Places, nest

IN_FLIGHT = 8
"""Multiply-adds that must be under way to hide their latency: 4 cycles, 2 units."""

Vectors = list[list[Value]]
"""A tile's values, by row and vector."""


@dataclass(frozen=True)
class Operand:
    """An operand from the tile's first element on; strides are in bytes."""

    base: Value
    element: str
    across: int
    """From one row (of the broadcast operand) or one column (of the other one) to the next."""
    terms: tuple[int, ...]
    padded: bool = False

    def moved(self, code: Code, places: Places) -> Operand:
        """Return the operand from other terms on, given by places of the last axes."""
        strides = self.terms[len(self.terms) - len(places) :]
        terms = [term for place, s in zip(places, strides, strict=True) for term in scaled(place, s)]
        return replace(self, base=code.at(self.base, *terms))


def scaled(terms: Terms, factor: int) -> Terms:
    """Return a place with another unit, such as bytes."""
    return [(index, scale * factor) for index, scale in terms]


@dataclass(frozen=True)
class Tile:
    """The place and the size of one tile."""

    code: Code
    element: str
    batch: Places
    row: Terms
    column: Terms
    axes: tuple[int, int]
    """Which axes of a span are the tile's rows and columns."""
    height: int
    width: int
    """In vectors."""
    live: int
    """How many lanes of the last vector exist."""

    @property
    def lanes(self) -> int:
        """The lanes of a vector register."""
        return self.code.machine.lanes(self.element)

    def span(self, r: int, c: int) -> Span:
        """Return where the vector c of row r lies in the result."""
        index: list[Terms] = [*self.batch, (), ()]
        row, column = self.axes
        index[row] = [*self.row, (r, 1)]
        index[column] = [*self.column, (c, self.lanes)]
        live = self.live if c == self.width - 1 else self.lanes
        return Span(self.code, tuple(index), column, self.lanes, live)

    def spans(self) -> list[list[Span]]:
        """Return every vector's place."""
        return [[self.span(r, c) for c in range(self.width)] for r in range(self.height)]

    def zeros(self) -> Vectors:
        """Return zeros."""
        zero = self.code.number(vector(self.element, self.lanes), 0.0)
        return [[zero] * self.width for _ in range(self.height)]

    def add(self, x: Vectors, y: Vectors) -> Vectors:
        """Return x + y."""
        rows = zip(x, y, strict=True)
        return [[self.code.add(p, q) for p, q in zip(a, b, strict=True)] for a, b in rows]

    def multiply(self, x: Operand, y: Operand, extents: Sequence[int], initial: Vectors) -> Vectors:
        """Return initial + Σ x y over the extents of the terms: x is broadcast, y comes in vectors."""
        code = self.code
        parts = self._parts(extents[-1])
        kind = vector(self.element, self.lanes)
        sums = [
            [[code.cell(kind) for _ in range(parts)] for _ in range(self.width)] for _ in range(self.height)
        ]
        for cells, values in zip(sums, initial, strict=True):
            for places, value in zip(cells, values, strict=True):
                for part, cell in enumerate(places):
                    code.store(code.number(kind, 0.0) if part else value, cell)

        def last(at: Places) -> None:
            whole, rest = divmod(extents[-1], parts)
            for first, count, step in ((0, whole, parts), (whole * parts, 1, rest)):
                if count and step:
                    with code.loop(count) as i:
                        here = [*at[:-1], [*at[-1], (first, 1), (i, step)]]
                        self._step(x.moved(code, here), y.moved(code, here), step, sums)

        if 0 not in extents:
            nest(code, [()] * len(extents), extents, last, inner=1)
        return [[self._total(cells) for cells in row] for row in sums]

    def _parts(self, terms: int) -> int:
        """Return in how many sums each element is computed, so that there are enough in flight."""
        parts = 1
        while self.height * self.width * parts < IN_FLIGHT and 4 * parts <= terms:
            parts *= 2
        return parts

    def _step(self, x: Operand, y: Operand, step: int, sums: list[list[list[Value]]]) -> None:
        """Multiply and add `step` neighbouring terms, each into its own part of the sums."""
        code = self.code
        for part in range(step):
            line = code.at(y.base, (part, y.terms[-1]))
            vectors = [self._vector(y, line, c) for c in range(self.width)]
            for r in range(self.height):
                place = code.at(x.base, (part, x.terms[-1]), (r, x.across))
                factor = code.splat(code.load(place, vector(x.element, 1)), self.lanes)
                for c in range(self.width):
                    cell = sums[r][c][part]
                    total = code.fma(factor, vectors[c], code.load(cell, factor.type))
                    code.store(total, cell)

    def _vector(self, y: Operand, line: Value, c: int) -> Value:
        code, size = self.code, bytes_of(y.element)
        kind = vector(y.element, self.lanes)
        live = self.live if c == self.width - 1 and not y.padded else self.lanes
        where = code.at(line, (c * self.lanes, y.across))
        if y.across == size:
            return code.load(where, kind, live)
        if y.across == 0:
            return code.splat(code.load(where, vector(y.element, 1)), self.lanes)
        return code.gather(where, y.across // size, kind, live)

    def _total(self, cells: list[Value]) -> Value:
        """Return the sum of an element's parts."""
        kind = vector(self.element, self.lanes)
        values = [self.code.load(cell, kind) for cell in cells]
        while len(values) > 1:
            pairs = zip(values[::2], values[1::2], strict=True)
            values = [self.code.add(x, y) for x, y in pairs]
        return values[0]
