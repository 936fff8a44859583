"""Layers that change the shape and compute nothing."""

from __future__ import annotations

import math

from typing_extensions import override

from ..backends import Backend, Tensor
from ..backends.options import integer
from ..backends.protocol import Shape
from .module import Module


class Flatten(Module):
    """Join the axes from start_dim to end_dim into one."""

    def __init__(
        self, start_dim: int = 1, end_dim: int = -1, *, backend: str | Backend | None = None
    ) -> None:
        super().__init__(backend)
        self.start_dim = integer("Flatten", "start_dim", start_dim, least=None)
        self.end_dim = integer("Flatten", "end_dim", end_dim, least=None)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, ...) -> (N, C * ...), by default."""
        shape = self.backend.shape(x)
        y_shape = self.output_shape(shape)
        self.keep(shape, y_shape, self.backend.dtype(x))
        return self.backend.reshape(x, y_shape)

    @override
    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = g in x's shape."""
        shape, y_shape, dtype = self.kept()
        self.check_gradient(grad_output, y_shape, dtype)
        return self.backend.reshape(grad_output, shape)

    @override
    def output_shape(self, shape: Shape) -> Shape:
        rank = len(shape)
        if rank == 1 and self.start_dim == 1 and self.end_dim == -1:
            return (*shape, 1)  # (N,) is N samples of one value
        if not (-rank <= self.start_dim < rank and -rank <= self.end_dim < rank):
            raise self.misfit(f"with axes {self.start_dim} and {self.end_dim}", shape)
        start, end = self.start_dim % rank, self.end_dim % rank
        if start > end:
            raise self.misfit(f"with axis {self.start_dim} before axis {self.end_dim}", shape)
        return (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])

    @override
    def extra_repr(self) -> str:
        default = (self.start_dim, self.end_dim) == (1, -1)
        return "" if default else f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """y = x."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (*) -> (*)."""
        b = self.backend
        self.keep(b.shape(x), b.dtype(x))
        return x

    @override
    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = g."""
        self.check_gradient(grad_output, *self.kept())
        return grad_output
