"""Adaptive average pooling: the means of a fixed number of parts, for images of any size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from typing_extensions import override

from ...backends import Backend, OptionError, Tensor
from ...backends.options import as_integer
from ...backends.protocol import Shape
from ..module import Module
from ..window_options import axes


class AdaptiveAvgPool(Module):
    """y = P x along each spatial axis: part i is the mean of the places from ⌊i n / m⌋ to ⌈(i + 1) n / m⌉.

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
        entries = output_size if isinstance(output_size, Sequence) else (output_size,) * self.rank
        numbers = tuple(None if n is None else as_integer(n) or 0 for n in entries)
        if len(numbers) != self.rank or not all(n is None or n >= 1 for n in numbers):
            raise OptionError(
                f"{type(self).__name__}: expected output_size to be an integer of at least 1, None, or "
                f"{self.rank} of these, got {output_size!r}"
            )
        self.output_size = numbers

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, *size) -> (N, C, *output_size)."""
        shape = self.backend.shape(x)
        y_shape = self.output_shape(shape)
        self.keep(shape, y_shape)
        if all(parts == 1 for parts in y_shape[2:]):
            return self.backend.mean(x, axis=tuple(range(2, len(shape))), keepdims=True)
        for axis in range(2, len(shape)):
            x = self._along(x, axis, shape[axis], y_shape[axis], transposed=True)
        return x

    @override
    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = Pᵀ g along each spatial axis."""
        shape, y_shape = self.kept()
        self.check_gradient(grad_output, y_shape)
        if all(parts == 1 for parts in y_shape[2:]):
            b = self.backend
            return b.broadcast_to(b.divide(grad_output, float(math.prod(shape[2:]))), shape)
        for axis in range(2, len(shape)):
            grad_output = self._along(grad_output, axis, shape[axis], y_shape[axis], transposed=False)
        return grad_output

    def _along(self, x: Tensor, axis: int, size: int, parts: int, *, transposed: bool) -> Tensor:
        """Return x times P (parts, size), or its transpose, along an axis."""
        b = self.backend
        if size == parts:
            return x
        matrix = b.from_host(self.matrix(size, parts), dtype=b.dtype(x))
        if transposed:
            matrix = b.permute_dims(matrix, (1, 0))
        rank = self.rank + 2
        order = (*(a for a in range(rank) if a != axis), axis)
        back = tuple(order.index(a) for a in range(rank))
        return b.permute_dims(b.matmul(b.permute_dims(x, order), matrix), back)

    @staticmethod
    def matrix(size: int, parts: int) -> list[list[float]]:
        """Return P (parts, size): each row holds the weights of one mean."""
        rows = []
        for i in range(parts):
            first, last = i * size // parts, -(-(i + 1) * size // parts)
            rows.append([1.0 / (last - first) if first <= j < last else 0.0 for j in range(size)])
        return rows

    @override
    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != self.rank + 2 or 0 in shape[2:]:
            raise self.misfit(f"(N, C, {axes(self.rank)}) with at least one place", shape)
        wanted = (n if m is None else m for n, m in zip(shape[2:], self.output_size, strict=True))
        return (*shape[:2], *wanted)

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
