"""The geometry of `unfold` and `fold`: where each window of an image starts, in 1 to 4 spatial axes."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .errors import OptionError, ShapeError

Extents = tuple[int, ...]


@dataclass(frozen=True)
class Window:
    """Windows of `kernel_size` over a spatial `size`, both tuples of one extent per axis."""

    size: Extents
    kernel_size: Extents
    stride: Extents
    padding: tuple[tuple[int, int], ...]
    dilation: Extents
    counts: Extents
    """How many windows fit along each axis."""

    @staticmethod
    def of(
        size: Extents,
        kernel_size: Extents,
        stride: Extents | None = None,
        padding: Sequence[tuple[int, int]] | None = None,
        dilation: Extents | None = None,
    ) -> Window:
        """Return the (cached) geometry; a ShapeError or OptionError says what does not fit."""
        ones = (1,) * len(kernel_size)
        sides = ((0, 0),) * len(kernel_size) if padding is None else tuple((a, b) for a, b in padding)
        return _window(tuple(size), tuple(kernel_size), stride or ones, sides, dilation or ones)

    @property
    def positions(self) -> int:
        """L, the number of windows."""
        return math.prod(self.counts)

    @property
    def padded(self) -> bool:
        """Whether there is any padding."""
        return any(before or after for before, after in self.padding)

    @property
    def padded_size(self) -> Extents:
        """The spatial size with its padding."""
        return tuple(n + a + b for n, (a, b) in zip(self.size, self.padding, strict=True))

    def view(self, strides: Sequence[int]) -> tuple[Extents, Extents]:
        """Return (shape, strides) of the view (*kernel_size, *counts), given the padded image's strides."""
        inside = tuple(s * d for s, d in zip(strides, self.dilation, strict=True))
        between = tuple(s * t for s, t in zip(strides, self.stride, strict=True))
        return self.kernel_size + self.counts, inside + between

    def interior(self) -> tuple[slice, ...]:
        """Return the slices of the padded image that hold the image."""
        return tuple(slice(a, a + n) for n, (a, _) in zip(self.size, self.padding, strict=True))

    def offsets(self) -> Iterator[tuple[Extents, tuple[slice, ...]]]:
        """Yield each place in the kernel with the slices of the padded image that it touches."""
        for place in itertools.product(*map(range, self.kernel_size)):
            yield (
                place,
                tuple(
                    slice(p * d, p * d + (n - 1) * s + 1, s)
                    for p, d, s, n in zip(place, self.dilation, self.stride, self.counts, strict=True)
                ),
            )


@functools.lru_cache(maxsize=1024)
def _window(
    size: Extents,
    kernel_size: Extents,
    stride: Extents,
    padding: tuple[tuple[int, int], ...],
    dilation: Extents,
) -> Window:
    rank = len(size)
    for option, value in (
        ("kernel_size", kernel_size),
        ("stride", stride),
        ("padding", padding),
        ("dilation", dilation),
    ):
        if len(value) != rank:
            raise OptionError(f"{option}: expected {rank} entries for a spatial size {size}, got {value}")
    for option, extents in (("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation)):
        if min(extents) < 1:
            raise OptionError(f"{option}: every entry must be at least 1, got {extents}")
    if min(min(sides) for sides in padding) < 0:
        raise OptionError(f"padding: every entry must be at least 0, got {padding}")
    span = tuple(d * (k - 1) + 1 for k, d in zip(kernel_size, dilation, strict=True))
    full = tuple(n + a + b for n, (a, b) in zip(size, padding, strict=True))
    if any(s > n for s, n in zip(span, full, strict=True)):
        raise ShapeError(f"the kernel spans {span}, more than the padded input {full}")
    counts = tuple((n - s) // t + 1 for n, s, t in zip(full, span, stride, strict=True))
    return Window(size, kernel_size, stride, padding, dilation, counts)
