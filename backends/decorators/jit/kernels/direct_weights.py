"""The gradient of a convolution's weights: dw[o, c, t] = Σ g[o, r, n] x[c, r step + t dilation + first, n].

The sum is long and the results are few, so the vectors lie along the sum: over the places of a row and their
samples, which lie side by side. A tile holds some outputs by some channels and taps. Its lanes are added up
after a few rows, into totals that wait in the workspace; so no sum of many terms loses digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from typing_extensions import override

from ..ir import Code, Index, Terms, Value, bytes_of, vector
from ..sizes import LONGEST, aligned
from .along import Along
from .correlation import Correlation, Part, in_place
from .gradient import Gradient
from .rows import Ring, Rows, Source, clear, zeros
from .span import Array
from .sums import cut, even, turns
from .tile import scaled

_STEPS = 96
"""Vectors that a tile adds before its lanes are added up."""
_TAPS = 6
"""The most columns of a tile."""


def _pieces(elements: int, lanes: int) -> list[tuple[int, int, int, int]]:
    """Cut a row at LONGEST vectors into pieces: (first vector, count, vectors, elements after them)."""
    whole, tail = divmod(elements, lanes)
    if whole <= LONGEST:
        return [(0, 1, whole, tail)]
    pieces = [(*part, 0) for part in cut(whole, LONGEST)]
    return [*pieces, (whole, 1, 0, tail)] if tail else pieces


def _together(spec: Correlation, samples: int, lanes: int) -> int:
    """Return how many rows are added before the lanes of a tile are."""
    vectors = -(-spec.axes[2].count * samples // lanes)
    return max(min(spec.axes[1].count, -(-_STEPS // max(vectors, 1))), 1)


def _rows(spec: Correlation, element: str, lanes: int, samples: int) -> Rows:
    return replace(spec.rows(element, lanes, samples), together=_together(spec, samples, lanes))


def _gradient_rows(spec: Correlation, element: str, lanes: int, samples: int) -> Rows:
    plane, row, place = (Along(axis.count, axis.count, 1) for axis in spec.axes)
    return Rows(plane, row, place, spec.outputs, samples, element, lanes, _together(spec, samples, lanes))


def _read_in_place(spec: Correlation, grad: Array, samples: int) -> bool:
    if spec.apart:
        return grad.strides[3] == 1
    return grad.strides[4] == 1 and grad.strides[3] == samples == spec.samples


class AlongSum(Gradient):
    """The gradient by vectors along the sum."""

    @property
    @override
    def workspace(self) -> int:
        spec, element, lanes, need = self.spec, self.image.element, self.lanes, 0
        for *_, samples in self._parts:
            packed = 0 if in_place(spec, self.image) else aligned(_rows(spec, element, lanes, samples).bytes)
            if not _read_in_place(spec, self.grad, samples):
                packed += _gradient_rows(spec, element, lanes, samples).bytes
            need = max(need, packed)
        return need

    @property
    @override
    def shared(self) -> tuple[str, int]:
        together = max((_together(self.spec, samples, self.lanes) for *_, samples in self._parts), default=1)
        return self.spec.longest(self._parts, together)

    @property
    def _parts(self) -> list[Part]:
        return self.spec.parts(self.image.element, self.lanes, self.image)

    @override
    def write(
        self, code: Code, image: Array, grad: Array, totals: Value, space: Value, *, shared: bool = False
    ) -> None:
        spec, element, lanes = self.spec, self.image.element, self.lanes
        over = self.shared[0] if shared else ""
        zeros(code, element, spec.outputs * self.depth, totals)
        direct = in_place(spec, self.image)
        for first, count, samples in self._parts:
            rows = _rows(spec, element, lanes, samples)
            results = _gradient_rows(spec, element, lanes, samples)
            there = code.at(space, (0 if direct else aligned(rows.bytes), 1))
            whole = _read_in_place(spec, self.grad, samples)
            if not direct:
                clear(code, rows, space)
            for x, g in self.blocks(code, first, count, samples, (image, grad), shared=over == "blocks"):
                sources = (
                    Source(code, rows, x, None if direct else Ring(code, rows, x, space)),
                    Source(code, results, g, None if whole else Ring(code, results, g, there)),
                )
                _Writer(code, spec, *sources, totals, samples).run(over)


@dataclass(frozen=True)
class _Writer:
    code: Code
    spec: Correlation
    image: Source
    grad: Source
    totals: Value
    samples: int

    @property
    def _size(self) -> int:
        return bytes_of(self.image.rows.element)

    def run(self, over: str) -> None:
        """Add the products of one block of samples; the parts of a kernel share the loop over `over`."""
        code, (plane, row, _) = self.code, self.spec.axes
        together = self.image.rows.together
        with turns(code, plane.count, shared=over == "planes") as z:
            self.image.begin()
            self.grad.begin()
            with turns(code, -(-row.count // together), shared=over == "rows") as part:
                y = code.sum([(part, together)])
                self.image.fill(z, y)
                self.grad.fill(z, y)
                first, count = plane.taps_of(code, z)
                with code.loop(count) as k, code.loop(row.taps) as i:
                    self._taps(z, y, [(first, 1), (k, 1)], i)

    def _taps(self, z: Index, y: Value, level: Terms, tap: Index) -> None:
        """Write the tiles of one tap of the rows, for the results from row y on."""
        code, row = self.code, self.spec.axes[1]
        first, count = row.results_of(code, tap)
        start = code.intrinsic("smax", y, code.sum([(first, 1)]))
        end = code.sum([(y, 1), (self.image.rows.together, 1)])
        stop = code.intrinsic("smin", code.sum([(first, 1), (count, 1)]), end)
        length = code.sub(stop, start)
        for channel, many, channels in cut(self.spec.channels, self._channels):
            with code.loop(many) as c:
                for taps in self._columns():
                    for output, n, height in self._heights(channels * len(taps)):
                        with code.loop(n) as o:
                            self._tile(
                                (z, start, length, level, tap),
                                ([(channel, 1), (c, channels)], channels, taps),
                                ([(output, 1), (o, height)], height),
                            )

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

    def _heights(self, columns: int) -> list[tuple[int, int, int]]:
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
        lanes, element = self.image.rows.lanes, self.image.rows.element
        kind = vector(element, lanes)
        every = [(c, t) for c in range(channels) for t in taps]
        cells = [[code.cell(kind) for _ in every] for _ in range(height)]
        x_channel, g_output = self.image.channel, self.grad.channel

        def step(x: Value, g: Value, place: Terms, live: int) -> None:
            here = code.at(x, *scaled(place, self._size))
            gs = [
                code.load(code.at(g, (r, g_output * self._size), *scaled(place, self._size)), kind, live)
                for r in range(height)
            ]
            for q, (c, t) in enumerate(every):
                offset = c * x_channel + self.image.offset(t)
                value = code.load(code.at(here, (offset, self._size)), kind, live)
                for r in range(height):
                    code.store(code.fma(gs[r], value, code.load(cells[r][q], kind)), cells[r][q])

        for first, many, vectors, tail in _pieces(self.spec.axes[2].count * self.samples, lanes):
            with code.loop(many) as piece:
                for cell in (cell for line in cells for cell in line):
                    code.store(code.number(kind, 0.0), cell)
                with code.loop(length) as i:
                    y = code.sum([(start, 1), (i, 1)])
                    x = code.at(
                        self.image.line(rows[0], y, level, [(tap, 1)]),
                        *scaled(channel, x_channel * self._size),
                    )
                    g = code.at(self.grad.line(rows[0], y, [], []), *scaled(output, g_output * self._size))
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
        kind, one = (vector(self.image.rows.element, n) for n in (self.image.rows.lanes, 1))
        depth, per = self.spec.channels * self.spec.taps, self.spec.taps
        where = [*scaled(output, depth), *scaled(channel, per), *scaled(level, row.taps * place.taps)]
        base = code.at(self.totals, *scaled([*where, (tap, place.taps)], self._size))
        for r, line in enumerate(cells):
            for (c, t), cell in zip(every, line, strict=True):
                target = code.at(base, (r * depth + c * per + t, self._size))
                total = code.across(code.load(cell, kind), code.add)
                code.store(code.add(code.load(target, one), total), target)
