"""Group normalisation (Wu & He 2018): each sample over groups of channels."""

from __future__ import annotations

import math

from typing_extensions import override

from ...backends import Backend, OptionError, Tensor
from ...backends.options import flag, integer, number
from ...backends.protocol import Shape
from ..initializers import Constant
from ..module import Module
from ..parameter import Parameter


class GroupNorm(Module):
    """y = γ x̂ + β, x̂ = (x - mean) / √(var + ε) over a group of channels and all places of a sample.

    Parameters
    ----------
    num_groups, num_channels
        The C channels are split into groups; γ and β have one element for each channel.
    eps
        ε, inside the root.
    affine, bias
        Whether to use γ, and β with it.
    backend
        The backend that computes; the current one if None.

    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        bias: bool = True,
        backend: str | Backend | None = None,
    ) -> None:
        num_groups = integer("GroupNorm", "num_groups", num_groups)
        num_channels = integer("GroupNorm", "num_channels", num_channels)
        if num_channels % num_groups:
            raise OptionError(
                f"GroupNorm: expected num_groups to divide num_channels={num_channels}, got {num_groups}"
            )
        super().__init__(backend)
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps = number("GroupNorm", "eps", eps, least=0)
        affine, bias = flag("GroupNorm", "affine", affine), flag("GroupNorm", "bias", bias)
        self.weight = self.parameter((num_channels,), Constant(1.0)) if affine else None
        self.bias = self.parameter((num_channels,), Constant(0.0)) if affine and bias else None

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, *size) -> (N, C, *size)."""
        b = self.backend
        shape = self.output_shape(b.shape(x))
        grouped = b.reshape(x, self._grouped(shape))
        weight, bias = self._wide(self.weight), self._wide(self.bias)
        y, mean, inverse = b.normalize(grouped, weight, bias, axis=(2, 3), epsilon=self.eps)
        self.keep(grouped, mean, inverse, shape)
        return b.reshape(y, shape)

    @override
    def backward(self, grad_output: Tensor) -> Tensor | None:
        """dL/dβ = Σ g, dL/dγ = Σ g x̂, dL/dx = s (ĝ - mean(ĝ) - x̂ mean(ĝ x̂)), ĝ = γ g, s = 1 / √(var + ε)."""
        b = self.backend
        x, mean, inverse, shape = self.kept()
        self.check_gradient(grad_output, shape)
        dx, *of_affine = b.normalize_grad(
            b.reshape(grad_output, self._grouped(shape)),
            x,
            mean,
            inverse,
            self._wide(self.weight),
            axis=(2, 3),
            input_gradient=self.input_gradient,
        )
        for parameter, gradient in zip((self.weight, self.bias), of_affine, strict=True):
            if parameter is not None and gradient is not None:
                parameter.accumulate(b.reshape(gradient, (self.num_channels,)))
        return None if dx is None else b.reshape(dx, shape)

    def _grouped(self, shape: Shape) -> Shape:
        """(N, G, C / G, places)."""
        return (shape[0], self.num_groups, self.num_channels // self.num_groups, math.prod(shape[2:]))

    def _wide(self, parameter: Parameter | None) -> Tensor | None:
        """(C,) -> (1, G, C / G, 1)."""
        if parameter is None:
            return None
        wide = (1, self.num_groups, self.num_channels // self.num_groups, 1)
        return self.backend.reshape(parameter.data, wide)

    @override
    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) < 2 or shape[1] != self.num_channels:
            raise self.misfit(f"(N, {self.num_channels}, ...)", shape)
        return shape

    @override
    def extra_repr(self) -> str:
        text = f"{self.num_groups}, {self.num_channels}" + ("" if self.eps == 1e-5 else f", eps={self.eps!r}")
        if self.weight is None:
            return f"{text}, affine=False"
        return text if self.bias is not None else f"{text}, bias=False"
