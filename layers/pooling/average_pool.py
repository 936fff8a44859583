"""Average pooling: the mean of each window."""

from __future__ import annotations

from typing_extensions import override

from ...backends import Backend, OptionError, Tensor
from ...backends.options import as_integer, flag, shown
from ...backends.windows import Window
from ..window_options import MOST, Padding, Sizes, described
from .pool import Pool, parts


class AvgPool(Pool):
    """y = the window's sum over its number of places; 0 for a window without any.

    Parameters
    ----------
    kernel_size, stride, padding, ceil_mode, wide_padding, backend
        As for every pooling.
    count_include_pad
        Whether padding counts among the places; places that `ceil_mode` adds never count.
    divisor_override
        The divisor, instead of the number of places.
    dilation
        The step from place to place within a window (ONNX has it, torch does not).

    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        *,
        dilation: Sizes = 1,
        wide_padding: bool = False,
        backend: str | Backend | None = None,
    ) -> None:
        super().__init__(
            kernel_size, stride, padding, dilation, ceil_mode, wide_padding=wide_padding, backend=backend
        )
        name, divisor = type(self).__name__, as_integer(divisor_override)
        if divisor_override is not None and (not divisor or abs(divisor) > MOST):
            raise OptionError(
                f"{name}: expected divisor_override to be an integer other than 0, at most {MOST}, "
                f"got {shown(divisor_override)}"
            )
        self.count_include_pad = flag(name, "count_include_pad", count_include_pad)
        self.divisor_override = divisor

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, *size) -> (N, C, *counts)."""
        b = self.backend
        shape, dtype = b.shape(x), self.check_floating(x)
        window = self.window(shape)
        self.keep(window, shape, dtype)
        if window.padded:
            x = b.pad(x, ((0, 0), (0, 0), *window.padding))
        total: Tensor | None = None
        for starts, stops, steps in parts(window):
            part = b.slice(x, (0, 0, *starts), (*shape[:2], *stops), steps=(1, 1, *steps))
            total = b.copy(part) if total is None else b.add(total, part, out=total)
        assert total is not None
        return b.divide(total, self._divisor(window, dtype), out=total)

    @override
    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = Σ g / (number of places), over the windows that contain x."""
        b = self.backend
        window, shape, dtype = self.kept()
        self.check_gradient(grad_output, (*shape[:2], *window.counts), dtype)
        share = b.divide(grad_output, self._divisor(window, dtype))
        image = b.full((*shape[:2], *window.padded_size), 0.0, dtype=dtype)
        for starts, stops, steps in parts(window):
            bounds = (0, 0, *starts), (*shape[:2], *stops)
            image = b.slice_add(image, share, *bounds, steps=(1, 1, *steps), out=image)
        if not window.padded:
            return image
        starts = (0, 0, *(before for before, _ in window.padding))
        return b.slice(image, starts, tuple(s + n for s, n in zip(starts, shape, strict=True)))

    def _divisor(self, window: Window, dtype: str) -> Tensor | float:
        """Return the number of places in each window: one number, or (*counts) if they differ."""
        if self.divisor_override is not None:
            return float(self.divisor_override)
        b = self.backend
        divisor: Tensor | float = 1.0
        for axis, (before, after) in enumerate(self.padding):
            low, high = (-before, after) if self.count_include_pad else (0, 0)
            valid = range(low, window.size[axis] + high)
            inside = []
            for i in range(window.counts[axis]):
                first = i * window.stride[axis] - before
                places = (first + j * window.dilation[axis] for j in range(window.kernel_size[axis]))
                inside.append(float(sum(place in valid for place in places)) or 1.0)
            if len(set(inside)) == 1:
                divisor = (
                    inside[0] * divisor if isinstance(divisor, float) else b.multiply(divisor, inside[0])
                )
            else:
                shape = tuple(-1 if other == axis else 1 for other in range(self.rank))
                along = b.reshape(b.from_host(inside, dtype=dtype), shape)
                divisor = b.multiply(along, divisor)
        return divisor

    @override
    def extra_repr(self) -> str:
        return super().extra_repr() + described(
            count_include_pad=(self.count_include_pad, True), divisor_override=(self.divisor_override, None)
        )


class AvgPool1d(AvgPool):
    """Average pooling over (N, C, L)."""

    rank = 1


class AvgPool2d(AvgPool):
    """Average pooling over (N, C, H, W)."""

    rank = 2


class AvgPool3d(AvgPool):
    """Average pooling over (N, C, D, H, W)."""

    rank = 3
