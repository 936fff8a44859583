"""Contractions: C[b, m, n] = start + Σ_k A[b, m, k] B[b, k, n], tile by tile.

One operand is read element by element and broadcast, the other one in vectors: "along the columns", A and B.
A step of the sum costs (height + width) loads and height x width multiply-adds, so a tile is as large as the
registers allow. `finish` gets each vector of the result while it is in a register: bias, activation, mask
and update cost no pass over memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..ir import Code, Terms, Value, bytes_of, vector
from ..machine import Machine
from .span import Array, Span
from .sums import LONGEST, Places, nest, runs, share
from .tile import Operand, Tile, scaled
from .transpose import transpose

Along = Literal["columns", "rows"]
Start = Callable[[Span], Value]
Finish = Callable[[Value, Span], None]
Before = Callable[[Sequence[tuple[Value, Span]]], None]
"""Gets all results of a tile, before `finish` gets each."""

_WIDEST = 4
"""Vectors in a row of a tile."""
_FAR = 2048
"""Bytes between two rows from which they lie on another page or in the same set of the cache."""
_REUSED = 24
"""Rows of the result from which a panel pays for its copy."""
_RUN, _LONG_RUN = 256, 1024
"""The most terms of a panel: it stays in the first cache while all rows use it, or in the second one.

A sum over samples is long, and reads rows of a large tensor: the longer the run, the fewer jumps.
"""
_ENOUGH = 10
"""Sums of a tile from which their latency is hidden well."""


@dataclass(frozen=True)
class Product:
    """The extents of a contraction; `terms` has one for each axis that is summed over."""

    rows: int
    columns: int
    terms: tuple[int, ...]
    batch: tuple[int, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A contraction as it is computed: after a swap for "along the rows", cut into tiles."""

    product: Product
    broadcast: Array
    """Strides (*batch, row, *terms)."""
    vectors: Array
    """Strides (*batch, *terms, column)."""
    axes: tuple[int, int]
    """Which axes of the result are the tiles' rows and columns."""
    width: int
    """Vectors in a tile's row."""
    heights: tuple[tuple[int, int], ...]
    """(count, rows) of the tiles below each other."""
    panels: bool
    """Whether each column of tiles copies its part of `vectors` first."""
    packed: bool
    """Whether all of `broadcast` is copied first, in the order in which the tiles read it."""
    workspace: int
    """The bytes that the copies take."""

    @property
    def copies(self) -> int:
        """The bytes of the copy of `broadcast`."""
        size = bytes_of(self.vectors.element)
        return self.product.rows * math.prod(self.product.terms) * size if self.packed else 0


def plan(machine: Machine, product: Product, a: Array, b: Array, along: Along = "columns") -> Plan:
    """Return how to compute the product of a (*batch, rows, *terms) and b (*batch, *terms, columns)."""
    rank, sums = len(product.batch), len(product.terms)
    axes = (rank, rank + 1)
    if along == "rows":  # Cᵀ = Bᵀ Aᵀ
        batch, terms = list(range(rank)), list(range(rank, rank + sums))
        first = b.permuted([*batch, rank + sums, *terms])
        a, b = first, a.permuted([*batch, *(axis + 1 for axis in terms), rank])
        product, axes = replace(product, rows=product.columns, columns=product.rows), axes[::-1]
    count, size, stride = math.prod(product.terms), bytes_of(a.element), b.strides[-1]
    far = abs(b.strides[-2]) * size >= _FAR and count >= 64 and product.rows >= _REUSED
    panels = product.columns > 1 and (stride not in (0, 1) or (stride == 1 and far))
    width, heights = _tiles(machine, a.element, product, panels)
    line = width * machine.vector_bytes
    crossed = abs(a.strides[-1]) * size >= _FAR // 2 and a.strides[rank] == 1
    packed = crossed and count >= 64 and product.columns * size >= 4 * line
    workspace = (_run(product.terms) + product.rows) * line if panels else 0
    workspace += product.rows * count * size if packed else 0
    return Plan(product, a, b, axes, width, heights, panels, packed, workspace)


def _tiles(
    machine: Machine, element: str, product: Product, panels: bool
) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Return the tiles' width and heights that take the least time.

    A cycle does two loads or two multiply-adds; of equal times, the one with fewer loads is taken.
    """
    columns = -(-product.columns // machine.lanes(element))
    options = []
    for width in range(1, min(columns, _WIDEST) + 1):
        spare = 2 if machine.registers == 32 else 1
        most = max((machine.registers - width - spare) // width, 1)
        # A panel comes from the second cache: a high tile reads it less often.
        well = most if panels else most // 2
        heights = _heights(product.rows, most, max(-(-_ENOUGH // width), well))
        whole, rest = divmod(columns, width)
        columns_of = [(whole, width)] + [(1, rest)] * bool(rest)
        tiles = [(n * c, h, w) for n, h in heights for c, w in columns_of]
        steps = sum(count * max(h * w, h + w + 1) for count, h, w in tiles)
        loads = sum(count * (h + w) for count, h, w in tiles)
        options.append((steps, loads, width, heights))
    _, _, width, heights = min(options, default=(0, 0, 1, ()))
    return width, heights


def _heights(rows: int, most: int, least: int) -> tuple[tuple[int, int], ...]:
    """Return tiles of one height of at least `least`, else of two heights that differ by 1."""
    if rows <= most:
        return ((1, rows),)
    even = next((h for h in range(most, least - 1, -1) if rows % h == 0), 0)
    if even:
        return ((rows // even, even),)
    count = -(-rows // most)
    low, more = divmod(rows, count)
    return tuple(group for group in ((more, low + 1), (count - more, low)) if group[0])


def shared_loop(machine: Machine, plan: Plan) -> tuple[Literal["batch", "columns", "rows"], int]:
    """Return which of its loops the parts of a contraction share, and how many pieces that loop has."""
    batch = plan.product.batch[0] if plan.product.batch else 1
    columns = -(-plan.product.columns // (plan.width * machine.lanes(plan.vectors.element)))
    rows = sum(count for count, _ in plan.heights)
    if plan.panels:  # each part copies the panels that it reads
        often = 2 if len(plan.product.terms) == 1 else 4  # the panels of a sum over samples are transposed
        rows = min(rows, plan.product.rows // (often * _REUSED))
    if math.prod(plan.product.batch) > 1 and (plan.packed or batch >= max(columns, rows)):
        return "batch", batch
    return ("columns", columns) if columns >= min(rows, _ENOUGH) else ("rows", rows)


def _run(terms: tuple[int, ...]) -> int:
    """Return the terms of a panel: equal runs of the last axis, or several times all of it."""
    count, last, most = math.prod(terms), terms[-1], _RUN if len(terms) == 1 else _LONG_RUN
    if count <= most:
        return count
    return -(-last // -(-last // most)) if last > most else most // last * last


def contract(
    code: Code,
    plan: Plan,
    start: Start,
    finish: Finish,
    *,
    before: Before | None = None,
    workspace: Value | None = None,
    packed: Value | None = None,
) -> None:
    """Write a planned contraction.

    start(span) gives the sum to begin with, finish(value, span) takes the result. Spans have the axes
    (*batch, rows, columns) of the result, whichever the vectors lie along. `workspace` has the plan's bytes.
    `packed` is what `pack` wrote; then the workspace is smaller by as much.
    """
    if plan.workspace and workspace is None and (plan.panels or packed is None):
        raise ValueError(f"contract: expected a workspace of {plan.workspace} bytes")
    if 0 not in (plan.product.rows, plan.product.columns, *plan.product.batch):
        writer = _Writer(code, plan, start, finish, before, workspace, packed)
        shared = 0 if writer.shared == "batch" else None
        nest(code, [()] * len(plan.product.batch), plan.product.batch, writer.matrix, shared=shared)


def pack(code: Code, plan: Plan, target: Value) -> None:
    """Copy the broadcast operand of a plan without a batch, whose `packed` says so, as its tiles read it."""
    writer = _Writer(code, plan, _nothing, _nothing, None, None, target)
    writer.pack([()] * len(plan.product.batch), share)


def _nothing(*found: Any) -> Any:
    raise AssertionError


class _Writer:
    def __init__(
        self,
        code: Code,
        plan: Plan,
        start: Start,
        finish: Finish,
        before: Before | None,
        workspace: Value | None,
        packed: Value | None = None,
    ) -> None:
        self.code, self.plan, self.start, self.finish, self.before = code, plan, start, finish, before
        self.terms, self.element = plan.product.terms, plan.vectors.element
        self.size, self.lanes = bytes_of(self.element), code.machine.lanes(self.element)
        self.line = plan.width * self.lanes
        """Elements in a row of a panel."""
        if workspace is not None:
            lines = _run(self.terms) if plan.panels else 0
            rows = plan.product.rows if plan.panels else 0
            self.panel = workspace
            self.totals = code.at(workspace, (lines, self.line * self.size))
            self.copy = code.at(self.totals, (rows, self.line * self.size))
        self.packs = plan.packed and packed is None
        if packed is not None:
            self.copy = packed
        self.shared = None if code.part is None else shared_loop(code.machine, plan)[0]

    def matrix(self, batch: Places) -> None:
        """Write all tiles of one matrix."""
        columns, line = self.plan.product.columns, self.line
        if self.packs:
            self.pack(batch, Code.loop)
        loop: Any = share if self.shared == "columns" else Code.loop
        whole, rest = divmod(columns, line)
        groups = [(0, whole, self.plan.width, self.lanes)]
        if rest:
            width = -(-rest // self.lanes)
            groups.append((whole * line, 1, width, rest - (width - 1) * self.lanes))
        for first, count, width, live in groups:
            if count:
                with loop(self.code, count) as j:
                    self._column(batch, [(first, 1), (j, line)], width, live)

    def _column(self, batch: Places, column: Terms, width: int, live: int) -> None:
        """Write the tiles below each other."""

        def tiles() -> Iterator[Tile]:
            return self._tiles(batch, column, width, live, share if self.shared == "rows" else Code.loop)

        operand = self._vectors(batch, column)
        count = math.prod(self.terms)
        if not self.plan.panels:
            for tile in tiles():
                (self._long if count > LONGEST else self._short)(tile, operand)
        elif count <= _run(self.terms):
            panel = self._copied(operand, self.terms, width, live)
            for tile in tiles():
                self._short(tile, panel)
        else:
            self._in_panels(operand, tiles, width, live)

    def _tiles(self, batch: Places, column: Terms, width: int, live: int, loop: Any) -> Iterator[Tile]:
        """Open a loop for each height of tiles, and yield the tile inside it."""
        first = 0
        for count, height in self.plan.heights:
            with loop(self.code, count) as i:
                row = [(first, 1), (i, height)]
                yield Tile(self.code, self.element, batch, row, column, self.plan.axes, height, width, live)
            first += count * height

    # -- a tile --------------------------------------------------------------------------------------

    def _short(self, tile: Tile, vectors: Operand) -> None:
        initial = [[self.start(span) for span in row] for row in tile.spans()]
        self._finish(tile, tile.multiply(self._broadcast(tile), vectors, self.terms, initial))

    def _long(self, tile: Tile, vectors: Operand) -> None:
        """Write a sum of many terms, in runs."""
        broadcast, kind = self._broadcast(tile), vector(self.element, self.lanes)
        totals = [[self.code.cell(kind) for _ in row] for row in tile.spans()]
        for cells, row in zip(totals, tile.spans(), strict=True):
            for cell, span in zip(cells, row, strict=True):
                self.code.store(self.start(span), cell)

        def run(at: Places, extents: Sequence[int]) -> None:
            x, y = broadcast.moved(self.code, at), vectors.moved(self.code, at)
            added = tile.multiply(x, y, extents, tile.zeros())
            for cells, row in zip(totals, added, strict=True):
                for cell, value in zip(cells, row, strict=True):
                    self.code.store(self.code.add(self.code.load(cell, kind), value), cell)

        runs(self.code, self.terms, LONGEST, run)
        self._finish(tile, [[self.code.load(cell, kind) for cell in cells] for cells in totals])

    def _finish(self, tile: Tile, values: list[list[Value]]) -> None:
        rows = zip(values, tile.spans(), strict=True)
        found = [pair for row, spans in rows for pair in zip(row, spans, strict=True)]
        if self.before is not None:
            self.before(found)
        for value, span in found:
            self.finish(value, span)

    # -- panels --------------------------------------------------------------------------------------

    def _in_panels(
        self, vectors: Operand, tiles: Callable[[], Iterator[Tile]], width: int, live: int
    ) -> None:
        """Write a column's tiles one panel after the other; the totals wait in the workspace."""
        code, kind = self.code, vector(self.element, self.lanes)

        def places(tile: Tile) -> Iterator[tuple[int, int, Value]]:
            row = code.at(self.totals, *scaled(tile.row, self.line * self.size))
            for r in range(tile.height):
                for c in range(tile.width):
                    yield r, c, code.at(row, (r * self.line + c * self.lanes, self.size))

        def run(at: Places, extents: Sequence[int]) -> None:
            panel = self._copied(vectors.moved(code, at), extents, width, live)
            for tile in tiles():
                broadcast = self._broadcast(tile).moved(code, at)
                added = tile.multiply(broadcast, panel, extents, tile.zeros())
                for r, c, place in places(tile):
                    code.store(code.add(code.load(place, kind), added[r][c]), place)

        for tile in tiles():
            for r, c, place in places(tile):
                code.store(self.start(tile.span(r, c)), place)
        runs(code, self.terms, _run(self.terms), run)
        for tile in tiles():
            found = [[Value(kind, "")] * tile.width for _ in range(tile.height)]
            for r, c, place in places(tile):
                found[r][c] = code.load(place, kind)
            self._finish(tile, found)

    def _copied(self, vectors: Operand, extents: Sequence[int], width: int, live: int) -> Operand:
        """Copy the part of `vectors` for a column of tiles and a run of terms to the panel."""
        code, size, row = self.code, self.size, self.line * self.size
        steps = tuple(row * math.prod(extents[i + 1 :]) for i in range(len(extents)))
        panel = Operand(self.panel, self.element, size, steps, padded=True)
        crossed = vectors.across != size and vectors.terms[-1] == size

        def copy(places: Places) -> None:
            source, target = vectors.moved(code, places).base, panel.moved(code, places).base
            if crossed:
                columns = (width - 1) * self.lanes + live
                stride = vectors.across // size
                transpose(code, self.element, columns, extents[-1], source, stride, target, self.line)
                return
            for c in range(width):
                part = live if c == width - 1 and not vectors.padded else self.lanes
                where = code.at(source, (c * self.lanes, vectors.across))
                kind = vector(self.element, self.lanes)
                if vectors.across == size:
                    x = code.load(where, kind, part)
                else:
                    x = code.gather(where, vectors.across // size, kind, part)
                code.store(x, code.at(target, (c * self.lanes, size)))

        if 0 not in extents:
            nest(code, [()] * len(extents), extents, copy, inner=int(crossed))
        return panel

    # -- operands ------------------------------------------------------------------------------------

    def _vectors(self, batch: Places, column: Terms) -> Operand:
        array, rank = self.plan.vectors, len(batch)
        strides = [stride * self.size for stride in array.strides]
        base = self.code.at(array.pointer, *_offset(batch, strides), *scaled(column, strides[-1]))
        padded = array.padded and array.strides[-1] == 1
        return Operand(base, array.element, strides[-1], tuple(strides[rank:-1]), padded)

    def _broadcast(self, tile: Tile) -> Operand:
        array, rank, size = self.plan.broadcast, len(tile.batch), self.size
        if self.plan.packed:  # terms of a tile's height, one tile after the other
            base = self.code.at(self.copy, *scaled(tile.row, math.prod(self.terms) * size))
            return Operand(base, array.element, size, self._steps(tile.height * size))
        strides = [stride * size for stride in array.strides]
        base = self.code.at(array.pointer, *_offset(tile.batch, strides), *scaled(tile.row, strides[rank]))
        return Operand(base, array.element, strides[rank], tuple(strides[rank + 1 :]))

    def _steps(self, size: int) -> tuple[int, ...]:
        """Return the strides of the terms if they lie one after the other, each of this size."""
        return tuple(size * math.prod(self.terms[i + 1 :]) for i in range(len(self.terms)))

    def pack(self, batch: Places, loop: Any) -> None:
        """Copy the broadcast operand, whose rows are neighbours in memory, tile by tile and term by term."""
        code, array, rank = self.code, self.plan.broadcast, len(batch)
        strides = [stride * self.size for stride in array.strides]
        for tile in self._tiles(batch, [], 1, self.lanes, loop):
            target = self._broadcast(tile)
            base = code.at(array.pointer, *_offset(batch, strides), *scaled(tile.row, strides[rank]))
            source = replace(target, base=base, terms=tuple(strides[rank + 1 :]))

            def copy(
                at: Places, source: Operand = source, target: Operand = target, h: int = tile.height
            ) -> None:
                here, there = source.moved(code, at).base, target.moved(code, at).base
                for first in range(0, h, self.lanes):
                    live, kind = min(h - first, self.lanes), vector(array.element, self.lanes)
                    x = code.load(code.at(here, (first, self.size)), kind, live)
                    code.store(x, code.at(there, (first, self.size)), live)

            nest(code, [()] * len(self.terms), self.terms, copy)


def _offset(places: Places, strides: Sequence[int]) -> Terms:
    """Return the offset of a place along each of the first axes."""
    pairs = zip(places, strides, strict=False)
    return [term for place, stride in pairs for term in scaled(place, stride)]
