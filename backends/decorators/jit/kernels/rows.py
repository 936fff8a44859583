"""Rows of images, packed: what a direct convolution reads, a few rows at a time.

The tiles of a direct convolution read rows of an image, where the samples of a place lie side by side. `Ring`
copies the rows that the next windows need to (slot, plane, channel, residue, place, sample). The padding of
the last axis is zeros there. With a stride s, the places u, u + s, u + 2 s, ... lie side by side, so that
neighbouring windows read neighbouring places. A row of the image is copied once, and its slot is used again
when no window needs it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..ir import INDEX, Code, Index, Terms, Value, bytes_of
from .along import Along
from .loops import elementwise
from .span import Array
from .tile import scaled
from .transpose import copy

BUDGET = 1 << 20
"""The bytes of packed rows that suit the second cache."""


@dataclass(frozen=True)
class Rows:
    """How rows are packed: the axes (plane, row, place), the channels, and the samples of a block."""

    plane: Along
    row: Along
    place: Along
    channels: int
    samples: int
    element: str
    lanes: int
    together: int = 1
    """The rows of results that are worked on at a time."""
    apart: bool = False
    """Whether the places of a sample lie side by side, and not the samples of a place."""
    turned: bool = False
    """Whether the channels of a place lie side by side, and not its samples; they fill whole vectors."""

    def several(self, most: int) -> Rows:
        """Return the same with as many rows of results at a time as take so many bytes; at least one."""
        options = [replace(self, together=n) for n in range(1, self.row.count + 1) if self.row.count % n == 0]
        return next((rows for rows in options[::-1] if rows.bytes <= most), self)

    @property
    def slots(self) -> int:
        """The rows of the image that are kept."""
        return min((self.together - 1) * self.row.step + self.row.span, self.row.size)

    @property
    def strides(self) -> tuple[int, int, int, int, int]:
        """The elements from each slot, plane, channel, place and sample to the next."""
        places = self.place.residues * self.place.places * self.samples
        if self.turned:
            width = -(-self.channels // self.lanes) * self.lanes
            return width * places * self.plane.taps, width * places, 1, width * self.samples, width
        plane = places * self.channels
        inner = (1, places // self.samples) if self.apart else (self.samples, 1)
        return plane * self.plane.taps, plane, places, *inner

    @property
    def bytes(self) -> int:
        """The bytes of the packed rows, with room for a vector at the end."""
        return (self.slots * self.strides[0] + self.lanes) * bytes_of(self.element)


class Ring:
    """The packed rows of one block of samples of an image with strides (channel, *size, sample)."""

    def __init__(self, code: Code, rows: Rows, image: Array, base: Value) -> None:
        self.code, self.rows, self.image, self.base = code, rows, image, base
        self.size = bytes_of(rows.element)
        self.next = code.cell(INDEX)

    def begin(self) -> None:
        """Forget all rows."""
        self.code.store(self.code.number(INDEX, 0), self.next)

    def fill(self, plane: Index, row: Index) -> None:
        """Pack the rows that the results of a row, and of those together with it, need."""
        code, along = self.code, self.rows.row
        last = along.first + (self.rows.together - 1) * along.step + along.span
        start = code.sum([(row, along.step), (along.first, 1)])
        known = code.load(self.next, INDEX)
        start = code.intrinsic("smax", start, known)
        stop = code.sum([(row, along.step), (last, 1)])
        stop = code.intrinsic("smin", stop, code.number(INDEX, along.size))
        with code.loop(code.sub(stop, start)) as i:
            self._pack(plane, code.sum([(start, 1), (i, 1)]))
        code.store(code.intrinsic("smax", stop, known), self.next)

    def _pack(self, plane: Index, row: Value) -> None:
        code, rows, along = self.code, self.rows, self.rows.place
        _, level, channel, place, sample = rows.strides
        first, count = rows.plane.taps_of(code, plane)
        source = self.image
        with code.loop(count) as k:
            tap: Terms = [(first, 1), (k, 1)]
            target = self.address(row, [(index, factor * level * self.size) for index, factor in tap])
            where: Terms = [(plane, rows.plane.step), (rows.plane.first, 1)]
            where = [*where, *((index, factor * rows.plane.dilation) for index, factor in tap)]
            _, sz, sy, sx, sn = source.strides
            offset = [(index, factor * sz * self.size) for index, factor in where]
            line = code.at(source.pointer, *offset, (row, sy * self.size))
            for residue in range(along.residues):
                low, high = along.existing(residue)
                if low >= high:
                    continue
                here = (along.first + residue + low * along.unit) * sx * self.size
                there = (residue * along.places + low) * place * self.size
                shape = (rows.channels, high - low, rows.samples)
                copy(
                    code,
                    shape,
                    Array(code.at(line, (here, 1)), rows.element, (source.strides[0], along.unit * sx, sn)),
                    Array(code.at(target, (there, 1)), rows.element, (channel, place, sample)),
                )

    def address(self, row: Value, terms: Terms = ()) -> Value:
        """Return where a row of the image lies, if it is packed; the terms are in bytes."""
        code, slots = self.code, self.rows.slots
        slot = row if slots >= self.rows.row.size else code.new(INDEX, f"urem {row}, {slots}")
        return code.at(self.base, (slot, self.rows.strides[0] * self.size), *terms)


@dataclass(frozen=True)
class Source:
    """Where tiles read the rows of an image (channel, *axes, sample): packed, or where they lie."""

    code: Code
    rows: Rows
    image: Array
    ring: Ring | None

    @property
    def channel(self) -> int:
        """The elements from channel to channel."""
        return self.image.strides[0] if self.ring is None else self.rows.strides[2]

    @property
    def place(self) -> int:
        """The elements from place to place."""
        return self.image.strides[3] if self.ring is None else self.rows.strides[3]

    def offset(self, tap: int) -> int:
        """Return the elements from a row's beginning to what a tap reads for result 0."""
        place = self.rows.place
        return (tap * place.dilation if self.ring is None else place.packed(tap)) * self.place

    def begin(self) -> None:
        """Forget all packed rows."""
        if self.ring is not None:
            self.ring.begin()

    def fill(self, plane: Index, row: Index) -> None:
        """Pack what the results of a row, and of those together with it, need."""
        if self.ring is not None:
            self.ring.fill(plane, row)

    def line(self, z: Index, y: Index, level: Terms, tap: Terms) -> Value:
        """Return where the row begins that a tap of a plane and a tap of a row read."""
        code, rows, size = self.code, self.rows, bytes_of(self.rows.element)
        plane, row, place = rows.plane, rows.row, rows.place
        there = code.sum([(y, row.step), (row.first, 1), *scaled(tap, row.dilation)])
        if self.ring is not None:
            return self.ring.address(there, scaled(level, rows.strides[1] * size))
        above: Terms = [(z, plane.step), (plane.first, 1), *scaled(level, plane.dilation)]
        _, sz, sy, sx, _ = self.image.strides
        terms = *scaled(above, sz * size), (there, sy * size), (place.first * sx, size)
        return code.at(self.image.pointer, *terms)


def clear(code: Code, rows: Rows, base: Value) -> None:
    """Write zeros where rows will be packed, if some of their places do not exist: these stay zeros."""
    if not rows.place.inside or rows.place.residues > 1:
        zeros(code, rows.element, rows.bytes // bytes_of(rows.element), base)


def zeros(code: Code, element: str, count: int, base: Value) -> None:
    """Write so many zeros."""
    whole = Array(base, element, (1,))
    elementwise(code, (count,), [whole], [whole], lambda code, x: code.number(x.type, 0.0))


def blocks(samples: int, lanes: int, bytes_of_sample: int) -> list[tuple[int, int, int]]:
    """Cut the samples into (first, count, samples) of blocks whose packed rows stay in the cache."""
    most = max(BUDGET // max(bytes_of_sample, 1), 1)
    if samples <= max(most, lanes):
        return [(0, 1, samples)]
    unit = max(most // lanes, 1) * lanes
    even = next((n for n in range(unit, 0, -lanes) if samples % n == 0), unit)
    whole, rest = divmod(samples, even)
    return [part for part in ((0, whole, even), (whole * even, 1, rest)) if part[1] and part[2]]
