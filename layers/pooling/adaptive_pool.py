"""Adaptive average pooling: the means of a fixed number of parts, for images of any size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from typing_extensions import override

from ...backends import Backend, OptionError, Tensor
from ...backends.options import as_integer, entries, shown
from ...backends.protocol import Shape
from ..cell import MOST
from ..module import Module
from ..window_options import axes, limited


class AdaptiveAvgPool(Module):
    """y = P x along each spatial axis: part i is the mean of places ⌊i n / m⌋ up to ⌈(i + 1) n / m⌉.

    Parameters
    ----------
    output_size
        m: one integer, or one for each spatial axis; None for the input's size. 1 is global pooling.
    backend
        The backend; the current one if None.

    """

    rank: ClassVar[int]
    """The number of spatial axes."""

    def __init__(
        self, output_size: int | Sequence[int | None] | None, *, backend: str | Backend | None = None
    ) -> None:
        super().__init__(backend)
        each = entries(output_size, self.rank)
        numbers = tuple(None if n is None else as_integer(n) or 0 for n in each)
        if len(numbers) != self.rank or not all(n is None or n >= 1 for n in numbers):
            raise OptionError(
                f"{type(self).__name__}: expected output_size to be an integer of at least 1, None, or "
                f"{self.rank} of these, got {shown(output_size)}"
            )
        limited(type(self).__name__, "output_size", output_size, tuple(n for n in numbers if n is not None))
        self.output_size = numbers

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, *size) -> (N, C, *output_size)."""
        shape, dtype = self.backend.shape(x), self.check_floating(x)
        y_shape = self.output_shape(shape)
        self.keep(shape, y_shape, dtype)
        if all(parts == 1 for parts in y_shape[2:]):
            return self.backend.mean(x, axis=tuple(range(2, len(shape))), keepdims=True)
        for axis in range(2, len(shape)):
            x = self._means(x, axis, y_shape[axis])
        return x

    @override
    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = Pᵀ g along each spatial axis."""
        shape, y_shape, dtype = self.kept()
        self.check_gradient(grad_output, y_shape, dtype)
        if all(parts == 1 for parts in y_shape[2:]):
            b = self.backend
            return b.broadcast_to(b.divide(grad_output, float(math.prod(shape[2:]))), shape)
        for axis in range(2, len(shape)):
            grad_output = self._shares(grad_output, axis, shape[axis])
        return grad_output

    # Each part is sliced: a product with P would make NaN of 0 times infinity.

    def _means(self, x: Tensor, axis: int, parts: int) -> Tensor:
        """Return P x along an axis."""
        b = self.backend
        shape = b.shape(x)
        before, size, after = shape[:axis], shape[axis], shape[axis + 1 :]
        if size == parts:
            return x
        if size % parts == 0:
            return b.mean(b.reshape(x, (*before, parts, size // parts, *after)), axis=axis + 1)
        start, stop = (0,) * axis, (0,) * len(after)
        means = []
        for first, last in self.bounds(size, parts):
            part = b.slice(x, (*start, first, *stop), (*before, last, *after))
            means.append(b.mean(part, axis=axis, keepdims=True))
        return b.concat(means, axis=axis)

    def _shares(self, grad: Tensor, axis: int, size: int) -> Tensor:
        """Return Pᵀ g along an axis."""
        b = self.backend
        shape = b.shape(grad)
        before, parts, after = shape[:axis], shape[axis], shape[axis + 1 :]
        if size == parts:
            return grad
        if size % parts == 0:
            share = b.divide(b.reshape(grad, (*before, parts, 1, *after)), float(size // parts))
            return b.reshape(
                b.broadcast_to(share, (*before, parts, size // parts, *after)), (*before, size, *after)
            )
        image = b.full((*before, size, *after), 0.0, dtype=b.dtype(grad))
        start, stop = (0,) * axis, (0,) * len(after)
        for i, (first, last) in enumerate(self.bounds(size, parts)):
            part = b.slice(grad, (*start, i, *stop), (*before, i + 1, *after))
            share = b.broadcast_to(b.divide(part, float(last - first)), (*before, last - first, *after))
            image = b.slice_add(image, share, (*start, first, *stop), (*before, last, *after), out=image)
        return image

    @staticmethod
    def bounds(size: int, parts: int) -> list[tuple[int, int]]:
        """Return the first place of each part, and the place after its last."""
        return [(i * size // parts, -(-(i + 1) * size // parts)) for i in range(parts)]

    @override
    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != self.rank + 2 or 0 in shape[2:]:
            raise self.misfit(f"(N, C, {axes(self.rank)}) with at least one place", shape)
        wanted = (n if m is None else m for n, m in zip(shape[2:], self.output_size, strict=True))
        y_shape = (*shape[:2], *wanted)
        if math.prod(y_shape) > MOST:
            raise self.misfit(f"whose output {y_shape} has at most {MOST:,} elements", shape)
        return y_shape

    @override
    def extra_repr(self) -> str:
        return str(self.output_size[0] if len(set(self.output_size)) == 1 else self.output_size)


class AdaptiveAvgPool1d(AdaptiveAvgPool):
    """Adaptive average pooling over (N, C, L)."""

    rank = 1


class AdaptiveAvgPool2d(AdaptiveAvgPool):
    """Adaptive average pooling over (N, C, H, W)."""

    rank = 2


class AdaptiveAvgPool3d(AdaptiveAvgPool):
    """Adaptive average pooling over (N, C, D, H, W)."""

    rank = 3
