"""The fully connected layer."""

from __future__ import annotations

from typing_extensions import override

from ..backends import Backend, ShapeError, Tensor
from ..backends.options import flag, integer
from ..backends.protocol import Shape
from .initializers import Initializer, or_torchs
from .module import Module


class Linear(Module):
    """y = x Wᵀ + b, for x (N, ..., in_features) and y (N, ..., out_features).

    Parameters
    ----------
    in_features, out_features
        The sizes of the last axes of x and y.
    bias
        Whether to add b.
    weight_init, bias_init
        The initializers of W (out_features, in_features) and b (out_features,); None means torch's default.
    backend
        The backend that the layer runs on; None means the current backend.

    Raises
    ------
    OptionError
        If in_features or out_features is not an integer of at least 1, or weight_init or bias_init is not an
        initializer.
    BackendError
        If the backend is unknown or cannot run.

    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        backend: str | Backend | None = None,
    ) -> None:
        in_features = integer("Linear", "in_features", in_features)
        out_features = integer("Linear", "out_features", out_features)
        bias = flag("Linear", "bias", bias)
        super().__init__(backend)
        self.in_features = in_features
        self.out_features = out_features
        shape = (out_features, in_features)
        weight_init, bias_init = or_torchs(weight_init), or_torchs(bias_init)
        self.weight = self.parameter(shape, weight_init)
        self.bias = self.parameter((out_features,), bias_init, fan=shape) if bias else None

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (N, ..., in_features) -> (N, ..., out_features)."""
        self.keep(x)
        bias = None if self.bias is None else self.bias.data
        return self.backend.linear(x, self.weight.data, bias)

    @override
    def backward(self, grad_output: Tensor) -> Tensor | None:
        """dL/dW = gᵀ x, dL/db = Σ g, dL/dx = g W, with g = dL/dy: (N, ..., out_features).

        The sums in gᵀ x and Σ g run over all axes except the last.
        """
        (x,) = self.kept()
        weight, bias = self.weight, self.bias
        place = (weight.grad_out, None if bias is None else bias.grad_out)
        try:
            grad_weight, grad_bias = self.backend.linear_grad(
                grad_output, x, bias=bias is not None, out=place
            )
            weight.accumulate(grad_weight)
        except ShapeError:
            # If the shape of grad_output is wrong, this raises an error that names the layer.
            self.check_gradient(grad_output, (*self.backend.shape(x)[:-1], self.out_features))
            raise
        if bias is not None and grad_bias is not None:
            bias.accumulate(grad_bias)
        return self.backend.matmul(grad_output, weight.data) if self.input_gradient else None

    @override
    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) < 2 or shape[-1] != self.in_features:
            single = tuple(shape) == (self.in_features,)
            advice = f"; a single sample needs a batch axis: (1, {self.in_features})" if single else ""
            raise self.misfit(f"(N, ..., {self.in_features})", shape, advice)
        return (*shape[:-1], self.out_features)

    @property
    @override
    def input_shape(self) -> Shape:
        return (self.in_features,)

    @override
    def extra_repr(self) -> str:
        sizes = f"{self.in_features} -> {self.out_features}"
        return sizes if self.bias is not None else f"{sizes}, bias=False"
