"""What every pooling over windows has: options, geometry and their errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from typing_extensions import override

from ...backends import Backend, OptionError
from ...backends.options import flag, shown
from ...backends.protocol import Shape
from ...backends.windows import Window
from ..module import Module
from ..window_options import Padding, Sizes, axes, described, numeric_sides, sizes


class Pool(Module):
    """One value for each window and channel: (N, C, *size) -> (N, C, *counts).

    Parameters
    ----------
    kernel_size
        One integer, or one for each spatial axis.
    stride
        The step from window to window; the kernel size if None.
    padding
        An integer, one for each spatial axis, or (before, after) for each: at most half the kernel.
    dilation
        The step from place to place within a window.
    ceil_mode
        Whether a window may end beyond the image. It must begin in the image or in the padding before it.
    wide_padding
        Whether padding may exceed half the kernel, as in ONNX; it must be less than the kernel's span.
    backend
        The backend; the current one if None.

    """

    rank: ClassVar[int]
    """The number of spatial axes."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Padding = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
        *,
        wide_padding: bool = False,
        backend: str | Backend | None = None,
    ) -> None:
        name = type(self).__name__
        super().__init__(backend)
        self.kernel_size = sizes(name, "kernel_size", kernel_size, self.rank)
        self.stride = self.kernel_size if stride is None else sizes(name, "stride", stride, self.rank)
        self.dilation = sizes(name, "dilation", dilation, self.rank)
        self.padding = numeric_sides(name, padding, (self.kernel_size, self.stride, self.dilation))
        self.ceil_mode = flag(name, "ceil_mode", ceil_mode)
        spans = tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel_size, strict=True))
        wide_padding = flag(name, "wide_padding", wide_padding)
        most = tuple(span - 1 if wide_padding else span // 2 for span in spans)
        if any(max(pair) > limit for pair, limit in zip(self.padding, most, strict=True)):
            limit = "less than" if wide_padding else "at most half"
            raise OptionError(
                f"{name}: expected padding of {limit} the kernel, which spans {spans}, got {shown(padding)}"
            )

    def window(self, shape: Shape) -> Window:
        """Return the windows over an input (N, C, *size); ShapeError if it does not fit."""
        if len(shape) != self.rank + 2:
            single = len(shape) == self.rank + 1
            advice = "; a single sample needs a batch axis" if single else ""
            raise self.misfit(f"(N, C, {axes(self.rank)})", shape, advice)
        padding = []
        for axis, size in enumerate(shape[2:]):
            before, after = self.padding[axis]
            span, stride = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1, self.stride[axis]
            least = max(span - before - after - (stride - 1 if self.ceil_mode else 0), 1)
            if size < least:
                why = f"for a kernel that spans {span}" + (
                    f" and padding {(before, after)}" if before or after else ""
                )
                why += f" and stride {stride}" if self.ceil_mode else ""
                raise self.misfit(f"with size at least {least} on axis {axis + 2} {why}", shape)
            if self.ceil_mode:
                after += _beyond(size, before, after, span, stride)
            padding.append((before, after))
        return Window.of(tuple(shape[2:]), self.kernel_size, self.stride, padding, self.dilation)

    @override
    def output_shape(self, shape: Shape) -> Shape:
        return (*shape[:2], *self.window(shape).counts)

    @override
    def extra_repr(self) -> str:
        return "x".join(map(str, self.kernel_size)) + described(
            stride=(self.stride, self.kernel_size),
            padding=(self.padding, 0),
            dilation=(self.dilation, 1),
            ceil_mode=(self.ceil_mode, False),
        )


def _beyond(size: int, before: int, after: int, span: int, stride: int) -> int:
    """Return how far the last window extends beyond the padded image with `ceil_mode`."""
    room = size + before + after - span
    count = -(-room // stride) + 1
    if (count - 1) * stride >= size + before:  # it would begin beyond the image
        count -= 1
    return max((count - 1) * stride - room, 0)


def parts(window: Window) -> Iterator[tuple[Shape, Shape, Shape]]:
    """Yield (starts, stops, steps) over the padded spatial axes, for each place in the kernel."""
    for _, places in window.offsets():
        yield (
            tuple(place.start for place in places),
            tuple(place.stop for place in places),
            tuple(place.step for place in places),
        )
