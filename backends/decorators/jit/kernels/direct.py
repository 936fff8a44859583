"""Direct convolution: y[o, r, n] = Σ w[o, c, t] x[c, r step + t dilation + first, n], by register tiles.

Here r is a place of the result and t a tap, along up to three axes, c a channel and n a sample. A tile holds
some outputs (its rows) for some places or samples (its columns, in vectors), while the sum over channels and
taps runs. No matrix of columns is made: a tile reads rows of the image, which are packed a few at a time
(rows.py), or where they lie. Taps in the padding above, below, before and behind are left out by the loops'
bounds.

The gradient of the image is the same sum over the gradient of y, with the taps reversed; where the
convolution has a stride, there is one sum for each residue of the places.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..ir import Code, Index, Terms, Value, bytes_of, vector
from ..machine import Machine
from .rows import TRIVIAL, Along, Ring, Rows, blocks
from .span import Array, Span
from .sums import share
from .tile import scaled
from .transpose import copy

Finish = Callable[[Value, Span], None]
Locate = Callable[[Terms, Sequence[Terms], Terms], tuple[tuple[Terms, ...], int]]
"""(output, places, samples) -> the index of a result, and the axis that its vectors lie along."""

_WIDEST = 4
"""Vectors in a row of a tile."""
_NEAR = 8
"""Channels up to which rows are read where they lie, if no place is missing."""


@dataclass(frozen=True)
class Correlation:
    """The extents of a correlation."""

    axes: tuple[Along, Along, Along]
    """(plane, row, place)."""
    samples: int
    channels: int
    outputs: int

    @classmethod
    def of(cls, axes: Sequence[Along], samples: int, channels: int, outputs: int) -> Correlation:
        """Return a correlation over one to three axes."""
        plane, row, place = (TRIVIAL,) * (3 - len(axes)) + tuple(axes)
        return cls((plane, row, place), samples, channels, outputs)

    @property
    def taps(self) -> int:
        """The taps of all axes."""
        return math.prod(axis.taps for axis in self.axes)

    @property
    def results(self) -> int:
        """The results for all outputs, places and samples."""
        return math.prod(axis.count for axis in self.axes) * self.samples * self.outputs

    def rows(self, element: str, lanes: int, samples: int) -> Rows:
        """Return how rows are packed."""
        return Rows(*self.axes, self.channels, samples, element, lanes)


def three(array: Array, lead: int) -> Array:
    """Return an array with axes (..., *spatial, last) as one of three spatial axes, behind `lead` others."""
    strides = array.strides
    missing = 4 + lead - len(strides)
    return replace(array, strides=(*strides[:lead], *(0,) * missing, *strides[lead:]))


def in_place(spec: Correlation, image: Array) -> bool:
    """Return whether rows are read where they lie in an image (channel, plane, row, place, sample)."""
    place = spec.axes[2]
    near = spec.channels <= _NEAR and place.step == 1 and place.inside
    return not spec.taps or (near and image.strides[4] == 1 and image.strides[3] == spec.samples)


@dataclass(frozen=True)
class Plan:
    """How a correlation of an image (channel, *three axes, sample) is computed."""

    spec: Correlation
    element: str
    lanes: int
    direct: bool
    """Whether rows are read where they lie."""
    blocks: tuple[tuple[int, int, int, Columns], ...]
    """(first sample, count, samples, tiles) of blocks of samples."""

    @classmethod
    def of(cls, machine: Machine, spec: Correlation, image: Array, *, dense: bool) -> Plan:
        """Return the plan; `dense` is that of `correlate`."""
        lanes, direct = machine.lanes(image.element), in_place(spec, image)
        one = spec.rows(image.element, lanes, 1).bytes
        found = []
        for first, count, samples in [(0, 1, spec.samples)] if direct else blocks(spec.samples, lanes, one):
            joined = dense and samples == spec.samples and samples % lanes != 0
            positions, run = (1, spec.axes[2].count * samples) if joined else (spec.axes[2].count, samples)
            found.append((first, count, samples, Columns.of(machine, spec, positions, run, lanes)))
        return cls(spec, image.element, lanes, direct, tuple(found))

    @property
    def heights(self) -> list[tuple[tuple[int, int], ...]]:
        """The orders in which tiles read the weights."""
        return list(dict.fromkeys(columns.heights for *_, columns in self.blocks))

    @property
    def packed(self) -> int:
        """The bytes of the weights in one order."""
        size = self.spec.outputs * self.spec.channels * self.spec.taps * bytes_of(self.element)
        return -(-size // 64) * 64

    @property
    def weights(self) -> int:
        """The bytes that the packed weights take."""
        return self.packed * len(self.heights)

    @property
    def rows(self) -> int:
        """The bytes that the packed rows take."""
        sizes = [self.spec.rows(self.element, self.lanes, n).bytes for _, _, n, _ in self.blocks]
        return 0 if self.direct else max(sizes)

    @property
    def shared(self) -> tuple[str, int]:
        """Which loop the parts of a kernel share, and how many turns it takes."""
        plane, row, _ = self.spec.axes
        found = {
            "rows": row.count,
            "planes": plane.count,
            "blocks": sum(count for _, count, _, _ in self.blocks),
        }
        return max(found.items(), key=lambda item: item[1])


def correlate(
    code: Code,
    plan: Plan,
    image: Array,
    locate: Locate,
    finish: Finish,
    weights: Value,
    space: Value,
    *,
    shared: bool = False,
) -> None:
    """Write a correlation of an image (channel, *axes, sample) with the weights that `pack` has packed.

    dense, in the plan: whether the samples of neighbouring places lie side by side in the result, and in all
    that `finish` reads. shared: whether the parts of a kernel share a loop.
    """
    spec, size = plan.spec, bytes_of(plan.element)
    if 0 in (spec.samples, spec.outputs, *(axis.count for axis in spec.axes)):
        return
    over = plan.shared[0] if shared else ""
    for first, count, samples, columns in plan.blocks:
        rows = spec.rows(plan.element, plan.lanes, samples)
        own = code.at(weights, (plan.heights.index(columns.heights) * plan.packed, 1))
        with share(code, count) if over == "blocks" else code.loop(count) as block:
            start: Terms = [(first, 1), (block, samples)]
            here = code.at(image.pointer, *scaled(start, image.strides[4] * size))
            part = replace(image, pointer=here)
            ring = None if plan.direct else Ring(code, rows, part, space)
            writer = _Writer(code, spec, rows, ring, part, columns, own, start, locate, finish)
            writer.run(over)


def pack(code: Code, plan: Plan, weights: Array, target: Value, *, shared: bool = False) -> None:
    """Copy weights (output, channel, *taps) in the orders in which the tiles read them.

    shared: whether the parts of a kernel share a loop.
    """
    for i, heights in enumerate(plan.heights):
        _pack_weights(code, plan.spec, weights, heights, code.at(target, (i * plan.packed, 1)), shared=shared)


@dataclass(frozen=True)
class Columns:
    """How the results of one row are cut into tiles: rows of outputs, columns of places and samples."""

    positions: int
    """Places of a row; 1 if all places and samples are one run."""
    run: int
    """The elements of a place that lie side by side."""
    lanes: int
    places: int
    """The places of a tile."""
    width: int
    """The vectors of a place in a tile."""
    heights: tuple[tuple[int, int], ...]
    """(count, rows) of tiles below each other."""

    @classmethod
    def of(cls, machine: Machine, spec: Correlation, positions: int, run: int, lanes: int) -> Columns:
        """Return the tiles that take the least time."""
        vectors = -(-run // lanes)
        spare = 3 if machine.registers == 32 else 2
        options = []
        for across in range(1, _WIDEST + 1):
            width = min(across, vectors)
            places = min(max(across // vectors, 1), positions)
            most = max((machine.registers - spare - width * places) // (width * places), 1)
            heights = even(spec.outputs, most)
            found = cls(positions, run, lanes, places, width, heights)
            time = sum(
                n * c * (max(h * w * p, h + w * p + 1, 8) + 1)
                for n, h in heights
                for c, p, w in found.shapes()
            )
            options.append((time, across, found))
        return min(options, key=lambda option: option[:2])[2]

    @property
    def vectors(self) -> int:
        """The vectors of a place."""
        return -(-self.run // self.lanes)

    def shapes(self) -> Iterator[tuple[int, int, int]]:
        """Yield (count, places, vectors) of the tiles of a row."""
        for _, count, places in self.groups():
            for _, many, width in self.parts():
                yield count * many, places, width

    def groups(self) -> list[tuple[int, int, int]]:
        """Return (first, count, places) of tiles along the places."""
        return cut(self.positions, self.places)

    def parts(self) -> list[tuple[int, int, int]]:
        """Return (first, count, vectors) of tiles along the vectors of a place."""
        found = cut(self.vectors, self.width)
        first, count, width = found[-1]
        if self.run % self.lanes and count > 1:  # the last vector is cut: its tile stands alone
            found[-1:] = [(first, count - 1, width), (first + (count - 1) * width, 1, width)]
        return found

    def live(self, last: bool) -> int:
        """Return the lanes of a place's vector that exist."""
        return self.run - (self.vectors - 1) * self.lanes if last else self.lanes


def cut(extent: int, size: int) -> list[tuple[int, int, int]]:
    """Return (first, count, size) of whole parts of an extent, and of the rest."""
    whole, rest = divmod(extent, size)
    return [part for part in ((0, whole, size), (whole * size, 1, rest)) if part[1] and part[2]]


def even(rows: int, most: int) -> tuple[tuple[int, int], ...]:
    """Return (count, rows) of tiles of at most so many rows, of nearly equal heights."""
    count = -(-rows // most)
    low, more = divmod(rows, count)
    return tuple(group for group in ((more, low + 1), (count - more, low)) if group[0] and group[1])


def _pack_weights(
    code: Code,
    spec: Correlation,
    weights: Array,
    heights: tuple[tuple[int, int], ...],
    space: Value,
    *,
    shared: bool,
) -> None:
    size, (plane, row, place) = bytes_of(weights.element), spec.axes
    so, sc, *st = weights.strides
    start = sum(axis.tap[0] * s for axis, s in zip(spec.axes, st, strict=True))
    sz, sy, sx = (axis.tap[1] * s for axis, s in zip(spec.axes, st, strict=True))
    first, whole = 0, spec.channels * spec.taps
    for count, height in heights:
        inner = height * place.taps
        strides = (whole * height, inner * spec.channels * row.taps, inner * spec.channels, inner)
        done = 0
        for tap, taps, every, _ in place.classes():
            source = Array(
                code.at(weights.pointer, ((first * so + start + tap * sx) * size, 1)),
                weights.element,
                (height * so, sz, sy, sc, every * sx, so),
            )
            target = Array(
                code.at(space, ((first * whole + done * height) * size, 1)),
                weights.element,
                (*strides, height, 1),
            )
            shape = (count, plane.taps, row.taps, spec.channels, taps, height)
            copy(code, shape, source, target, shared=shared)
            done += taps
        first += count * height


@dataclass(frozen=True)
class _Writer:
    code: Code
    spec: Correlation
    rows: Rows
    ring: Ring | None
    image: Array
    columns: Columns
    weights: Value
    start: Terms
    locate: Locate
    finish: Finish

    def run(self, over: str) -> None:
        """Write the loops over the rows of the result; the parts of a kernel share the one over `over`."""
        code, (plane, row, _) = self.code, self.spec.axes
        with share(code, plane.count) if over == "planes" else code.loop(plane.count) as z:
            if self.ring is not None:
                self.ring.begin()
            with share(code, row.count) if over == "rows" else code.loop(row.count) as y:
                if self.ring is not None:
                    self.ring.fill(z, y)
                for first, count, places in self.columns.groups():
                    with code.loop(count) as i:
                        position: Terms = [(first, 1), (i, places)]
                        self._tiles(z, y, position, places)

    def _tiles(self, z: Index, y: Index, position: Terms, places: int) -> None:
        code, columns = self.code, self.columns
        for first, count, width in columns.parts():
            with code.loop(count) as j:
                vectors: Terms = [(first, columns.lanes), (j, width * columns.lanes)]
                output = 0
                for many, height in columns.heights:
                    with code.loop(many) as k:
                        out: Terms = [(output, 1), (k, height)]
                        last = first + count * width == columns.vectors
                        self._tile(z, y, position, vectors, out, (height, places, width), ends=last)
                    output += many * height

    # -- a tile --------------------------------------------------------------------------------------

    def _tile(
        self,
        z: Index,
        y: Index,
        position: Terms,
        vectors: Terms,
        out: Terms,
        shape: tuple[int, int, int],
        *,
        ends: bool,
    ) -> None:
        code, (height, places, width) = self.code, shape
        kind = vector(self.image.element, self.columns.lanes)
        every = [(p, v) for p in range(places) for v in range(width)]
        cells = [[code.cell(kind) for _ in every] for _ in range(height)]
        for row in cells:
            for cell in row:
                code.store(code.number(kind, 0.0), cell)

        def step(place: Value, weight: Value) -> None:
            size = bytes_of(self.image.element)
            xs = []
            for p, v in every:
                live = self._live(v, width, ends=ends) if self.ring is None else None
                where = code.at(place, (p, self._place * size), (v, self.columns.lanes * size))
                xs.append(code.load(where, kind, live))
            for r in range(height):
                w = code.splat(code.load(code.at(weight, (r, size)), vector(kind.element, 1)), kind.lanes)
                for x, cell in zip(xs, cells[r], strict=True):
                    code.store(code.fma(w, x, code.load(cell, kind)), cell)

        self._sum(z, y, position, vectors, out, height, step)
        for r in range(height):
            for (p, v), cell in zip(every, cells[r], strict=True):
                live = self._live(v, width, ends=ends)
                span = self._span(
                    z, y, [*position, (p, 1)], [*vectors, (v, kind.lanes)], [*out, (r, 1)], live
                )
                self.finish(code.load(cell, kind), span)

    def _live(self, v: int, width: int, *, ends: bool) -> int:
        return self.columns.live(ends and v == width - 1)

    def _span(self, z: Index, y: Index, position: Terms, vectors: Terms, out: Terms, live: int) -> Span:
        places = []
        for axis, found in zip(self.spec.axes, ([(z, 1)], [(y, 1)], position), strict=True):
            places.append([(axis.out[0], 1), *scaled(found, axis.out[1])])
        index, axis_of = self.locate(out, places, [*self.start, *vectors])
        return Span(self.code, index, axis_of, self.columns.lanes, live)

    @property
    def _place(self) -> int:
        """The elements from place to place."""
        return self.image.strides[3] if self.ring is None else self.rows.strides[3]

    def _sum(
        self,
        z: Index,
        y: Index,
        position: Terms,
        vectors: Terms,
        out: Terms,
        height: int,
        step: Callable[[Value, Value], None],
    ) -> None:
        """Write the loops over taps and channels; step(place, weight) gets two addresses."""
        code, size = self.code, bytes_of(self.image.element)
        (plane, row, place), channels = self.spec.axes, self.spec.channels
        inner = height * place.taps * channels * size
        whole = channels * self.spec.taps * size
        firsts = plane.taps_of(code, z), row.taps_of(code, y)
        with code.loop(firsts[0][1]) as k, code.loop(firsts[1][1]) as i:
            level: Terms = [(firsts[0][0], 1), (k, 1)]
            tap: Terms = [(firsts[1][0], 1), (i, 1)]
            line = self._line(z, y, level, tap)
            line = code.at(line, *scaled(position, self._place * size), *scaled(vectors, size))
            weight = code.at(
                self.weights, *scaled(out, whole), *scaled(level, inner * row.taps), *scaled(tap, inner)
            )
            channel = self.image.strides[0] if self.ring is None else self.rows.strides[2]
            with code.loop(channels) as c:
                done = 0
                for first, taps, _, steps in place.classes():
                    offset = first * place.dilation if self.ring is None else place.packed(first)
                    with code.loop(taps) as t:
                        moved = [(c, channel), (offset, self._place), (t, steps * self._place)]
                        w = [(c, height * place.taps), (done, height), (t, height)]
                        step(code.at(line, *scaled(moved, size)), code.at(weight, *scaled(w, size)))
                    done += taps

    def _line(self, z: Index, y: Index, level: Terms, tap: Terms) -> Value:
        """Return where the row begins that a tap reads."""
        code, size, (plane, row, place) = self.code, bytes_of(self.image.element), self.spec.axes
        there = code.sum([(y, row.step), (row.first, 1), *scaled(tap, row.dilation)])
        if self.ring is not None:
            return self.ring.address(there, scaled(level, self.rows.strides[1] * size))
        above: Terms = [(z, plane.step), (plane.first, 1), *scaled(level, plane.dilation)]
        _, sz, sy, sx, _ = self.image.strides
        return code.at(
            self.image.pointer, *scaled(above, sz * size), (there, sy * size), (place.first * sx, size)
        )
