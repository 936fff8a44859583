"""The gradient of a convolution's weights: dw[o, c, t] = Σ g[o, r, n] x[c, r step + t dilation + first, n].

The sum is long and the results are few, so the vectors lie along the sum: over the places of a row and their
samples, which lie side by side. A tile holds some outputs by some channels and taps. Its lanes are added up
after a few rows, into totals that wait in the workspace; so no sum of many terms loses digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ..ir import Code, Index, Terms, Value, bytes_of, vector
from ..machine import Machine
from .direct import Correlation, Finish, cut, even, in_place
from .loops import elementwise, spans
from .rows import Along, Ring, Rows, blocks
from .span import Array, Span
from .sums import LONGEST, Places, nest, share
from .tile import scaled

Locate = Callable[[Terms, Terms], tuple[tuple[Terms, ...], int]]
"""(output, column) -> the index of a result, and the axis that its vectors lie along."""

_STEPS = 96
"""Vectors that a tile adds before its lanes are added up."""
_TAPS = 6
"""The most columns of a tile."""


def _aligned(size: int) -> int:
    return -(-size // 64) * 64


def _pieces(elements: int, lanes: int) -> list[tuple[int, int, int, int]]:
    """Cut a row at LONGEST vectors into pieces: (first vector, count, vectors, elements after them)."""
    whole, tail = divmod(elements, lanes)
    if whole <= LONGEST:
        return [(0, 1, whole, tail)]
    pieces = [(*part, 0) for part in cut(whole, LONGEST)]
    return [*pieces, (whole, 1, 0, tail)] if tail else pieces


def _together(spec: Correlation, samples: int, lanes: int) -> int:
    """Return how many rows are added before the lanes of a tile are."""
    vectors, rows = -(-spec.axes[2].count * samples // lanes), spec.axes[1].count
    most = max(min(rows, -(-_STEPS // max(vectors, 1))), 1)
    return -(-rows // -(-rows // most))  # equal shares


def _rows(spec: Correlation, element: str, lanes: int, samples: int) -> Rows:
    return replace(spec.rows(element, lanes, samples), together=_together(spec, samples, lanes))


def _gradient_rows(spec: Correlation, element: str, lanes: int, samples: int) -> Rows:
    plane, row, place = (Along(axis.count, axis.count, 1) for axis in spec.axes)
    return Rows(plane, row, place, spec.outputs, samples, element, lanes, _together(spec, samples, lanes))


def _read_in_place(spec: Correlation, grad: Array) -> bool:
    return grad.strides[4] == 1 and grad.strides[3] == spec.samples


def _parts(spec: Correlation, element: str, lanes: int, image: Array) -> list[tuple[int, int, int]]:
    if in_place(spec, image):
        return [(0, 1, spec.samples)]
    return blocks(spec.samples, lanes, spec.rows(element, lanes, 1).bytes)


def totals(spec: Correlation, element: str) -> int:
    """Return the bytes of the totals."""
    return _aligned(spec.outputs * spec.channels * spec.taps * bytes_of(element))


def pieces(machine: Machine, spec: Correlation, image: Array, grad: Array) -> int:
    """Return into how many sums the parts of a kernel may cut the gradient."""
    return _shared(spec, image.element, machine.lanes(image.element), image)[1]


def _shared(spec: Correlation, element: str, lanes: int, image: Array) -> tuple[str, int]:
    """Return which loop the parts of a kernel share, and how many turns it takes."""
    blocks_of = _parts(spec, element, lanes, image)
    together = max(_together(spec, samples, lanes) for *_, samples in blocks_of)
    found = {
        "rows": -(-spec.axes[1].count // together),
        "planes": spec.axes[0].count,
        "blocks": sum(count for _, count, _ in blocks_of),
    }
    return max(found.items(), key=lambda item: item[1])


def workspace(machine: Machine, spec: Correlation, image: Array, grad: Array) -> int:
    """Return the bytes that the gradient of the weights needs beside its totals."""
    element, lanes = image.element, machine.lanes(image.element)
    need = 0
    for *_, samples in _parts(spec, element, lanes, image):
        packed = 0 if in_place(spec, image) else _aligned(_rows(spec, element, lanes, samples).bytes)
        if not _read_in_place(spec, grad) or samples != spec.samples:
            packed += _gradient_rows(spec, element, lanes, samples).bytes
        need = max(need, packed)
    return need


def weight_gradient(
    code: Code,
    spec: Correlation,
    image: Array,
    grad: Array,
    totals: Value,
    space: Value,
    *,
    shared: bool = False,
) -> None:
    """Write the gradient of weights (output, channel, *taps) to the totals.

    The image has the axes (channel, *axes, sample), the gradient (output, *axes, sample). shared: whether
    the parts of a kernel share the places that are summed over, each with totals of its own.
    """
    element, size = image.element, bytes_of(image.element)
    lanes, depth = code.machine.lanes(element), spec.channels * spec.taps
    over = _shared(spec, element, lanes, image)[0] if shared else ""
    zeros = Array(totals, element, (1,))
    elementwise(code, (spec.outputs * depth,), [zeros], [zeros], lambda code, x: code.number(x.type, 0.0))
    for first, count, samples in _parts(spec, element, lanes, image):
        rows, results = _rows(spec, element, lanes, samples), _gradient_rows(spec, element, lanes, samples)
        direct = in_place(spec, image)
        there = code.at(space, (0 if direct else _aligned(rows.bytes), 1))
        whole = _read_in_place(spec, grad) and samples == spec.samples
        with share(code, count) if over == "blocks" else code.loop(count) as block:
            start: Terms = [(first, 1), (block, samples)]
            x, g = (
                replace(a, pointer=code.at(a.pointer, *scaled(start, a.strides[4] * size)))
                for a in (image, grad)
            )
            sources = (
                None if direct else Ring(code, rows, x, space),
                None if whole else Ring(code, results, g, there),
            )
            _Writer(code, spec, rows, results, x, g, sources, totals, samples).run(over)


def add_up(
    code: Code,
    spec: Correlation,
    sums: Array,
    count: int,
    locate: Locate,
    finish: Finish,
    *,
    shared: bool = False,
) -> None:
    """Write finish(Σ of `count` totals), which lie one after the other.

    `locate`(output, column) gives the index of a result and the axis of its vectors; a column is a channel
    and its taps. shared: whether the parts of a kernel share the outputs.
    """
    depth, lanes = spec.channels * spec.taps, code.machine.lanes(sums.element)
    apart = totals(spec, sums.element)

    def row(at: Places) -> None:
        def put(found: list[Span]) -> None:
            for span in found:
                total = span.load(replace(sums, strides=(depth, 1)))
                for i in range(1, count):
                    other = replace(sums, pointer=code.at(sums.pointer, (i, apart)), strides=(depth, 1))
                    total = code.add(total, span.load(other))
                index, axis = locate(*span.index)
                finish(total, replace(span, index=index, axis=axis))

        spans(code, [*at, ()], 1, depth, lanes, put)

    nest(code, [()], [spec.outputs], row, shared=0 if shared else None)


@dataclass(frozen=True)
class _Writer:
    code: Code
    spec: Correlation
    rows: Rows
    results: Rows
    image: Array
    grad: Array
    sources: tuple[Ring | None, Ring | None]
    totals: Value
    samples: int

    @property
    def _size(self) -> int:
        return bytes_of(self.image.element)

    def run(self, over: str) -> None:
        """Add the products of one block of samples to the totals.

        The parts of a kernel share the loop over `over`.
        """
        code, (plane, row, _) = self.code, self.spec.axes
        together = self.rows.together
        with share(code, plane.count) if over == "planes" else code.loop(plane.count) as z:
            for ring in self.sources:
                if ring is not None:
                    ring.begin()
            turns = -(-row.count // together)
            with share(code, turns) if over == "rows" else code.loop(turns) as part:
                y = code.sum([(part, together)])
                for ring in self.sources:
                    if ring is not None:
                        ring.fill(z, y)
                first, count = plane.taps_of(code, z)
                with code.loop(count) as k, code.loop(row.taps) as i:
                    self._taps(z, y, [(first, 1), (k, 1)], i)

    def _taps(self, z: Index, y: Value, level: Terms, tap: Index) -> None:
        """Write the tiles of one tap of the rows, for the results from row y on."""
        code, row = self.code, self.spec.axes[1]
        first, count = row.results_of(code, tap)
        start = code.intrinsic("smax", y, code.sum([(first, 1)]))
        end = code.sum([(y, 1), (self.rows.together, 1)])
        stop = code.intrinsic("smin", code.sum([(first, 1), (count, 1)]), end)
        length = code.sub(stop, start)
        for channel, many, channels in cut(self.spec.channels, self._channels):
            with code.loop(many) as c:
                for taps in self._columns():
                    output = 0
                    for n, height in self._heights(channels * len(taps)):
                        with code.loop(n) as o:
                            self._tile(
                                (z, start, length, level, tap),
                                ([(channel, 1), (c, channels)], channels, taps),
                                ([(output, 1), (o, height)], height),
                            )
                        output += n * height

    @property
    def _most(self) -> int:
        return _TAPS if self.code.machine.registers == 32 else _TAPS // 2

    @property
    def _channels(self) -> int:
        return max(self._most // self.spec.axes[2].taps, 1)

    def _columns(self) -> Iterator[range]:
        taps = self.spec.axes[2].taps
        size = -(-taps // -(-taps // self._most))
        return (range(first, min(first + size, taps)) for first in range(0, taps, size))

    def _heights(self, columns: int) -> tuple[tuple[int, int], ...]:
        return even(self.spec.outputs, max((self.code.machine.registers - 1) // (columns + 1), 1))

    def _tile(
        self,
        rows: tuple[Index, Value, Value, Terms, Index],
        columns: tuple[Terms, int, range],
        outputs: tuple[Terms, int],
    ) -> None:
        """Add the products of some outputs with some channels and taps, over some rows, to the totals."""
        code, (_, start, length, level, tap) = self.code, rows
        (channel, channels, taps), (output, height) = columns, outputs
        lanes, element = self.rows.lanes, self.image.element
        kind = vector(element, lanes)
        every = [(c, t) for c in range(channels) for t in taps]
        cells = [[code.cell(kind) for _ in every] for _ in range(height)]
        x_channel, g_output = self._strides()

        def step(x: Value, g: Value, place: Terms, live: int) -> None:
            here = code.at(x, *scaled(place, self._size))
            gs = [
                code.load(code.at(g, (r, g_output * self._size), *scaled(place, self._size)), kind, live)
                for r in range(height)
            ]
            for q, (c, t) in enumerate(every):
                offset = c * x_channel + self._packed(t)
                value = code.load(code.at(here, (offset, self._size)), kind, live)
                for r in range(height):
                    code.store(code.fma(gs[r], value, code.load(cells[r][q], kind)), cells[r][q])

        for first, many, vectors, tail in _pieces(self.spec.axes[2].count * self.samples, lanes):
            with code.loop(many) as piece:
                for cell in (cell for line in cells for cell in line):
                    code.store(code.number(kind, 0.0), cell)
                with code.loop(length) as i:
                    y = code.sum([(start, 1), (i, 1)])
                    x = code.at(self._line(rows[0], y, level, tap), *scaled(channel, x_channel * self._size))
                    g = code.at(self._results(rows[0], y), *scaled(output, g_output * self._size))
                    with code.loop(vectors) as v:
                        step(x, g, [(first, lanes), (piece, vectors * lanes), (v, lanes)], lanes)
                    if tail:
                        step(x, g, [(first + vectors, lanes)], tail)
                self._flush(cells, every, channel, output, level, tap)

    def _flush(
        self,
        cells: list[list[Value]],
        every: list[tuple[int, int]],
        channel: Terms,
        output: Terms,
        level: Terms,
        tap: Index,
    ) -> None:
        code, (_, row, place) = self.code, self.spec.axes
        kind, one = vector(self.image.element, self.rows.lanes), vector(self.image.element, 1)
        depth, per = self.spec.channels * self.spec.taps, self.spec.taps
        where = [*scaled(output, depth), *scaled(channel, per), *scaled(level, row.taps * place.taps)]
        base = code.at(self.totals, *scaled([*where, (tap, place.taps)], self._size))
        for r, line in enumerate(cells):
            for (c, t), cell in zip(every, line, strict=True):
                target = code.at(base, (r * depth + c * per + t, self._size))
                total = code.across(code.load(cell, kind), code.add)
                code.store(code.add(code.load(target, one), total), target)

    # -- where things lie ------------------------------------------------------------------------------

    def _strides(self) -> tuple[int, int]:
        """Return the elements from channel to channel, and from output to output."""
        ring, results = self.sources
        return (
            self.image.strides[0] if ring is None else self.rows.strides[2],
            self.grad.strides[0] if results is None else self.results.strides[2],
        )

    def _packed(self, tap: int) -> int:
        """Return the elements from a row's beginning to a tap of result 0."""
        place = self.spec.axes[2]
        if self.sources[0] is None:
            return (tap * place.dilation + place.first) * self.image.strides[3]
        return place.packed(tap) * self.samples

    def _line(self, z: Index, y: Value, level: Terms, tap: Index) -> Value:
        code, (plane, row, _), size = self.code, self.spec.axes, self._size
        there = code.sum([(y, row.step), (row.first, 1), (tap, row.dilation)])
        if self.sources[0] is not None:
            return self.sources[0].address(there, scaled(level, self.rows.strides[1] * size))
        above: Terms = [(z, plane.step), (plane.first, 1), *scaled(level, plane.dilation)]
        _, sz, sy, *_ = self.image.strides
        return code.at(self.image.pointer, *scaled(above, sz * size), (there, sy * size))

    def _results(self, z: Index, y: Value) -> Value:
        if self.sources[1] is not None:
            return self.sources[1].address(y)
        _, sz, sy, *_ = self.grad.strides
        return self.code.at(self.grad.pointer, (z, sz * self._size), (y, sy * self._size))
