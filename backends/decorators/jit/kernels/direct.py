"""Direct convolution: y[o, r, n] = Σ w[o, c, t] x[c, r step + t dilation + first, n], by register tiles.

Here r is a place of the result and t a tap, along up to three axes, c a channel and n a sample. A tile holds
some outputs for some places and samples, while the sum over channels and taps runs. No matrix of columns is
made: a tile reads rows of the image, which are packed a few at a time (rows.py), or where they lie. Taps in
the padding above, below, before and behind are left out by the loops' bounds.

The vectors of a tile lie along the samples, if these are neighbours in memory. If each sample lies *apart*,
they lie along the places of a row, or along the outputs: then the weights come in vectors, and the tile is
transposed when its sums are complete.

The gradient of the image is the same sum over the gradient of y, with the taps reversed; where the
convolution has a stride, there is one sum for each residue of the places.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..ir import Code, Index, Terms, Type, Value, bytes_of, vector
from ..machine import Machine
from ..sizes import aligned
from . import depthwise
from .correlation import Correlation, Finish, Part, in_place
from .rows import Ring, Source, clear
from .span import Array, Span
from .sums import cut, even, turns
from .tile import scaled
from .transpose import copy, turned

_WIDEST = 4
"""Vectors in a row of a tile."""
_GATHERED = 1.15
"""How many times as long a row takes whose places lie a step apart."""
_SAMPLES = 4
"""The most samples that lie apart in a tile."""
_UNROLLED = 4
"""Channels whose steps are written one after the other."""


@dataclass(frozen=True)
class Plan:
    """How a correlation of an image (channel, *three axes, sample) is computed."""

    spec: Correlation
    element: str
    lanes: int
    direct: bool
    """Whether rows are read where they lie."""
    blocks: list[tuple[Part, Tiles]]
    """The samples in (first, count, samples) of blocks, and the tiles of each."""

    @classmethod
    def of(cls, machine: Machine, spec: Correlation, image: Array, *, dense: bool) -> Plan:
        """Return the plan.

        dense: whether the samples of neighbouring places lie side by side in the result, and in all that
        `finish` reads.
        """
        lanes, direct = machine.lanes(image.element), in_place(spec, image)
        parts = [] if spec.empty else spec.parts(image.element, lanes, image)
        if spec.apart and parts:
            parts = cut(spec.samples, _together(machine, spec, lanes))
        found = [
            (part, _tiles(machine, spec, lanes, part[2], dense=dense, by_outputs=len(parts) == 1))
            for part in parts
        ]
        if all(tiles.by_outputs or not (tiles.joined or spec.apart) for _, tiles in found):
            spec = spec.ordered()
        return cls(spec, image.element, lanes, direct, found)

    @property
    def heights(self) -> list[list[Part]]:
        """The orders in which tiles read the weights."""
        every = [tiles.heights for _, tiles in self.blocks]
        return [heights for i, heights in enumerate(every) if heights not in every[:i]]

    @property
    def packed(self) -> int:
        """The bytes of the weights in one order."""
        return aligned(self.spec.outputs * self.spec.channels * self.spec.taps * bytes_of(self.element))

    @property
    def weights(self) -> int:
        """The bytes that the packed weights take."""
        return self.packed * len(self.heights)

    @property
    def rows(self) -> int:
        """The bytes that the packed rows take."""
        if depthwise.suits(self.spec):
            return depthwise.workspace(self.spec, self.element, self.lanes)
        sizes = [self.spec.rows(self.element, self.lanes, part[2]).bytes for part, _ in self.blocks]
        return 0 if self.direct else max(sizes, default=0)

    @property
    def shared(self) -> tuple[str, int]:
        """Which loop the parts of a kernel share, and how many turns it takes."""
        parts = [part for part, _ in self.blocks]
        rows = [self.spec.rows(self.element, self.lanes, samples) for *_, samples in parts]
        return self.spec.longest(parts, max((one.together for one in rows), default=1))


def correlate(
    code: Code,
    plan: Plan,
    image: Array,
    finish: Finish,
    weights: Value,
    space: Value,
    *,
    shared: bool = False,
) -> None:
    """Write a correlation of an image (channel, *axes, sample) with the weights that `pack` has packed.

    shared: whether the parts of a kernel share a loop.
    """
    spec, size, over = plan.spec, bytes_of(plan.element), plan.shared[0] if shared else ""
    if depthwise.suits(spec) and not spec.empty:
        depthwise.correlate_planes(code, spec, image, finish, weights, space, shared=bool(over))
        return
    for (first, count, samples), tiles in plan.blocks:
        rows = spec.rows(plan.element, plan.lanes, samples)
        own = code.at(weights, (plan.heights.index(tiles.heights) * plan.packed, 1))
        if not plan.direct:
            clear(code, rows, space)
        with turns(code, count, shared=over == "blocks") as block:
            start: Terms = [(first, 1), (block, samples)]
            part = replace(image, pointer=code.at(image.pointer, *scaled(start, image.strides[4] * size)))
            source = Source(code, rows, part, None if plan.direct else Ring(code, rows, part, space))
            _Writer(code, spec, source, tiles, own, start, finish).run(over)


def pack(code: Code, plan: Plan, weights: Array, target: Value, *, shared: bool = False) -> None:
    """Copy weights (output, channel, *taps) in the orders in which the tiles read them.

    shared: whether the parts of a kernel share a loop.
    """
    for i, heights in enumerate(plan.heights):
        _pack_weights(code, plan.spec, weights, heights, code.at(target, (i * plan.packed, 1)), shared=shared)


@dataclass(frozen=True)
class Tiles:
    """How the results of one row are cut into tiles of outputs, places and samples."""

    groups: list[Part]
    """The places of the tiles along a row; all of a row is one place if its elements are one run."""
    run: int
    """The elements of a place that lie side by side."""
    lanes: int
    width: int
    """The vectors of a place in a tile."""
    heights: list[Part]
    """The outputs of tiles below each other."""
    by_outputs: bool = False
    """Whether the vectors lie along the outputs."""
    joined: bool = False
    """Whether the elements of neighbouring places are one run."""
    slowed: float = 1.0
    """How many times as long it takes, for its places are gathered."""

    @property
    def vectors(self) -> int:
        """The vectors of a place."""
        return -(-self.run // self.lanes)

    def parts(self) -> list[Part]:
        """Return (first, count, vectors) of tiles along the vectors of a place."""
        found = cut(self.vectors, self.width)
        first, count, width = found[-1]
        if self.run % self.lanes and count > 1:  # the last vector is cut: its tile stands alone
            found[-1:] = [(first, count - 1, width), (first + (count - 1) * width, 1, width)]
        return found

    def live(self, last: bool) -> int:
        """Return the lanes of a place's vector that exist."""
        return self.run - (self.vectors - 1) * self.lanes if last else self.lanes

    def time(self, steps: int) -> float:
        """Return the half cycles of a row for sums of so many terms; a multiply-add or a load takes one."""
        total = 0.0
        for (_, n, p), (_, c, h) in ((g, h) for g in self.groups for h in self.heights):
            if self.by_outputs:
                vectors = -(-h // self.lanes)
                shuffles = 2 * vectors * -(-p // self.lanes) * self.lanes * math.log2(self.lanes)
                total += n * c * (_time(p, vectors) * steps + shuffles)
            else:
                total += n * c * steps * sum(k * _time(h, p * w) for _, k, w in self.parts())
        return total * self.slowed


def _time(height: int, width: int) -> int:
    """Return the half cycles of one step of a tile."""
    return max(height * width, height + width + 1, 8) + 1


def _together(machine: Machine, spec: Correlation, lanes: int) -> int:
    """Return of how many samples, which lie apart, a tile has places, so that each takes the least time."""
    steps, options = spec.channels * spec.taps, range(1, min(_SAMPLES, spec.samples) + 1)
    times = {n: _tiles(machine, spec, lanes, n, dense=False).time(steps) / n for n in options}
    return min(options, key=times.__getitem__)


def _tiles(
    machine: Machine, spec: Correlation, lanes: int, samples: int, *, dense: bool, by_outputs: bool = True
) -> Tiles:
    """Return the tiles that take the least time.

    A place of samples that lie apart is a row of one of them.
    """
    count = spec.axes[2].count
    joined = dense and samples == spec.samples and samples % lanes != 0
    positions, run = (1, count * samples) if joined else (count, samples)
    if spec.apart:
        positions, run = samples, count
    vectors, options = -(-run // lanes), list[Tiles]()
    spare = 3 if machine.registers == 32 else 2
    slowed = _GATHERED if spec.apart and spec.axes[2].residues > 1 else 1.0
    for across in range(1, _WIDEST + 1):
        width = min(across, vectors)
        places = min(max(across // vectors, 1), positions)
        most = max((machine.registers - spare - width * places) // (width * places), 1)
        heights = even(spec.outputs, most)
        options.append(
            Tiles(cut(positions, places), run, lanes, width, heights, joined=joined, slowed=slowed)
        )
        if spec.apart and samples == 1 and by_outputs and -(-spec.outputs // lanes) >= across:
            most = (machine.registers - across - 1) // across
            heights = cut(spec.outputs, across * lanes)
            options.append(Tiles(even(count, most), 1, lanes, 1, heights, by_outputs=True))
    return min(options, key=lambda tiles: tiles.time(spec.channels * spec.taps))


def _pack_weights(
    code: Code, spec: Correlation, weights: Array, heights: list[Part], space: Value, *, shared: bool
) -> None:
    size, (plane, row, place) = bytes_of(weights.element), spec.axes
    so, sc, *st = weights.strides
    start = sum(axis.tap[0] * s for axis, s in zip(spec.axes, st, strict=True))
    sz, sy, sx = (axis.tap[1] * s for axis, s in zip(spec.axes, st, strict=True))
    whole = spec.channels * spec.taps
    for first, count, height in heights:
        inner = height * place.taps * spec.channels
        strides = whole * height, inner * row.taps, inner, height, spec.channels * height
        done = 0
        for tap, taps, every, _ in place.classes():
            source = Array(
                code.at(weights.pointer, ((first * so + start + tap * sx) * size, 1)),
                weights.element,
                (height * so, sz, sy, sc, every * sx, so),
            )
            target = Array(
                code.at(space, ((first * whole + done * spec.channels * height) * size, 1)),
                weights.element,
                (*strides, 1),
            )
            shape = (count, plane.taps, row.taps, spec.channels, taps, height)
            copy(code, shape, source, target, shared=shared)
            done += taps


@dataclass(frozen=True)
class _Tile:
    """The place and the size of one tile."""

    z: Index
    y: Index
    position: Terms
    places: int
    vectors: Terms
    """The first element of a place."""
    width: int
    output: Terms
    height: int
    ends: bool
    """Whether its last vector is the last one of a place."""


@dataclass(frozen=True)
class _Writer:
    code: Code
    spec: Correlation
    source: Source
    tiles: Tiles
    weights: Value
    start: Terms
    finish: Finish

    def run(self, over: str) -> None:
        """Write the loops over the rows of the result; the parts of a kernel share the one over `over`."""
        code, (plane, row, _), together = self.code, self.spec.axes, self.source.rows.together
        with turns(code, plane.count, shared=over == "planes") as z:
            self.source.begin()
            with turns(code, row.count // together, shared=over == "rows") as i:
                y = code.sum([(i, together)])
                self.source.fill(z, y)
                with code.loop(together) as j:
                    self._row(z, code.sum([(y, 1), (j, 1)]))

    def _row(self, z: Index, y: Index) -> None:
        code, tiles = self.code, self.tiles
        write = self._by_outputs if tiles.by_outputs else self._by_elements
        for group, part, outputs in itertools.product(tiles.groups, tiles.parts(), tiles.heights):
            (first, many, places), (vector_, across, width), (output, down, height) = group, part, outputs
            with code.loop(many) as i, code.loop(across) as j, code.loop(down) as k:
                position: Terms = [(first, 1), (i, places)]
                vectors: Terms = [(vector_, tiles.lanes), (j, width * tiles.lanes)]
                out: Terms = [(output, 1), (k, height)]
                ends = vector_ + across * width == tiles.vectors
                write(_Tile(z, y, position, places, vectors, width, out, height, ends))

    # -- a tile --------------------------------------------------------------------------------------

    def _by_elements(self, tile: _Tile) -> None:
        """Write a tile whose vectors are elements of places: the weights are broadcast."""
        code, lanes, size = self.code, self.tiles.lanes, self._size
        every = [(p, v) for p in range(tile.places) for v in range(tile.width)]
        cells = self._zeros(tile.height, len(every))
        live = [self.tiles.live(tile.ends and v == tile.width - 1) for _, v in every]

        def step(place: Value, weight: Value) -> None:
            xs = []
            for (p, v), alive in zip(every, live, strict=True):
                where = code.at(place, (p, self._position * size), (v, lanes * size))
                xs.append(code.load(where, self._kind, alive if self.source.ring is None else None))
            for r in range(tile.height):
                self._add(self._splat(code.at(weight, (r, size))), xs, cells[r])

        self._sum(tile, step)
        for r in range(tile.height):
            for (p, v), alive, cell in zip(every, live, cells[r], strict=True):
                position, vectors = [*tile.position, (p, 1)], [*tile.vectors, (v, lanes)]
                place = position, [*self.start, *vectors]
                if self.spec.apart:
                    place = vectors, [*self.start, *position]
                self._finish(tile, code.load(cell, self._kind), [*tile.output, (r, 1)], place, alive)

    def _by_outputs(self, tile: _Tile) -> None:
        """Write a tile whose vectors are outputs: the places are broadcast."""
        code, lanes, size = self.code, self.tiles.lanes, self._size
        pitch = self.spec.axes[2].pitch * self.source.place * size
        width = -(-tile.height // lanes)
        cells = self._zeros(tile.places, width)
        live = [min(tile.height - v * lanes, lanes) for v in range(width)]

        def step(place: Value, weight: Value) -> None:
            ws = [code.load(code.at(weight, (v, lanes * size)), self._kind, live[v]) for v in range(width)]
            for p in range(tile.places):
                self._add(self._splat(code.at(place, (p, pitch))), ws, cells[p])

        self._sum(tile, step)
        zero = code.number(self._kind, 0.0)
        for first in range(0, tile.places, lanes):
            places = range(first, min(first + lanes, tile.places))
            for v in range(width):
                found = [code.load(cells[p][v], self._kind) for p in places]
                for o, x in enumerate(turned(code, found + [zero] * (lanes - len(found)))[: live[v]]):
                    place = [*tile.position, (first, 1)], self.start
                    self._finish(tile, x, [*tile.output, (v * lanes + o, 1)], place, len(places))

    def _zeros(self, height: int, width: int) -> list[list[Value]]:
        cells = [[self.code.cell(self._kind) for _ in range(width)] for _ in range(height)]
        for cell in (cell for row in cells for cell in row):
            self.code.store(self.code.number(self._kind, 0.0), cell)
        return cells

    def _splat(self, where: Value) -> Value:
        one = vector(self._kind.element, 1)
        return self.code.splat(self.code.load(where, one), self.tiles.lanes)

    def _add(self, factor: Value, xs: Sequence[Value], cells: Sequence[Value]) -> None:
        for x, cell in zip(xs, cells, strict=True):
            self.code.store(self.code.fma(factor, x, self.code.load(cell, self._kind)), cell)

    def _finish(self, tile: _Tile, x: Value, output: Terms, place: tuple[Terms, Terms], live: int) -> None:
        index = (output, [(tile.z, 1)], [(tile.y, 1)], *place)
        self.finish(x, Span(self.code, index, 3 if self.spec.apart else 4, self.tiles.lanes, live))

    @property
    def _position(self) -> int:
        """The elements from position to position of the tiles: places, or samples that lie apart."""
        if self.spec.apart and not self.tiles.by_outputs:
            return self.source.rows.strides[4]
        return self.spec.axes[2].pitch * self.source.place

    @property
    def _size(self) -> int:
        return bytes_of(self._kind.element)

    @property
    def _kind(self) -> Type:
        return vector(self.source.rows.element, self.tiles.lanes)

    def _sum(self, tile: _Tile, step: Callable[[Value, Value], None]) -> None:
        """Write the loops over taps and channels; step(place, weight) gets two addresses."""
        code, size, height = self.code, self._size, tile.height
        (plane, row, place), channels = self.spec.axes, self.spec.channels
        inner, whole = height * place.taps * channels * size, channels * self.spec.taps * size
        (above, levels), (before, lines) = plane.taps_of(code, tile.z), row.taps_of(code, tile.y)
        with code.loop(levels) as k, code.loop(lines) as i:
            level: Terms = [(above, 1), (k, 1)]
            tap: Terms = [(before, 1), (i, 1)]
            line = self.source.line(tile.z, tile.y, level, tap)
            line = code.at(line, *scaled(tile.position, self._position * size), *scaled(tile.vectors, size))
            taps = [*scaled(level, inner * row.taps), *scaled(tap, inner)]
            weight = code.at(self.weights, *scaled(tile.output, whole), *taps)
            self._channels(line, weight, height, step)

    def _channels(
        self, line: Value, weight: Value, height: int, step: Callable[[Value, Value], None]
    ) -> None:
        """Write the steps of the taps along a row, each for all channels."""
        code, size, spec, done = self.code, self._size, self.spec, 0
        for first, taps, _, steps in spec.axes[2].classes():
            offset, apart = self.source.offset(first), steps * self.source.place
            for channel, count, together in cut(spec.channels, _UNROLLED if spec.apart else 1):
                with code.loop(taps) as t, code.loop(count) as c:
                    for i in range(together):
                        places: Terms = [(channel + i, 1), (c, together)]
                        where = (offset, size), (t, apart * size), *scaled(places, self.source.channel * size)
                        there = (done, spec.channels), (t, spec.channels), *places
                        step(code.at(line, *where), code.at(weight, *scaled(there, height * size)))
            done += taps
