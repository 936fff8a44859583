"""The gradient of a convolution's weights by vectors of outputs: dw[c, t, o] = Σ x[c, r + t, n] g[o, r, n].

The rows of g are packed with the outputs of a place side by side, those of the image as for the convolution
itself. A tile holds some channels and taps of a row by some outputs, over the places of a few rows: x is
broadcast, and no lanes are added up. The sums of a tile are then added to totals, which wait in the
workspace, (plane, row, channel, place, output). Where the outputs fill no vectors, `direct_weights` lets the
vectors lie along the sum.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

from typing_extensions import override

from ..ir import Code, Index, Terms, Value, bytes_of, vector
from ..machine import Machine
from ..sizes import LONGEST, aligned
from .along import Along
from .correlation import Correlation, Finish, Part, in_place
from .gradient import Gradient
from .rows import Ring, Rows, Source, clear, zeros
from .span import Array, Span
from .sums import cut, even, turns
from .tile import scaled
from .totals import Totals
from .transpose import turned

_STEPS = 224
"""Places that a tile adds before its sums join the totals."""
_LEAST, _TOTALS = 4, 1 << 22
"""How many parts a kernel may always have, and the bytes of the totals of more parts."""
_UNROLLED = 4
"""Places whose steps are written one after the other."""
_WIDEST = 4
"""Vectors in a row of a tile."""


def suits(spec: Correlation, lanes: int) -> bool:
    """Return whether the outputs fill at least half of their vectors, beside enough rows of a tile."""
    filled = spec.outputs >= -(-spec.outputs // lanes) * lanes / 2
    return filled and spec.channels * spec.axes[2].taps >= 8


@dataclass(frozen=True)
class Plan:
    """How the sums are cut."""

    spec: Correlation
    image: Rows
    grad: Rows
    width: int
    """The vectors of outputs of a tile."""
    channels: list[Part]
    taps: list[range]
    """The channels and the taps of a row in a tile."""
    direct: bool
    """Whether the image is read where it lies."""

    @classmethod
    def of(cls, machine: Machine, spec: Correlation, image: Array, samples: int) -> Plan:
        """Return the plan that takes the least time for so many samples at once."""
        lanes = machine.lanes(image.element)
        spec = spec.ordered() if spec.apart else spec
        rows, taps_ = spec.axes[1].count, spec.axes[2].taps
        most = max(min(-(-_STEPS // (spec.axes[2].count * samples)), rows), 1)
        together = -(-rows // -(-rows // most))
        images = replace(spec.rows(image.element, lanes, samples), together=together)
        plane, row, place = (Along(axis.count, axis.count, 1) for axis in spec.axes)
        results = replace(spec, axes=(plane, row, place), channels=spec.outputs).rows(
            image.element, lanes, samples
        )
        grad = replace(results, together=together, turned=True)
        options = []
        for width in range(1, min(_WIDEST, -(-spec.outputs // lanes)) + 1):
            high = max((machine.registers - width - 1) // width, 1)
            # A tap by itself lets the steps of neighbouring places be written one after the other.
            most = 1 if spec.channels >= high // 2 else high
            taps = [range(a + i * n, a + (i + 1) * n) for a, c, n in even(taps_, most) for i in range(c)]
            channels = even(spec.channels, max(high // max(map(len, taps), default=1), 1))
            found = cls(spec, images, grad, width, channels, taps, in_place(spec, image))
            options.append((found._time(), width, found))
        return min(options, key=lambda option: option[:2])[2]

    def _time(self) -> int:
        """Return the half cycles that the products of one place with all outputs take."""
        tiles = itertools.product(self.taps, self.channels, self.outputs)
        return sum(
            b * c * (max(len(t) * n * v, len(t) * n + v + 1, 8) + 1) for t, (_, b, n), (_, c, v) in tiles
        )

    @property
    def outputs(self) -> list[Part]:
        """The vectors of outputs of the tiles."""
        return cut(-(-self.spec.outputs // self.grad.lanes), self.width)

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """The totals' extents."""
        plane, row, place = (axis.taps for axis in self.spec.axes)
        width = -(-self.spec.outputs // self.grad.lanes) * self.grad.lanes
        return plane, row, self.spec.channels, place, width

    @property
    def strides(self) -> tuple[int, int, int, int, int]:
        """The elements from total to total along each axis."""
        _, row, channels, place, width = self.shape
        return row * channels * place * width, channels * place * width, place * width, width, 1

    @property
    def bytes(self) -> int:
        """The bytes of the totals."""
        return aligned(math.prod(self.shape) * bytes_of(self.grad.element))

    @property
    def image_bytes(self) -> int:
        """The bytes of the image's packed rows."""
        return 0 if self.direct else aligned(self.image.bytes)

    @property
    def adds(self) -> int:
        """How many sums of tiles a block adds to a total."""
        plane, row, _ = self.spec.axes
        return plane.count * -(-row.count // self.image.together)


@dataclass(frozen=True)
class ByOutputs(Gradient):
    """The gradient by vectors of outputs."""

    machine: Machine

    @property
    def plans(self) -> list[tuple[Part, Plan]]:
        """The blocks of samples, and how each is computed."""
        parts = self.spec.parts(self.image.element, self.lanes, self.image)
        return [(part, Plan.of(self.machine, self.spec, self.image, part[2])) for part in parts]

    @property
    def plan(self) -> Plan:
        """The plan of the first samples: all plans have the same totals."""
        return self.plans[0][1]

    @property
    @override
    def totals(self) -> int:
        return self.plan.bytes

    @property
    @override
    def workspace(self) -> int:
        return self.totals + max(plan.image_bytes + plan.grad.bytes for _, plan in self.plans)

    @property
    @override
    def shared(self) -> tuple[str, int]:
        loop, count = self.spec.longest([part for part, _ in self.plans], self.plan.image.together)
        return loop, min(count, max(_LEAST, _TOTALS // self.totals))

    @property
    @override
    def ends(self) -> int:
        return -(-self.spec.channels // self._block[0])

    @override
    def write(
        self, code: Code, image: Array, grad: Array, totals: Value, space: Value, *, shared: bool = False
    ) -> None:
        spec, element, total = self.spec, self.image.element, math.prod(self.plan.shape)
        over = self.shared[0] if shared else ""
        zeros(code, element, total, totals)
        adds = sum(count * plan.adds for (_, count, _), plan in self.plans)
        sums = Totals(code, element, total, totals, space) if adds > LONGEST else None
        for (first, count, samples), plan in self.plans:
            rows = code.at(space, (self.totals, 1))
            results = code.at(rows, (plan.image_bytes, 1))
            if not plan.direct:
                clear(code, plan.image, rows)
            if spec.outputs % self.lanes:  # the vectors' last lanes are computed with
                zeros(code, element, plan.grad.bytes // self.size, results)
            for x, g in self.blocks(code, first, count, samples, (image, grad), shared=over == "blocks"):
                ring = None if plan.direct else Ring(code, plan.image, x, rows)
                images = Source(code, plan.image, x, ring)
                grads = Source(code, plan.grad, g, Ring(code, plan.grad, g, results))
                _Writer(code, plan, images, grads, totals, sums).run(over)
        if sums is not None:
            sums.back()

    @property
    def _block(self) -> tuple[int, list[range]]:
        """The channels and the taps of a block of columns that lie side by side in the weights."""
        taps = self.spec.taps
        if taps == 1:
            return self.lanes, [range(1)]
        return 1, [range(first, min(first + self.lanes, taps)) for first in range(0, taps, self.lanes)]

    @override
    def add_up(self, code: Code, sums: Value, count: int, finish: Finish, *, shared: bool = False) -> None:
        # Blocks of outputs and columns are transposed in registers.
        channels, taps = self._block
        whole, rest = divmod(self.spec.channels, channels)
        for first, many, width in ((0, whole, channels), (whole * channels, 1, rest)):
            if not many or not width:
                continue
            with turns(code, many, shared=shared) as c:
                channel: Terms = [(first, 1), (c, channels)]
                for output, across, outputs in cut(self.spec.outputs, self.lanes):
                    with code.loop(across) as o:
                        out: Terms = [(output, 1), (o, self.lanes)]
                        for some in taps:
                            self._end(code, sums, count, finish, (channel, width, some), (out, outputs))

    def _end(
        self,
        code: Code,
        sums: Value,
        count: int,
        finish: Finish,
        columns: tuple[Terms, int, range],
        outputs: tuple[Terms, int],
    ) -> None:
        (channel, width, taps), (output, height) = columns, outputs
        kind, size, strides = vector(self.image.element, self.lanes), self.size, self.plan.strides
        where = [
            code.at(x, *scaled(channel, strides[2] * size), *scaled(output, size))
            for x in self.each(code, sums, count)
        ]
        found = []
        for c, t in itertools.product(range(width), taps):
            (level, line), place = divmod(t // self.plan.shape[3], self.plan.shape[1]), t % self.plan.shape[3]
            offset = level * strides[0] + line * strides[1] + c * strides[2] + place * strides[3]
            total = code.load(code.at(where[0], (offset, size)), kind)
            for other in where[1:]:
                total = code.add(total, code.load(code.at(other, (offset, size)), kind))
            found.append(total)
        live = len(found)
        found += [code.number(kind, 0.0)] * (self.lanes - live)
        for i, value in enumerate(turned(code, found)[:height]):
            column: Terms = [*scaled(channel, self.spec.taps), (taps[0], 1)]
            finish(value, Span(code, ([*output, (i, 1)], column), 1, self.lanes, live))


@dataclass(frozen=True)
class _Writer:
    code: Code
    plan: Plan
    image: Source
    grads: Source
    totals: Value
    sums: Totals | None

    def run(self, over: str) -> None:
        """Add the products of one block of samples; the parts of a kernel share the loop over `over`."""
        code, (plane, row, _) = self.code, self.plan.spec.axes
        together = self.plan.image.together
        with turns(code, plane.count, shared=over == "planes") as z:
            self.image.begin()
            self.grads.begin()
            with turns(code, -(-row.count // together), shared=over == "rows") as part:
                y = code.sum([(part, together)])
                self.image.fill(z, y)
                self.grads.fill(z, y)
                self._rows(z, y)
                if self.sums is not None:
                    self.sums.added()

    def _rows(self, z: Index, y: Value) -> None:
        """Write the tiles of some rows of results, from y on."""
        code, plan, (plane, row, _) = self.code, self.plan, self.plan.spec.axes
        (above, levels), lanes = plane.taps_of(code, z), plan.grad.lanes
        for output, many, width in plan.outputs:
            with code.loop(many) as o, code.loop(levels) as k, code.loop(row.taps) as i:
                first, count = row.results_of(code, i)
                start = code.intrinsic("smax", y, code.sum([(first, 1)]))
                end = code.sum([(y, 1), (plan.image.together, 1)])
                stop = code.intrinsic("smin", code.sum([(first, 1), (count, 1)]), end)
                length = code.sub(stop, start)
                for (channel, across, channels), taps in itertools.product(plan.channels, plan.taps):
                    with code.loop(across) as c:
                        self._tile(
                            (z, start, length),
                            ([(above, 1), (k, 1)], [(i, 1)], [(channel, 1), (c, channels)]),
                            [(output, lanes), (o, width * lanes)],
                            (channels, taps, range(width)),
                        )

    def _tile(
        self,
        rows: tuple[Index, Value, Value],
        taps_of: tuple[Terms, Terms, Terms],
        output: Terms,
        sizes: tuple[int, range, range],
    ) -> None:
        """Add the products of some channels and taps with some outputs, over some rows, to the totals."""
        code, plan, element = self.code, self.plan, self.plan.grad.element
        (z, start, length), (level, line, channel), (channels, taps, width) = rows, taps_of, sizes
        size, lanes = bytes_of(element), plan.grad.lanes
        kind, one = vector(element, lanes), vector(element, 1)
        every = [(c, t) for c in range(channels) for t in taps]
        cells = [[code.cell(kind) for _ in width] for _ in every]
        for cell in (cell for row in cells for cell in row):
            code.store(code.number(kind, 0.0), cell)
        run, pitch = plan.spec.axes[2].count * plan.grad.samples, plan.spec.axes[2].pitch
        with code.loop(length) as r:
            y = code.sum([(start, 1), (r, 1)])
            x = code.at(self.image.line(z, y, level, line), *scaled(channel, self.image.channel * size))
            g = code.at(self.grads.line(z, y, [], []), *scaled(output, size))
            for first, count, together in cut(run, _UNROLLED if len(taps) == 1 else 1):
                with code.loop(count) as q:
                    for i in range(together):
                        at: Terms = [(first + i, 1), (q, together)]
                        there = code.at(g, *scaled(at, plan.grad.strides[4] * size))
                        here = code.at(x, *scaled(at, pitch * size))
                        gs = [code.load(code.at(there, (v, lanes * size)), kind) for v in width]
                        for (c, t), row in zip(every, cells, strict=True):
                            offset = c * self.image.channel + self.image.offset(t)
                            factor = code.splat(code.load(code.at(here, (offset, size)), one), lanes)
                            for vector_, cell in zip(gs, row, strict=True):
                                code.store(code.fma(factor, vector_, code.load(cell, kind)), cell)
        places = zip((level, line, channel, [], output), plan.strides, strict=True)
        base = code.at(self.totals, *(term for p, s in places for term in scaled(p, s * size)))
        for (c, t), row in zip(every, cells, strict=True):
            for v, cell in enumerate(row):
                offset = c * plan.strides[2] + t * plan.strides[3] + v * lanes
                target = code.at(base, (offset, size))
                code.store(code.add(code.load(target, kind), code.load(cell, kind)), target)
