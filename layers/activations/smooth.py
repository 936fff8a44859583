"""Smooth elementwise activations: no parameters, and the output has the input's shape (*)."""

from __future__ import annotations

import math

from typing_extensions import override

from ...backends import Backend, Tensor
from ...backends.options import choice, number
from ..module import Module


class Sigmoid(Module):
    """y = 1 / (1 + e^-x)."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (*) -> (*), within [0, 1]; no overflow."""
        y = self.backend.sigmoid(x)
        self.keep(y)
        return y

    @override
    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = g y (1 - y)."""
        (y,) = self.kept()
        return self.backend.sigmoid_grad(grad_output, y)


class Tanh(Module):
    """y = tanh x."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (*) -> (*), within [-1, 1]."""
        y = self.backend.tanh(x)
        self.keep(y)
        return y

    @override
    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = g (1 - y²)."""
        (y,) = self.kept()
        return self.backend.tanh_grad(grad_output, y)


class ELU(Module):
    """y = x where x > 0, else α (e^x - 1) (Clevert et al. 2016)."""

    def __init__(self, alpha: float = 1.0, *, backend: str | Backend | None = None) -> None:
        super().__init__(backend)
        self.alpha = number("ELU", "alpha", alpha)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (*) -> (*)."""
        b = self.backend
        above = b.greater(x, 0.0)
        below = b.where(above, 0.0, x)
        self.keep(above, below)
        return b.where(above, x, b.multiply(b.expm1(below), self.alpha))

    @override
    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = g where x > 0, else g α e^x."""
        b = self.backend
        above, below = self.kept()
        self.check_gradient(grad_output, b.shape(below))
        slope = b.multiply(b.multiply(grad_output, b.exp(below)), self.alpha)
        return b.where(above, grad_output, slope)

    @override
    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class SELU(Module):
    """y = s x where x > 0, else s α (e^x - 1); s and α keep mean 0 and variance 1 (Klambauer et al. 2017)."""

    alpha = 1.6732632423543772848170429916717
    scale = 1.0507009873554804934193349852946

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (*) -> (*)."""
        b = self.backend
        above = b.greater(x, 0.0)
        below = b.where(above, 0.0, x)
        self.keep(above, below)
        negative = b.multiply(b.expm1(below), self.alpha * self.scale)
        return b.where(above, b.multiply(x, self.scale), negative)

    @override
    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = s g where x > 0, else s α g e^x."""
        b = self.backend
        above, below = self.kept()
        self.check_gradient(grad_output, b.shape(below))
        slope = b.multiply(b.multiply(grad_output, b.exp(below)), self.alpha * self.scale)
        return b.where(above, b.multiply(grad_output, self.scale), slope)


class GELU(Module):
    """y = x Φ(x), Φ the distribution function of the normal distribution (Hendrycks & Gimpel 2016).

    `approximate`: with "none", Φ(x) = (1 + erf(x / √2)) / 2; with "tanh", Φ(x) is replaced by
    (1 + tanh u) / 2, u = √(2/π) (x + 0.044715 x³).
    """

    _factor = math.sqrt(2.0 / math.pi)
    _cubic = 0.044715

    def __init__(self, approximate: str = "none", *, backend: str | Backend | None = None) -> None:
        super().__init__(backend)
        self.approximate = choice("GELU", "approximate", approximate, ("none", "tanh"))

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (*) -> (*)."""
        b = self.backend
        if self.approximate == "none":
            t = b.erf(b.multiply(x, math.sqrt(0.5)))
        else:
            cube = b.multiply(b.square(x), x)
            t = b.tanh(b.multiply(b.add_scaled(x, cube, self._cubic), self._factor))
        self.keep(x, t)
        return b.multiply(b.multiply(x, 0.5), b.add(t, 1.0))

    @override
    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = g (Φ + x Φ'), Φ = (1 + t) / 2 and t the erf or the tanh.

        2 Φ' is √(2/π) e^(-x²/2), or (1 - t²) u' with u' = √(2/π) (1 + 3 0.044715 x²).
        """
        b = self.backend
        x, t = self.kept()
        self.check_gradient(grad_output, b.shape(x))
        square = b.square(x)
        if self.approximate == "none":
            density = b.multiply(b.exp(b.multiply(square, -0.5)), self._factor)
        else:
            inner = b.multiply(b.add(b.multiply(square, 3.0 * self._cubic), 1.0), self._factor)
            density = b.multiply(b.subtract(1.0, b.square(t)), inner)
        slope = b.add(b.multiply(b.multiply(x, 0.5), density), b.multiply(b.add(t, 1.0), 0.5))
        return b.multiply(grad_output, slope)

    @override
    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """y = ln(1 + e^βx) / β; y = x where βx > threshold."""

    def __init__(
        self, beta: float = 1.0, threshold: float = 20.0, *, backend: str | Backend | None = None
    ) -> None:
        super().__init__(backend)
        self.beta = number("Softplus", "beta", beta, above=0)
        self.threshold = number("Softplus", "threshold", threshold, infinite=True)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (*) -> (*)."""
        b = self.backend
        scaled = b.multiply(x, self.beta)
        linear = b.greater(scaled, self.threshold)
        self.keep(scaled, linear)
        return b.where(linear, x, b.divide(b.softplus(scaled), self.beta))

    @override
    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = g σ(βx); g where βx > threshold."""
        b = self.backend
        scaled, linear = self.kept()
        self.check_gradient(grad_output, b.shape(scaled))
        return b.where(linear, grad_output, b.multiply(grad_output, b.sigmoid(scaled)))

    @override
    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class SiLU(Module):
    """y = x σ(x) (Elfwing et al. 2018; swish)."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (*) -> (*)."""
        s = self.backend.sigmoid(x)
        self.keep(x, s)
        return self.backend.multiply(x, s)

    @override
    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = g σ (1 + x (1 - σ)), σ = σ(x)."""
        b = self.backend
        x, s = self.kept()
        self.check_gradient(grad_output, b.shape(x))
        slope = b.multiply(s, b.add(b.multiply(x, b.subtract(1.0, s)), 1.0))
        return b.multiply(grad_output, slope)
