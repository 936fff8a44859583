"""Derived ops in torch, in one kernel or in fewer passes than their definitions."""

from __future__ import annotations

import math
from typing import Any

import torch
from typing_extensions import override

from ..base import Backend, Triple
from ..errors import DataError, ShapeError, gradient_shape_error
from ..options import integer, real
from ..protocol import Axis
from ..shapes import check_equal, check_linear
from ..windows import Window, check_window
from .handles import (
    LARGEST_FLOAT32,
    NATIVE,
    Array,
    agree,
    alike,
    check,
    check_index_dtype,
    check_out,
    fitting,
    floating,
    floating_pair,
    writable,
)
from .methods import activation, activation_grad, along_axis, along_axis_grad, scalar

_Tensor = torch.Tensor
_aten = torch.ops.aten
_is_inside = torch.is_inference_mode_enabled
# The kernel without the overload around it, which only looks for dispatch modes, if torch exposes it.
_threshold_backward = getattr(_aten.threshold_backward.default, "_op", _aten.threshold_backward.default)

SHORT_SUM = 64
"""Most rows that are summed by a product with ones."""
ONES = {dtype: [torch.ones(n, dtype=dtype) for n in range(SHORT_SUM + 1)] for dtype in NATIVE.values()}


class TorchDerived(Backend):
    """The overrides."""

    expm1 = activation(torch.expm1)
    erf = activation(torch.erf)
    sigmoid = activation(torch.sigmoid)
    softmax = along_axis(torch.softmax)
    log_softmax = along_axis(torch.log_softmax)

    sigmoid_grad = activation_grad(_aten.sigmoid_backward.default)
    tanh_grad = activation_grad(_aten.tanh_backward.default)
    softmax_grad = along_axis_grad(_aten._softmax_backward_data.default)
    log_softmax_grad = along_axis_grad(_aten._log_softmax_backward_data.default)

    @override
    def exp_scaled(self, x: Array, scale: Array) -> Array:
        """Work in one place; select only if there is a 0."""
        if type(x) is not _Tensor or type(scale) is not _Tensor or x.dtype is not scale.dtype:
            alike("exp_scaled", x, scale)
        if not x.is_floating_point() or self.device != "cpu":  # a GPU would have to wait
            return super().exp_scaled(x, scale)
        result = x.exp()
        try:
            result.mul_(scale)
        except RuntimeError:
            return super().exp_scaled(x, scale)
        return result if scale.all() else result.masked_fill_(scale == 0, 0.0)

    @override
    def leaky_relu(self, x: Array, negative_slope: float) -> Array:
        floating("leaky_relu", x)
        slope = real("leaky_relu", "negative_slope", negative_slope)
        return _aten.leaky_relu.default(x, fitting(slope, x.dtype))

    @override
    def leaky_relu_grad(self, grad: Array, x: Array, negative_slope: float) -> Array:
        floating_pair("leaky_relu_grad", grad, x)
        slope = real("leaky_relu_grad", "negative_slope", negative_slope)
        return _aten.leaky_relu_backward.default(grad, x, fitting(slope, x.dtype), False)

    @override
    def add_scaled(self, x: Array, y: Array, scale: float, *, out: Array = None) -> Array:
        if type(x) is not _Tensor or type(y) is not _Tensor or x.dtype is not y.dtype:
            alike("add_scaled", x, y)
        if x.shape != y.shape:
            check_equal("add_scaled", x.shape, y.shape)
        if not x.is_floating_point():
            agree("add_scaled", x, 1.0)
        if type(scale) is not float:
            scale = real("add_scaled", "scale", scale)
        if not -LARGEST_FLOAT32 <= scale <= LARGEST_FLOAT32:
            scale = fitting(scale, x.dtype)
        if out is None:
            return torch.add(x, y, alpha=scale)
        if out is x and not x.is_inference():
            return x.add_(y, alpha=scale)
        return torch.add(x, y, alpha=scale, out=check_out("add_scaled", out, x.shape, x.dtype))

    @override
    def sgd_step(
        self, parameter: Array, gradient: Array, learning_rate: float, *, out: Array = None
    ) -> Array:
        return TorchDerived.add_scaled(self, parameter, gradient, -learning_rate, out=out)

    @override
    def square(self, x: Array, *, out: Array = None) -> Array:
        return self.multiply(x, x, out=out) if out is not None or type(x) is not _Tensor else x.mul(x)

    @override
    def relu(self, x: Array) -> Array:
        if type(x) is not _Tensor or not x.is_floating_point():
            return super().relu(x)
        return x.relu()

    @override
    def relu_grad(self, grad: Array, y: Array) -> Array:
        if type(grad) is not _Tensor or type(y) is not _Tensor or grad.dtype is not y.dtype:
            alike("relu_grad", grad, y)
        if grad.shape != y.shape:
            raise gradient_shape_error("relu_grad", grad.shape, y.shape)
        if not y.is_floating_point():
            floating("relu_grad", y)
        return _threshold_backward(grad, y, 0)

    @override
    def mean(self, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
        """Take the mean of everything in two calls that cost less than torch.mean."""
        if axis is None and not keepdims and type(x) is _Tensor and x.is_floating_point():
            return x.sum().div_(scalar(float(x.numel()), x.dtype))
        return super().mean(x, axis=axis, keepdims=keepdims)

    @override
    def linear(self, x: Array, weight: Array, bias: Array = None) -> Array:
        """Return x Wᵀ + b for a matrix x, in two calls that cost less than torch.addmm.

        A matrix that `cells` made has its transposed view as an attribute, `transposed`, and the last bias
        that fitted, `bias`: a view or a comparison of shapes takes as long as a small op.
        """
        if bias is None or type(x) is not _Tensor or x.ndim != 2:
            return super().linear(x, weight, bias)
        if type(weight) is not _Tensor or type(bias) is not _Tensor:
            alike("linear", x, weight, bias)
        try:
            transposed, known = weight.transposed, weight.bias
        except AttributeError:
            transposed = known = None
        if known is not bias:
            alike("linear", weight, bias)
            check_linear(x.shape, weight.shape, bias.shape)
            if transposed is not None:
                weight.bias = bias
        try:
            return x.mm(weight.t() if transposed is None else transposed).add_(bias)
        except RuntimeError:
            alike("linear", x, weight, bias)
            check_linear(x.shape, weight.shape, bias.shape)
            raise

    @override
    def linear_grad(self, grad: Array, x: Array, *, bias: bool = True, out: Any = None) -> Any:
        """Write the gradients of matrices straight into their places."""
        if bias and out is not None and type(grad) is type(x) is _Tensor and grad.ndim == x.ndim == 2:
            weight, total = out
            (samples, outputs), (rows, inputs), dtype = grad.shape, x.shape, x.dtype
            if (
                _belong(weight, total)
                and samples == rows
                and weight.shape == (outputs, inputs)
                and weight.dtype is grad.dtype is dtype
            ):
                transposed = grad.mT
                if samples > SHORT_SUM or self.device != "cpu":
                    return torch.mm(transposed, x, out=weight), torch.sum(grad, 0, out=total)
                # A product with ones: BLAS sums few rows in less time than torch.sum.
                ones = ONES[dtype][samples]
                return torch.mm(transposed, x, out=weight), torch.mv(transposed, ones, out=total)
        return super().linear_grad(grad, x, bias=bias, out=out)

    @override
    def one_hot(self, indices: Array, num_classes: int, *, dtype: str | None = None) -> Array:
        """Scatter a 1 to each index that is a class."""
        check_index_dtype("one_hot", indices)
        if type(num_classes) is not int or num_classes < 0:
            num_classes = integer("one_hot", "num_classes", num_classes, least=0)
        if num_classes == 0:
            return super().one_hot(indices, 0, dtype=dtype)
        column = indices.unsqueeze(-1)
        inside = column.clamp(0, num_classes - 1)
        native = NATIVE[dtype or self.default_dtype]
        zeros = torch.zeros((*indices.shape, num_classes), dtype=native, device=indices.device)
        return zeros.scatter_(-1, inside, torch.eq(inside, column).to(native))

    @override
    def max_pool(self, x: Array, window: Window) -> Any:
        """Use torch's pooling for symmetric padding on 1 or 2 axes, unless there is NaN."""
        floating("max_pool", x)
        check_window("max_pool", window)
        shape = window.windows_of("max_pool", x.shape)
        even = all(a == b <= n // 2 for (a, b), n in zip(window.padding, window.span, strict=True))
        lead = (1,) * (2 - len(window.size))
        if not even or len(window.size) > 2 or not x.numel() or window.hollow:
            return super().max_pool(x, window)
        values, indices = _aten.max_pool2d_with_indices.default(
            x.reshape(*shape[:2], *lead, *window.size),
            lead + window.kernel_size,
            lead + window.stride,
            (0,) * len(lead) + tuple(before for before, _ in window.padding),
            lead + window.dilation,
        )
        if torch.isnan(values.max()):  # the definition takes the first NaN of a window, torch the last
            return super().max_pool(x, window)
        return values.reshape(shape), indices.reshape(shape)

    @override
    def max_pool_grad(
        self,
        grad: Array,
        indices: Array,
        size: tuple[int, ...],
        *,
        distinct: bool = False,
        hollow: bool = False,
    ) -> Array:
        """Scatter, as the definition does; name an index that torch refuses."""
        check("max_pool_grad", grad)
        check_index_dtype("max_pool_grad", indices)
        try:
            return super().max_pool_grad(grad, indices, size, distinct=distinct, hollow=hollow)
        except DataError as error:
            raise DataError(str(error).replace("scatter_add", "max_pool_grad")) from error

    @override
    def adam_step(
        self,
        parameter: Array,
        gradient: Array,
        first: Array,
        second: Array,
        *,
        learning_rate: float,
        beta1: float,
        beta2: float,
        epsilon: float,
        correction1: float,
        correction2: float,
        out: Triple | None = None,
    ) -> Any:
        """Run five fused passes, in place if `out` is (parameter, first, second)."""
        check("adam_step", parameter)
        shape, dtype = parameter.shape, parameter.dtype
        inside = out is not None and out[0] is parameter and out[1] is first and out[2] is second
        for tensor in (gradient, first, second, *(() if inside or out is None else out)):
            if type(tensor) is not _Tensor or tensor.dtype is not dtype or tensor.shape != shape:
                _refuse_step(parameter, tensor)
        if not inside or not (_is_inside() or all(map(writable, (parameter, first, second)))):
            parameter, first, second = parameter.clone(), first.clone(), second.clone()
        first.lerp_(gradient, scalar(1.0 - beta1, dtype))
        second.mul_(scalar(beta2, dtype)).addcmul_(gradient, gradient, value=1.0 - beta2)
        scaled = torch.add(scalar(epsilon, dtype), second.sqrt(), alpha=1.0 / math.sqrt(correction2))
        parameter.addcdiv_(first, scaled, value=fitting(-learning_rate / correction1, dtype))
        return parameter, first, second


def _belong(weight: Any, bias: Array) -> bool:
    """Return whether two tensors are storage for the gradients of one linear layer.

    A matrix that `cells` made remembers the bias that belongs to it.
    """
    try:
        if weight.bias is bias is not None:
            return True
    except AttributeError:
        pass
    if type(weight) is not _Tensor or type(bias) is not _Tensor or weight.dtype is not bias.dtype:
        return False
    if bias.shape != weight.shape[:1] or not (writable(weight) and writable(bias)):
        return False
    if hasattr(weight, "transposed"):
        setattr(weight, "bias", bias)  # noqa: B010  # mypy knows no such attribute of a tensor
    return True


def _refuse_step(parameter: Array, other: Array) -> None:
    alike("adam_step", parameter, other)
    shape = tuple(parameter.shape)
    raise ShapeError(f"adam_step: expected every tensor of shape {shape}, got one of {tuple(other.shape)}")
