"""Layer normalisation (Ba et al. 2016): each sample over its last axes."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from ...backends import Backend, OptionError, Tensor
from ...backends.options import as_integer, entries, flag, number, shown
from ...backends.protocol import Shape
from ..initializers import Constant
from ..module import Module
from .standardize import inverse_deviation, moments, normalized_grad


class LayerNorm(Module):
    """y = γ x̂ + β, x̂ = (x - mean) / √(var + ε) over the last axes; γ and β have their shape.

    Parameters
    ----------
    normalized_shape
        The extents of those axes; an integer means the last axis.
    eps
        ε, inside the root.
    elementwise_affine, bias
        Whether to use γ, and β with it.
    backend
        The backend that computes; the current one if None.

    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        backend: str | Backend | None = None,
    ) -> None:
        shape = tuple(as_integer(n) or 0 for n in entries(normalized_shape, 1))
        if not shape or min(shape) < 1:
            raise OptionError(
                f"LayerNorm: expected normalized_shape to be integers of at least 1, "
                f"got {shown(normalized_shape)}"
            )
        super().__init__(backend)
        self.normalized_shape, self.eps = shape, number("LayerNorm", "eps", eps, least=0)
        affine = flag("LayerNorm", "elementwise_affine", elementwise_affine)
        bias = flag("LayerNorm", "bias", bias)
        self.weight = self.parameter(shape, Constant(1.0)) if affine else None
        self.bias = self.parameter(shape, Constant(0.0)) if affine and bias else None

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (N, ..., *normalized_shape) -> the same."""
        b = self.backend
        rank = len(self.output_shape(b.shape(x)))
        axes = tuple(range(rank - len(self.normalized_shape), rank))
        centred, _, variance = moments(b, x, axes)
        inverse = inverse_deviation(b, variance, self.eps)
        x_hat = b.multiply(centred, inverse, out=centred)
        self.keep(x_hat, inverse, axes)
        y = x_hat if self.weight is None else b.multiply(x_hat, self.weight.data)
        return y if self.bias is None else b.add(y, self.bias.data, out=y)

    @override
    def backward(self, grad_output: Tensor) -> Tensor | None:
        """dL/dβ = Σ g, dL/dγ = Σ g x̂, dL/dx = s (ĝ - mean(ĝ) - x̂ mean(ĝ x̂)), ĝ = γ g, s = 1 / √(var + ε)."""
        b = self.backend
        x_hat, inverse, axes = self.kept()
        self.check_gradient(grad_output, b.shape(x_hat))
        before = tuple(range(axes[0]))
        if self.bias is not None:
            self.bias.accumulate(b.sum(grad_output, axis=before))
        if self.weight is not None:
            self.weight.accumulate(b.sum(b.multiply(grad_output, x_hat), axis=before))
            grad_output = b.multiply(grad_output, self.weight.data)
        return normalized_grad(b, grad_output, x_hat, axes, inverse) if self.input_gradient else None

    @override
    def output_shape(self, shape: Shape) -> Shape:
        inner = len(self.normalized_shape)
        if len(shape) <= inner or tuple(shape[-inner:]) != self.normalized_shape:
            raise self.misfit(f"(N, ..., {', '.join(map(str, self.normalized_shape))})", shape)
        return shape

    @override
    def extra_repr(self) -> str:
        text = ", ".join(map(str, self.normalized_shape))
        text += "" if self.eps == 1e-5 else f", eps={self.eps!r}"
        text += "" if self.weight is not None else ", elementwise_affine=False"
        return text if self.weight is None or self.bias is not None else f"{text}, bias=False"
