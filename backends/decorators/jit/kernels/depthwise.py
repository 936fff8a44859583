"""Depthwise convolution of one channel with one kernel, sample by sample: y[r, n] = Σ w[t] x[r + t, n].

A tile of one output would read a vector for each multiply-add. Here the plane of a sample is copied between
zeros, and a tile holds the same places of several rows: a vector of the plane serves every row and tap that
reads it, while the weights stay in registers. In the gradient of the weights the sums stay in registers, one
vector for each tap; their lanes are added up once, behind all samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from typing_extensions import override

from ..ir import Code, Index, Terms, Value, bytes_of, vector
from ..sizes import LONGEST, aligned
from .along import Along
from .correlation import Correlation, Finish
from .gradient import Gradient
from .rows import zeros
from .span import Array, Span
from .sums import cut, turns
from .tile import scaled
from .totals import Totals
from .transpose import copy

_ROWS = 4
"""Rows of a tile."""
_TAPS = 25
"""The most taps: their weights stay in registers."""


def suits(spec: Correlation) -> bool:
    """Return whether planes are computed here."""
    plane, row, place = spec.axes
    single = (
        spec.apart and spec.channels == spec.outputs == 1 and plane.taps == plane.count == plane.step == 1
    )
    return single and row.step == place.step == 1 and 1 <= spec.taps <= _TAPS


@dataclass(frozen=True)
class Plane:
    """The copy of a plane, with the places that results read beyond its edges."""

    spec: Correlation
    element: str
    lanes: int

    @property
    def pitch(self) -> int:
        """The elements from row to row."""
        place = self.spec.axes[2]
        return (-(-place.count // self.lanes) + -(-(place.span - 1) // self.lanes)) * self.lanes

    @property
    def size(self) -> int:
        """The elements of all rows."""
        row = self.spec.axes[1]
        return (row.count + row.span - 1) * self.pitch

    @property
    def bytes(self) -> int:
        """The bytes of all rows."""
        return aligned(self.size * bytes_of(self.element))

    def fill(self, code: Code, base: Value, image: Array, sample: Index) -> None:
        """Copy what exists of a sample's plane."""
        _, row, place = self.spec.axes
        _, sz, sy, sx, sn = image.strides
        (top, bottom), (left, right) = _existing(row), _existing(place)
        if top >= bottom or left >= right:
            return
        unit, first = bytes_of(self.element), self.spec.axes[0].first
        offset = first * sz + (row.first + top) * sy + (place.first + left) * sx
        source = code.at(image.pointer, (offset, unit), (sample, sn * unit))
        target = code.at(base, (top * self.pitch + left, unit))
        shape = bottom - top, right - left
        copy(code, shape, Array(source, self.element, (sy, sx)), Array(target, self.element, (self.pitch, 1)))

    def vectors(self, code: Code) -> Iterator[tuple[Terms, int]]:
        """Open loops over the vectors of a row, and yield (first place, lanes that exist)."""
        whole, rest = divmod(self.spec.axes[2].count, self.lanes)
        for first, count, live in ((0, whole, self.lanes), (whole * self.lanes, 1, rest)):
            if count and live:
                with code.loop(count) as v:
                    yield [(first, 1), (v, self.lanes)], live

    def products(self, height: int) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
        """Yield (row, place, [(row of results, tap)]) for each vector of the plane that some results read."""
        _, row, place = self.spec.axes
        for i in range(height - 1 + row.span):
            near = [(r, (i - r) // row.dilation) for r in range(height) if 0 <= i - r < row.span]
            near = [(r, k) for r, k in near if r + k * row.dilation == i]
            for j in range(place.taps if near else 0):
                yield i, j * place.dilation, [(r, k * place.taps + j) for r, k in near]


def _existing(axis: Along) -> tuple[int, int]:
    """Return the range of the places, from the first that is read, that exist."""
    return max(-axis.first, 0), min(axis.size - axis.first, axis.count + axis.span - 1)


def workspace(spec: Correlation, element: str, lanes: int) -> int:
    """Return the bytes that either kernel needs."""
    sums = aligned(spec.taps * lanes * bytes_of(element))
    return Plane(spec, element, lanes).bytes + 2 * sums


def correlate_planes(
    code: Code,
    spec: Correlation,
    image: Array,
    finish: Finish,
    weights: Value,
    space: Value,
    *,
    shared: bool = False,
) -> None:
    """Write the correlation of an image (1, 1, row, place, sample) with the weights of the taps, in order.

    shared: whether the parts of a kernel share the samples.
    """
    element, size, lanes = image.element, bytes_of(image.element), code.machine.lanes(image.element)
    plane, row, kind = Plane(spec, element, lanes), spec.axes[1], vector(element, lanes)
    zeros(code, element, plane.size, space)
    where = [code.at(weights, (t, size)) for t in range(spec.taps)]
    factors = [code.splat(code.load(one, vector(element, 1)), lanes) for one in where]
    with turns(code, spec.samples, shared=shared) as n:
        plane.fill(code, space, image, n)
        for first, count, height in cut(row.count, _ROWS):
            with code.loop(count) as i:
                y: Terms = [(first, 1), (i, height)]
                for x, live in plane.vectors(code):
                    base = code.at(space, *scaled(y, plane.pitch * size), *scaled(x, size))
                    sums = [code.number(kind, 0.0)] * height
                    for line, offset, uses in plane.products(height):
                        value = code.load(code.at(base, (line * plane.pitch + offset, size)), kind)
                        for r, t in uses:
                            sums[r] = code.fma(factors[t], value, sums[r])
                    for r, total in enumerate(sums):
                        index: tuple[Terms, ...] = ([], [], [*y, (r, 1)], x, [(n, 1)])
                        finish(total, Span(code, index, 3, lanes, live))


class ByPlanes(Gradient):
    """The gradient of the weights of one channel and one output, plane by plane."""

    @property
    @override
    def workspace(self) -> int:
        return workspace(self.spec, self.image.element, self.lanes)

    @property
    @override
    def shared(self) -> tuple[str, int]:
        return "blocks", self.spec.samples

    @override
    def write(
        self, code: Code, image: Array, grad: Array, totals: Value, space: Value, *, shared: bool = False
    ) -> None:
        _gradient(code, self.spec, image, grad, totals, space, shared=shared)


def _gradient(
    code: Code, spec: Correlation, image: Array, grad: Array, totals: Value, space: Value, *, shared: bool
) -> None:
    """Write the gradient for an image and a gradient (1, 1, row, place, sample)."""
    element, size, lanes = image.element, bytes_of(image.element), code.machine.lanes(image.element)
    plane, row, kind = Plane(spec, element, lanes), spec.axes[1], vector(element, lanes)
    count = spec.taps * lanes
    first = code.at(space, (plane.bytes, 1))
    second = code.at(first, (aligned(count * size), 1))
    zeros(code, element, plane.size, space)
    zeros(code, element, count, first)
    # The rows whose products are added one after the other.
    together = max(LONGEST // -(-plane.pitch // lanes) // _ROWS, 1) * _ROWS
    added = spec.samples * -(-row.count // together)
    sums = Totals(code, element, count, first, second) if added > LONGEST else None
    cells = [code.cell(kind) for _ in range(spec.taps)]
    _, _, sy, _, sn = grad.strides
    with turns(code, spec.samples, shared=shared) as n:
        plane.fill(code, space, image, n)
        here = replace(grad, pointer=code.at(grad.pointer, (n, sn * size)), strides=(sy,))
        for top, parts, rows in cut(row.count, together):
            with code.loop(parts) as part:
                for cell in cells:
                    code.store(code.number(kind, 0.0), cell)
                for line, many, height in cut(rows, _ROWS):
                    with code.loop(many) as i:
                        y: Terms = [(top + line, 1), (part, rows), (i, height)]
                        _add(code, plane, space, here, cells, y, height)
                for t, cell in enumerate(cells):
                    target = code.at(first, (t * lanes, size))
                    code.store(code.add(code.load(target, kind), code.load(cell, kind)), target)
                if sums is not None:
                    sums.added()
    if sums is not None:
        sums.back()
    for t in range(spec.taps):
        total = code.across(code.load(code.at(first, (t * lanes, size)), kind), code.add)
        code.store(total, code.at(totals, (t, size)))


def _add(
    code: Code, plane: Plane, base: Value, grad: Array, cells: Sequence[Value], y: Terms, height: int
) -> None:
    """Add the products of some rows of a gradient, from y on, with what the taps read."""
    size, kind, line = bytes_of(plane.element), vector(plane.element, plane.lanes), plane.pitch
    step = grad.strides[0] * size
    for x, live in plane.vectors(code):
        here = code.at(base, *scaled(y, line * size), *scaled(x, size))
        there = code.at(grad.pointer, *scaled(y, step), *scaled(x, size))
        gs = [code.load(code.at(there, (r, step)), kind, live) for r in range(height)]
        for i, offset, uses in plane.products(height):
            value = code.load(code.at(here, (i * line + offset, size)), kind, live)
            for r, t in uses:
                code.store(code.fma(gs[r], value, code.load(cells[t], kind)), cells[t])
