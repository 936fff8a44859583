"""`Window`: the geometry of `unfold`, `fold` and pooling, over 1 to 4 spatial axes."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from .errors import OptionError, ShapeError

Extents = tuple[int, ...]
Sides = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Window:
    """A kernel that slides over an image of one spatial size. Every tuple has one entry per axis.

    Make one with `Window.of`, which fills in the defaults and checks that the kernel fits.
    """

    size: Extents
    """The spatial size of the image, without padding."""
    kernel_size: Extents
    stride: Extents
    padding: Sides
    """Padding (before, after)."""
    dilation: Extents

    @staticmethod
    def of(
        size: Sequence[int],
        kernel_size: Sequence[int],
        stride: Sequence[int] | None = None,
        padding: Sequence[tuple[int, int]] | None = None,
        dilation: Sequence[int] | None = None,
    ) -> Window:
        """Return the window; stride and dilation are 1 and padding is 0 by default.

        Raises ShapeError if the kernel is larger than the padded image, OptionError for a bad option.
        """
        ones = (1,) * len(kernel_size)
        sides = ((0, 0),) * len(ones) if padding is None else tuple((a, b) for a, b in padding)
        stride, dilation = ones if stride is None else stride, ones if dilation is None else dilation
        return _checked(tuple(size), tuple(kernel_size), tuple(stride), sides, tuple(dilation))

    @cached_property
    def span(self) -> Extents:
        """How many places the dilated kernel covers along each axis."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True))

    @cached_property
    def counts(self) -> Extents:
        """How many windows fit along each axis."""
        extents = zip(self.padded_size, self.span, self.stride, strict=True)
        return tuple((n - span) // stride + 1 for n, span, stride in extents)

    @cached_property
    def places(self) -> int:
        """K, the number of places in the kernel."""
        return math.prod(self.kernel_size)

    @cached_property
    def positions(self) -> int:
        """L, the number of windows."""
        return math.prod(self.counts)

    @cached_property
    def padded(self) -> bool:
        """Whether there is any padding."""
        return any(before or after for before, after in self.padding)

    @cached_property
    def padded_size(self) -> Extents:
        """The spatial size with its padding."""
        return tuple(n + a + b for n, (a, b) in zip(self.size, self.padding, strict=True))

    @property
    def image_places(self) -> int:
        """The number of places in an image, without padding."""
        return math.prod(self.size)

    @property
    def pointwise(self) -> bool:
        """Whether the windows are the places of the image, one each."""
        return self.places == math.prod(self.stride) == 1 and not self.padded

    @property
    def overlapping(self) -> bool:
        """Whether two windows can share a place."""
        return any(stride < span for stride, span in zip(self.stride, self.span, strict=True))

    @cached_property
    def hollow(self) -> bool:
        """Whether some window lies between or beyond the places of the image, and has none of them."""
        return any(
            not any(0 <= i * stride + k * step - before < n for k in range(kernel))
            for n, kernel, stride, step, (before, _), count in zip(
                self.size,
                self.kernel_size,
                self.stride,
                self.dilation,
                self.padding,
                self.counts,
                strict=True,
            )
            for i in range(count)
        )

    @property
    def over_padded(self) -> Window:
        """The same windows over an image that has its padding already."""
        return Window.of(self.padded_size, self.kernel_size, self.stride, None, self.dilation)

    # -- shapes ------------------------------------------------------------------------------------

    def windows_of(self, op: str, shape: Sequence[int]) -> Extents:
        """(N, C, *size) -> (N, C, *counts); ShapeError for another shape."""
        if len(shape) != len(self.size) + 2 or tuple(shape[2:]) != self.size:
            wanted = f"(N, C, {', '.join(map(str, self.size))})"
            raise ShapeError(f"{op}: expected x of shape {wanted} for its window, got {tuple(shape)}")
        return (*shape[:2], *self.counts)

    def columns_of(self, op: str, shape: Sequence[int]) -> Extents:
        """(N, C, *size) -> (N, C K, L), the shape that `unfold` makes; ShapeError for another shape."""
        samples, channels, *_ = self.windows_of(op, shape)
        return samples, channels * self.places, self.positions

    def image_of(self, op: str, shape: Sequence[int]) -> Extents:
        """(N, C K, L) -> (N, C, *size), the shape that `fold` makes; ShapeError for another shape."""
        if len(shape) != 3 or shape[1] % self.places or shape[2] != self.positions:
            wanted = f"(N, C * {self.places}, {self.positions})"
            raise ShapeError(f"{op}: expected columns of shape {wanted} for its window, got {tuple(shape)}")
        return shape[0], shape[1] // self.places, *self.size

    # -- for backends with strides and slices --------------------------------------------------------

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


def check_window(op: str, window: object) -> None:
    """Raise OptionError unless an op is given a window."""
    if type(window) is not Window:
        raise OptionError(f"{op}: expected a Window, got {window!r}; make one with Window.of")


@functools.lru_cache(maxsize=1024)
def _checked(
    size: Extents, kernel_size: Extents, stride: Extents, padding: Sides, dilation: Extents
) -> Window:
    rank = len(size)
    options = {"kernel_size": kernel_size, "stride": stride, "dilation": dilation}
    for option, entries in (options | {"padding": padding}).items():
        if len(entries) != rank:
            raise OptionError(f"{option}: expected {rank} entries for a spatial size {size}, got {entries}")
    for option, extents in options.items():
        if min(extents) < 1:
            raise OptionError(f"{option}: expected entries of at least 1, got {extents}")
    if min(min(sides) for sides in padding) < 0:
        raise OptionError(f"padding: expected entries of at least 0, got {padding}")
    window = Window(size, kernel_size, stride, padding, dilation)
    if any(span > n for span, n in zip(window.span, window.padded_size, strict=True)):
        raise ShapeError(
            f"expected a padded input of at least {window.span}, which the kernel spans, "
            f"got {window.padded_size}"
        )
    return window
