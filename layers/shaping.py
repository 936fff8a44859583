"""Layers that move values about without computing any."""

from __future__ import annotations

import math

from ..backends import Backend, Tensor
from ..backends.protocol import Shape
from .module import Module


class Flatten(Module):
    """Join the axes from start_dim to end_dim into one."""

    def __init__(
        self, start_dim: int = 1, end_dim: int = -1, *, backend: str | Backend | None = None
    ) -> None:
        super().__init__(backend)
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, ...) -> (N, C * ...), by default."""
        shape = self.backend.shape(x)
        self.keep(shape)
        return self.backend.reshape(x, self.output_shape(shape))

    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = g in x's shape."""
        (shape,) = self.kept()
        return self.backend.reshape(grad_output, shape)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape with the axes joined."""
        rank = len(shape)
        if rank == 1 and self.start_dim == 1 and self.end_dim == -1:
            return (*shape, 1)  # (N,) is N samples of one value
        if not (-rank <= self.start_dim < rank and -rank <= self.end_dim < rank):
            raise self.misfit(f"with axes {self.start_dim} and {self.end_dim}", shape)
        start, end = self.start_dim % rank, self.end_dim % rank
        if start > end:
            raise self.misfit(f"with axis {self.start_dim} before axis {self.end_dim}", shape)
        return (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])

    def extra_repr(self) -> str:
        """The axes, where they are not the default."""
        default = (self.start_dim, self.end_dim) == (1, -1)
        return "" if default else f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """y = x."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (*) -> (*)."""
        self.keep()
        return x

    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = g."""
        self.kept()
        return grad_output
