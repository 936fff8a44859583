"""Smooth elementwise activations: no parameters, and the output has the input's shape (*)."""

from __future__ import annotations

from ...backends import Tensor
from ..module import Module


class Sigmoid(Module):
    """y = 1 / (1 + e^-x)."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (*) -> (*), within [0, 1]; no overflow."""
        y = self.backend.sigmoid(x)
        self.keep(y)
        return y

    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = g y (1 - y)."""
        (y,) = self.kept()
        return self.backend.sigmoid_grad(grad_output, y)


class Tanh(Module):
    """y = tanh x."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (*) -> (*), within [-1, 1]."""
        y = self.backend.tanh(x)
        self.keep(y)
        return y

    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = g (1 - y²)."""
        (y,) = self.kept()
        return self.backend.tanh_grad(grad_output, y)
