"""Piecewise linear activations, elementwise: no parameters, and the output has the input's shape (*)."""

from __future__ import annotations

from typing_extensions import override

from ...backends import Backend, OptionError, Tensor
from ...backends.options import number
from ..module import Module


class ReLU(Module):
    """y = max(x, 0)."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (*) -> (*). NaN goes through."""
        y = self.backend.relu(x)
        self.keep(y)
        return y

    @override
    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = g where y > 0, else 0: the derivative at 0 is 0."""
        (y,) = self.kept()
        return self.backend.relu_grad(grad_output, y)


class LeakyReLU(Module):
    """y = x where x > 0, else negative_slope x."""

    def __init__(self, negative_slope: float = 0.01, *, backend: str | Backend | None = None) -> None:
        super().__init__(backend)
        self.negative_slope = number("LeakyReLU", "negative_slope", negative_slope)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (*) -> (*)."""
        self.keep(x)
        return self.backend.leaky_relu(x, self.negative_slope)

    @override
    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = g where x > 0, else negative_slope g: the derivative at 0 is the slope."""
        (x,) = self.kept()
        return self.backend.leaky_relu_grad(grad_output, x, self.negative_slope)

    @override
    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class Hardtanh(Module):
    """y = min(max(x, min_val), max_val)."""

    def __init__(
        self, min_val: float = -1.0, max_val: float = 1.0, *, backend: str | Backend | None = None
    ) -> None:
        super().__init__(backend)
        name = type(self).__name__
        self.min_val = number(name, "min_val", min_val, infinite=True)
        self.max_val = number(name, "max_val", max_val, infinite=True)
        if not self.min_val < self.max_val:
            got = f"{self.min_val:g} and {self.max_val:g}"
            raise OptionError(f"{name}: expected min_val below max_val, got {got}")

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (*) -> (*). NaN goes through."""
        b = self.backend
        self.keep(x)
        below = b.where(b.less_equal(self.max_val, x), self.max_val, x)
        return b.where(b.less_equal(x, self.min_val), self.min_val, below)

    @override
    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = g where min_val < x < max_val, else 0: at both bounds, too."""
        b = self.backend
        (x,) = self.kept()
        self.check_gradient(grad_output, b.shape(x), b.dtype(x))
        below = b.where(b.less_equal(self.max_val, x), 0.0, grad_output)
        return b.where(b.less_equal(x, self.min_val), 0.0, below)

    @override
    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}"


class ReLU6(Hardtanh):
    """y = min(max(x, 0), 6) (Krizhevsky 2010)."""

    def __init__(self, *, backend: str | Backend | None = None) -> None:
        super().__init__(0.0, 6.0, backend=backend)

    @override
    def extra_repr(self) -> str:
        return ""
