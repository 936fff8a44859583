"""Piecewise linear activations, elementwise: no parameters, and the output has the input's shape (*)."""

from __future__ import annotations

from ...backends import Backend, OptionError, Tensor
from ..module import Module


class ReLU(Module):
    """y = max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (*) -> (*). NaN goes through."""
        y = self.backend.relu(x)
        self.keep(y)
        return y

    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = g where y > 0, else 0: the derivative at 0 is 0."""
        (y,) = self.kept()
        return self.backend.relu_grad(grad_output, y)


class LeakyReLU(Module):
    """y = x where x > 0, else negative_slope x."""

    def __init__(self, negative_slope: float = 0.01, *, backend: str | Backend | None = None) -> None:
        if not isinstance(negative_slope, (int, float)):
            raise OptionError(f"LeakyReLU: negative_slope must be a number, got {negative_slope!r}")
        super().__init__(backend)
        self.negative_slope = float(negative_slope)

    def forward(self, x: Tensor) -> Tensor:
        """x: (*) -> (*)."""
        self.keep(x)
        return self.backend.leaky_relu(x, self.negative_slope)

    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = g where x > 0, else negative_slope g: the derivative at 0 is the slope."""
        (x,) = self.kept()
        return self.backend.leaky_relu_grad(grad_output, x, self.negative_slope)

    def extra_repr(self) -> str:
        """The slope."""
        return f"negative_slope={self.negative_slope}"
