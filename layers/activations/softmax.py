"""Softmax and its logarithm, along one axis."""

from __future__ import annotations

from typing_extensions import override

from ...backends import Backend, Tensor
from ...backends.options import integer
from ...backends.protocol import Shape
from ..module import Module


class _AlongAxis(Module):
    def __init__(self, dim: int = -1, *, backend: str | Backend | None = None) -> None:
        super().__init__(backend)
        self.dim = integer(type(self).__name__, "dim", dim, least=None)

    @override
    def output_shape(self, shape: Shape) -> Shape:
        if not -len(shape) <= self.dim < len(shape):
            raise self.misfit(f"with an axis {self.dim}", shape)
        return shape

    @override
    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(_AlongAxis):
    """y = e^x / Σ e^x along `dim`."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (*) -> (*), positive and summing to 1 along dim."""
        self.output_shape(self.backend.shape(x))
        y = self.backend.softmax(x, axis=self.dim)
        self.keep(y)
        return y

    @override
    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = y (g - Σ g y)."""
        (y,) = self.kept()
        return self.backend.softmax_grad(grad_output, y, axis=self.dim)


class LogSoftmax(_AlongAxis):
    """y = x - ln Σ e^x along `dim`."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (*) -> (*)."""
        self.output_shape(self.backend.shape(x))
        y = self.backend.log_softmax(x, axis=self.dim)
        self.keep(y)
        return y

    @override
    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = g - e^y Σ g."""
        (y,) = self.kept()
        return self.backend.log_softmax_grad(grad_output, y, axis=self.dim)
