"""Layer normalisation (Ba et al. 2016): each sample over its last axes."""

from __future__ import annotations

from collections.abc import Sequence

from ...backends import Backend, OptionError, Tensor
from ...backends.protocol import Shape
from ..initializers import Constant
from ..integers import integer
from ..module import Module
from .standardize import check_epsilon, inverse_deviation, moments, normalized_grad


class LayerNorm(Module):
    """y = γ x̂ + β, x̂ = (x - mean) / √(var + ε) over the last axes; γ and β have their shape.

    Parameters
    ----------
    normalized_shape
        The extents of those axes; one integer for the last one.
    eps
        ε, inside the root.
    elementwise_affine, bias
        Whether there is a γ, and with it a β.
    backend
        Where it computes; the current backend if None.

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
        several = normalized_shape if isinstance(normalized_shape, Sequence) else (normalized_shape,)
        given = tuple(integer(n) or 0 for n in several)
        if not given or min(given) < 1:
            raise OptionError(
                f"LayerNorm: normalized_shape must be integers of at least 1, got {normalized_shape!r}"
            )
        super().__init__(backend)
        self.normalized_shape, self.eps = given, check_epsilon("LayerNorm", eps)
        self.weight = self.parameter(given, Constant(1.0)) if elementwise_affine else None
        self.bias = self.parameter(given, Constant(0.0)) if elementwise_affine and bias else None

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

    def output_shape(self, shape: Shape) -> Shape:
        """Return the input's shape, if it ends with `normalized_shape`."""
        inner = len(self.normalized_shape)
        if len(shape) <= inner or tuple(shape[-inner:]) != self.normalized_shape:
            raise self.misfit(f"(N, ..., {', '.join(map(str, self.normalized_shape))})", shape)
        return shape

    def extra_repr(self) -> str:
        """The extents, and what is not the default."""
        text = ", ".join(map(str, self.normalized_shape))
        text += "" if self.eps == 1e-5 else f", eps={self.eps!r}"
        text += "" if self.weight is not None else ", elementwise_affine=False"
        return text if self.weight is None or self.bias is not None else f"{text}, bias=False"
