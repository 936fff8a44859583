"""Rows of images, packed: what a direct convolution reads, a few rows at a time.

The tiles of a direct convolution read rows of an image, where the samples of a place lie side by side. `Ring`
copies the rows that the next windows need to (slot, plane, channel, residue, place, sample). The padding of
the last axis is zeros there. With a stride s, the places u, u + s, u + 2 s, ... lie side by side, so that
neighbouring windows read neighbouring places. A row of the image is copied once, and its slot is used again
when no window needs it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..ir import INDEX, Code, Index, Terms, Value, bytes_of
from .loops import elementwise
from .span import Array
from .transpose import copy
from .windows import meeting

BUDGET = 1 << 20
"""The bytes of packed rows that suit the second cache."""


@dataclass(frozen=True)
class Along:
    """One spatial axis: result r and tap t read the place r step + t dilation + first, if it exists.

    In the weights tap t is `tap[0] + t tap[1]`; in the result r is `out[0] + r out[1]`.
    """

    size: int
    count: int
    taps: int
    step: int = 1
    dilation: int = 1
    first: int = 0
    tap: tuple[int, int] = (0, 1)
    out: tuple[int, int] = (0, 1)

    @property
    def span(self) -> int:
        """The places from the first tap to the last one."""
        return (self.taps - 1) * self.dilation + 1

    @property
    def inside(self) -> bool:
        """Whether every result and tap read a place that exists."""
        return self.first >= 0 and (self.count - 1) * self.step + self.span + self.first <= self.size

    def taps_of(self, code: Code, result: Index) -> tuple[Index, Index]:
        """Return the first tap of a result that reads a place, and how many there are."""
        if self.inside:
            return 0, self.taps
        return meeting(code, result, self.step, self.dilation, self.taps, self.size, -self.first)

    def results_of(self, code: Code, tap: Index) -> tuple[Index, Index]:
        """Return the first result whose tap reads a place, and how many there are."""
        if self.inside:
            return 0, self.count
        return meeting(code, tap, self.dilation, self.step, self.count, self.size, -self.first)

    @property
    def residues(self) -> int:
        """How many rows of places lie one after the other in a packed row."""
        return self.step if self.taps > 1 else 1

    @property
    def places(self) -> int:
        """The packed places of a residue."""
        if self.residues == 1:
            return self.count if self.taps == 1 else self.count + self.span - 1
        return -(-((self.count - 1) * self.step + self.span) // self.step)

    def classes(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield (first tap, taps, step, packed places per step) of taps whose places lie evenly apart."""
        every = self.residues // math.gcd(self.residues, self.dilation)
        for tap in range(min(every, self.taps)):
            yield tap, -(-(self.taps - tap) // every), every, every * self.dilation // self.residues

    def packed(self, tap: int) -> int:
        """Return where the place of a tap of result 0 lies in a packed row."""
        row, place = (tap * self.dilation) % self.residues, (tap * self.dilation) // self.residues
        return row * self.places + place


TRIVIAL = Along(1, 1, 1)


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

    @property
    def slots(self) -> int:
        """The rows of the image that are kept."""
        return min((self.together - 1) * self.row.step + self.row.span, self.row.size)

    @property
    def strides(self) -> tuple[int, int, int, int]:
        """The elements from slot to slot, from plane to plane, channel to channel, place to place."""
        channel = self.place.residues * self.place.places * self.samples
        plane = channel * self.channels
        return plane * self.plane.taps, plane, channel, self.samples

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
        if not rows.place.inside or rows.place.residues > 1:
            whole = Array(base, rows.element, (1,))
            count = rows.bytes // self.size
            elementwise(code, (count,), [whole], [whole], lambda code, x: code.number(x.type, 0.0))

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
        _, level, channel, place = rows.strides
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
                low, high = self._existing(residue)
                if low >= high:
                    continue
                here = (along.first + residue + low * along.step) * sx * self.size
                there = (residue * along.places + low) * place * self.size
                shape = (rows.channels, high - low, rows.samples)
                copy(
                    code,
                    shape,
                    Array(code.at(line, (here, 1)), rows.element, (source.strides[0], along.step * sx, sn)),
                    Array(code.at(target, (there, 1)), rows.element, (channel, place, 1)),
                )

    def _existing(self, residue: int) -> tuple[int, int]:
        """Return the range of the packed places of a residue that exist in the image."""
        along = self.rows.place
        start = -along.first - residue
        low = max(-(-start // along.step), 0)
        high = min((start + along.size - 1) // along.step + 1, along.places)
        return low, high

    def address(self, row: Value, terms: Terms = ()) -> Value:
        """Return where a row of the image lies, if it is packed; the terms are in bytes."""
        code, slots = self.code, self.rows.slots
        slot = row if slots >= self.rows.row.size else code.new(INDEX, f"urem {row}, {slots}")
        return code.at(self.base, (slot, self.rows.strides[0] * self.size), *terms)


def blocks(samples: int, lanes: int, bytes_of_sample: int) -> list[tuple[int, int, int]]:
    """Cut the samples into (first, count, samples) of blocks whose packed rows stay in the cache."""
    most = max(BUDGET // max(bytes_of_sample, 1), 1)
    if samples <= max(most, lanes):
        return [(0, 1, samples)]
    unit = max(most // lanes, 1) * lanes
    even = next((n for n in range(unit, 0, -lanes) if samples % n == 0), unit)
    whole, rest = divmod(samples, even)
    return [part for part in ((0, whole, even), (whole * even, 1, rest)) if part[1] and part[2]]
