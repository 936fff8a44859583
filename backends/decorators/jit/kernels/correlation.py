"""`Correlation`: the extents of a convolution, and how its image lies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..ir import Value
from .along import TRIVIAL, Along
from .rows import Rows, blocks
from .span import Array, Span

Finish = Callable[[Value, Span], None]
"""Takes a vector of results; the span has the axes (output, plane, row, place, sample)."""
Part = tuple[int, int, int]
"""(first, count, size) of equal parts of an extent."""

_TOGETHER = 1 << 17
"""The bytes of packed rows up to which a few more are packed at a time."""
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
    apart: bool = False
    """Whether the places of a row are neighbours in memory, and not its samples."""

    @classmethod
    def of(
        cls, axes: Sequence[Along], samples: int, channels: int, outputs: int, *, apart: bool = False
    ) -> Correlation:
        """Return a correlation over one to three axes."""
        plane, row, place = (TRIVIAL,) * (3 - len(axes)) + tuple(axes)
        return cls((plane, row, place), samples, channels, outputs, apart)

    @property
    def taps(self) -> int:
        """The taps of all axes."""
        return math.prod(axis.taps for axis in self.axes)

    @property
    def empty(self) -> bool:
        """Whether there are no results."""
        return 0 in (self.samples, self.outputs, *(axis.count for axis in self.axes))

    def ordered(self) -> Correlation:
        """Return the same, reading packed rows whose places are in the image's order."""
        return replace(self, axes=(*self.axes[:2], replace(self.axes[2], ordered=True)))

    def rows(self, element: str, lanes: int, samples: int) -> Rows:
        """Return how rows are packed: if the samples are apart, several at a time, which lie side by side."""
        rows = Rows(*self.axes, self.channels, samples, element, lanes, apart=self.apart)
        return rows.several(_TOGETHER) if self.apart else rows

    @property
    def results(self) -> int:
        """The results for all outputs, places and samples."""
        return math.prod(axis.count for axis in self.axes) * self.samples * self.outputs

    def longest(self, parts: Sequence[Part], together: int) -> tuple[str, int]:
        """Return which loop the parts of a kernel share, and how many turns it takes."""
        plane, row, _ = self.axes
        found = {
            "rows": -(-row.count // together),
            "planes": plane.count,
            "blocks": sum(count for _, count, _ in parts),
        }
        return max(found.items(), key=lambda item: item[1])

    def parts(self, element: str, lanes: int, image: Array) -> list[Part]:
        """Return the samples in (first, count, samples) of blocks that are computed together."""
        if self.apart:
            return [(0, self.samples, 1)]
        if in_place(self, image):
            return [(0, 1, self.samples)]
        return blocks(self.samples, lanes, self.rows(element, lanes, 1).bytes)


def three(array: Array, lead: int) -> Array:
    """Return an array with axes (..., *spatial, last) as one of three spatial axes, behind `lead` others."""
    strides = array.strides
    missing = 4 + lead - len(strides)
    return replace(array, strides=(*strides[:lead], *(0,) * missing, *strides[lead:]))


def in_place(spec: Correlation, image: Array) -> bool:
    """Return whether rows are read where they lie in an image (channel, plane, row, place, sample)."""
    place = spec.axes[2]
    near = spec.channels <= _NEAR and place.step == 1 and place.inside and not spec.apart
    return not spec.taps or (near and image.strides[4] == 1 and image.strides[3] == spec.samples)
