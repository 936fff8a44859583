"""Derived ops in torch, where one kernel or fewer passes make them faster than their definitions."""

from __future__ import annotations

import math
from typing import Any

import torch

from ..base import Backend, Triple, gradient_shape_error
from ..errors import ShapeError
from ..protocol import Axis
from ..windows import Window
from .elementwise import NATIVE, Array, agree, check, check_out, floating, floating_pair, scalar, writable

_Tensor = torch.Tensor
_aten = torch.ops.aten
# The kernel itself where torch shows it: the overload around it only looks for dispatch modes.
_threshold_backward = getattr(_aten.threshold_backward.default, "_op", _aten.threshold_backward.default)


class TorchDerived(Backend):
    """The overrides."""

    def add_scaled(self, x: Array, y: Array, scale: float, *, out: Array = None) -> Array:
        """Return torch.add with alpha: one pass."""
        if type(x) is not _Tensor or type(y) is not _Tensor or x.dtype is not y.dtype:
            agree("add_scaled", x, y)
        if out is None:
            return torch.add(x, y, alpha=scale)
        if out is x and x.shape == y.shape and not x.is_inference():
            return x.add_(y, alpha=scale)
        out = check_out("add_scaled", out, x.shape, x.dtype)
        return torch.add(x, y, alpha=scale, out=out)

    def sgd_step(
        self, parameter: Array, gradient: Array, learning_rate: float, *, out: Array = None
    ) -> Array:
        """Return p - lr g, in place where `out` is the parameter."""
        return TorchDerived.add_scaled(self, parameter, gradient, -learning_rate, out=out)

    def square(self, x: Array, *, out: Array = None) -> Array:
        """Return x²."""
        return self.multiply(x, x, out=out) if out is not None or type(x) is not _Tensor else x.mul(x)

    def relu(self, x: Array) -> Array:
        """Return torch.relu."""
        if type(x) is not _Tensor or not x.is_floating_point():
            return self.maximum(x, 0.0)
        return x.relu()

    def relu_grad(self, grad: Array, y: Array) -> Array:
        """Return grad where y > 0 (or NaN), else 0, in one kernel."""
        if type(grad) is not _Tensor or type(y) is not _Tensor or grad.dtype is not y.dtype:
            agree("relu_grad", grad, y)
        if grad.shape != y.shape:
            raise gradient_shape_error("relu_grad", grad.shape, y.shape)
        return _threshold_backward(grad, y, 0)

    def sigmoid(self, x: Array) -> Array:
        """Return torch.sigmoid."""
        floating("sigmoid", x)
        return torch.sigmoid(x)

    def softmax(self, x: Array, *, axis: int) -> Array:
        """Return torch.softmax."""
        floating("softmax", x)
        return torch.softmax(x, axis)

    def log_softmax(self, x: Array, *, axis: int) -> Array:
        """Return torch.log_softmax."""
        floating("log_softmax", x)
        return torch.log_softmax(x, axis)

    def mean(self, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
        """Return Σ x / n; over everything, in two calls that cost less than torch.mean."""
        if axis is None and not keepdims and type(x) is _Tensor and x.is_floating_point():
            return x.sum().div(scalar(float(x.numel()), x.dtype))
        return super().mean(x, axis=axis, keepdims=keepdims)

    def linear(self, x: Array, weight: Array, bias: Array = None) -> Array:
        """Return torch.addmm for a matrix x.

        A matrix made by `cells` has its transposed view with it, as the attribute `transposed`: making
        one takes as long as a small op. Any other weight is transposed here.
        """
        if bias is None or type(x) is not _Tensor or x.ndim != 2:
            return super().linear(x, weight, bias)
        try:
            transposed = weight.transposed
        except AttributeError:
            check("linear", weight)
            transposed = weight.t()
        try:
            return torch.addmm(bias, x, transposed)
        except (RuntimeError, TypeError):
            agree("linear", x, weight)
            agree("linear", x, bias)
            raise

    def linear_grad(self, grad: Array, x: Array, *, bias: bool = True, out: Any = None) -> Any:
        """Return (gᵀ x, Σ g) for matrices, straight into `out`."""
        weight_out, bias_out = out or (None, None)
        if (
            weight_out is None
            or type(x) is not _Tensor
            or type(grad) is not _Tensor
            or x.ndim != 2
            or grad.dtype is not x.dtype
            or weight_out.dtype is not x.dtype
            or weight_out.shape != (*grad.shape[1:], x.shape[1])  # torch would resize it
            or len(grad) != len(x)
            or not writable(weight_out)
        ):
            return super().linear_grad(grad, x, bias=bias, out=out)
        weight = torch.mm(grad.mT, x, out=weight_out)
        if not bias or bias_out is None:
            return weight, torch.sum(grad, 0) if bias else None
        bias_out = check_out("linear_grad", bias_out, grad.shape[1:], grad.dtype)
        return weight, torch.sum(grad, 0, out=bias_out)

    def leaky_relu(self, x: Array, negative_slope: float) -> Array:
        """Return x where x > 0, else slope x, in one kernel."""
        floating("leaky_relu", x)
        return _aten.leaky_relu.default(x, negative_slope)

    def leaky_relu_grad(self, grad: Array, x: Array, negative_slope: float) -> Array:
        """Return grad where x > 0, else slope grad, in one kernel."""
        floating_pair("leaky_relu_grad", grad, x)
        return _aten.leaky_relu_backward.default(grad, x, negative_slope, False)

    def sigmoid_grad(self, grad: Array, y: Array) -> Array:
        """Return grad y (1 - y), in one kernel."""
        floating_pair("sigmoid_grad", grad, y)
        return _aten.sigmoid_backward.default(grad, y)

    def tanh_grad(self, grad: Array, y: Array) -> Array:
        """Return grad (1 - y²), in one kernel."""
        floating_pair("tanh_grad", grad, y)
        return _aten.tanh_backward.default(grad, y)

    def softmax_grad(self, grad: Array, y: Array, *, axis: int) -> Array:
        """Return y (grad - Σ grad y), in one kernel."""
        dtype = floating_pair("softmax_grad", grad, y)
        return _aten._softmax_backward_data.default(grad, y, axis, dtype)

    def log_softmax_grad(self, grad: Array, y: Array, *, axis: int) -> Array:
        """Return grad - e^y Σ grad, in one kernel."""
        dtype = floating_pair("log_softmax_grad", grad, y)
        return _aten._log_softmax_backward_data.default(grad, y, axis, dtype)

    def one_hot(self, indices: Array, num_classes: int, *, dtype: str | None = None) -> Array:
        """Return zeros with a 1 scattered to each index that is a class."""
        check("one_hot", indices)
        column = indices.unsqueeze(-1)
        inside = column.clamp(0, num_classes - 1)
        native = NATIVE[dtype or self.default_dtype]
        zeros = torch.zeros((*indices.shape, num_classes), dtype=native, device=indices.device)
        return zeros.scatter_(-1, inside, torch.eq(inside, column).to(native))

    def max_pool(self, x: Array, window: Window) -> Any:
        """Return torch's maxima and indices, if torch has such a pooling and agrees about NaN."""
        floating("max_pool", x)
        shape = window.windows_of("max_pool", x.shape)
        even = all(a == b <= n // 2 for (a, b), n in zip(window.padding, window.span, strict=True))
        lead = (1,) * (2 - len(window.size))
        if not even or len(window.size) > 2 or not x.numel():
            return super().max_pool(x, window)
        values, indices = _aten.max_pool2d_with_indices.default(
            x.reshape(*shape[:2], *lead, *window.size),
            lead + window.kernel_size,
            lead + window.stride,
            (0,) * len(lead) + tuple(before for before, _ in window.padding),
            lead + window.dilation,
        )
        if torch.isnan(values.max()):  # torch names the last NaN of a window
            return super().max_pool(x, window)
        return values.reshape(shape), indices.reshape(shape)

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
        """Return Adam's step in five fused passes, in place where `out` allows."""
        dtype = parameter.dtype if type(parameter) is _Tensor else None
        for tensor in (gradient, first, second, *(out or ())):
            if type(tensor) is not _Tensor or tensor.dtype is not dtype or tensor.shape != parameter.shape:
                _refuse_step(parameter, tensor)
        inside = out is not None and out[0] is parameter and out[1] is first and out[2] is second
        if out is None or not inside or not all(map(writable, out)):
            parameter, first, second = parameter.clone(), first.clone(), second.clone()
        first.lerp_(gradient, 1.0 - beta1)
        second.mul_(beta2).addcmul_(gradient, gradient, value=1.0 - beta2)
        scaled = second.sqrt().div_(math.sqrt(correction2)).add_(epsilon)
        parameter.addcdiv_(first, scaled, value=-learning_rate / correction1)
        return parameter, first, second


def _refuse_step(parameter: Array, other: Array) -> None:
    agree("adam_step", parameter, other)
    shape = tuple(parameter.shape)
    raise ShapeError(f"adam_step: expected every tensor of shape {shape}, got one of {tuple(other.shape)}")
