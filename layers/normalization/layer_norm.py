"""Layer normalisation (Ba et al. 2016): each sample over its last axes."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from ...backends import Backend, OptionError, Tensor
from ...backends.options import as_integer, entries, flag, number, shown
from ...backends.protocol import Shape
from ..initializers import Constant
from ..module import Module


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
        weight, bias = (None if p is None else p.data for p in (self.weight, self.bias))
        y, mean, inverse = b.normalize(x, weight, bias, axis=axes, epsilon=self.eps)
        self.keep(x, mean, inverse, axes)
        return y

    @override
    def backward(self, grad_output: Tensor) -> Tensor | None:
        """dL/dβ = Σ g, dL/dγ = Σ g x̂, dL/dx = s (ĝ - mean(ĝ) - x̂ mean(ĝ x̂)), ĝ = γ g, s = 1 / √(var + ε)."""
        b = self.backend
        x, mean, inverse, axes = self.kept()
        self.check_gradient(grad_output, b.shape(x))
        dx, *of_affine = b.normalize_grad(
            grad_output,
            x,
            mean,
            inverse,
            None if self.weight is None else self.weight.data,
            axis=axes,
            input_gradient=self.input_gradient,
        )
        for parameter, gradient in zip((self.weight, self.bias), of_affine, strict=True):
            if parameter is not None and gradient is not None:
                parameter.accumulate(gradient)
        return dx

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
