"""Methods of the torch backend, made of torch's functions."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch

from ..errors import DtypeError
from ..methods import Method, OpMethod, checker
from ..shapes import axis_of, broadcast
from .handles import (
    HANDLES,
    NAMES,
    Array,
    InferenceMode,
    agree,
    check_out,
    floating,
    floating_pair,
    foreign_error,
    unfit,
)

_Tensor = torch.Tensor
checked = checker(HANDLES, foreign_error)


def unary(function: Any, *, floating: bool = True) -> Any:
    """Make an elementwise op of one tensor."""

    def make(op: str) -> Method:
        def apply(self: object, x: Array, *, out: Array = None) -> Array:
            if type(x) is not _Tensor:
                raise foreign_error(op, x)
            if not x.is_floating_point() and (floating or x.dtype is torch.bool):
                raise DtypeError(f"{op}: expected a floating tensor, got {x.dtype}; convert it with astype")
            if out is None:
                return function(x)
            return function(x, out=check_out(op, out, x.shape, x.dtype))

        return apply

    return OpMethod(make)


def binary(function: Any, *, floating: bool = False) -> Any:
    """Make an elementwise op of two operands."""

    def make(op: str) -> Method:
        def apply(self: object, x: Array, y: Array, *, out: Array = None) -> Array:
            if type(x) is _Tensor and type(y) is _Tensor and x.dtype is y.dtype:
                dtype = x.dtype
            elif type(x) is _Tensor and type(y) is float and x.is_floating_point():
                dtype = x.dtype
                y = scalar(y, dtype)
            else:
                dtype = agree(op, x, y)
                x = x if type(x) is _Tensor else scalar(x, dtype)
                y = y if type(y) is _Tensor else scalar(y, dtype)
            if floating and not dtype.is_floating_point:
                raise DtypeError(f"{op}: expected floating tensors, got {NAMES[dtype]}; convert with astype")
            if out is None:
                try:
                    return function(x, y)
                except RuntimeError:
                    unfit(op, x, y)
                    raise
            shape = x.shape if x.shape == y.shape else broadcast(x.shape, y.shape, op=op)
            return function(x, y, out=check_out(op, out, shape, dtype))

        return apply

    return OpMethod(make)


def comparison(function: Any) -> Any:
    """Make a comparison of two operands."""

    def make(op: str) -> Method:
        def apply(self: object, x: Array, y: Array) -> Array:
            if type(x) is not _Tensor or type(y) is not _Tensor or x.dtype is not y.dtype:
                dtype = agree(op, x, y)
                x = x if type(x) is _Tensor else scalar(x, dtype)
                y = y if type(y) is _Tensor else scalar(y, dtype)
            try:
                return function(x, y)
            except RuntimeError:
                broadcast(x.shape, y.shape, op=op)
                raise

        return apply

    return OpMethod(make)


def activation(kernel: Any) -> Any:
    """Make an op of one floating tensor, in one kernel."""

    def make(op: str) -> Method:
        def apply(self: object, x: Array) -> Array:
            floating(op, x)
            return kernel(x)

        return apply

    return OpMethod(make)


def along_axis(kernel: Any) -> Any:
    """Make an op of one floating tensor along an axis, in one kernel."""

    def make(op: str) -> Method:
        def apply(self: object, x: Array, *, axis: int) -> Array:
            floating(op, x)
            return kernel(x, axis_of(op, axis, x.ndim))

        return apply

    return OpMethod(make)


def along_axis_grad(kernel: Any) -> Any:
    """Make the gradient of such an op, from that of its result and the result."""

    def make(op: str) -> Method:
        def apply(self: object, grad: Array, y: Array, *, axis: int) -> Array:
            floating_pair(op, grad, y)
            return kernel(grad, y, axis_of(op, axis, y.ndim), y.dtype)

        return apply

    return OpMethod(make)


def activation_grad(kernel: Any) -> Any:
    """Make an op of a gradient and a floating tensor of its shape, in one kernel."""

    def make(op: str) -> Method:
        def apply(self: object, grad: Array, x: Array) -> Array:
            floating_pair(op, grad, x)
            return kernel(grad, x)

        return apply

    return OpMethod(make)


_scalars: defaultdict[torch.dtype, dict[Any, Array]] = defaultdict(dict)


def scalar(value: Any, dtype: torch.dtype) -> Array:
    """Return a Python scalar as a 0-d CPU tensor, which torch mixes with tensors of any device.

    They are cached: torch takes as long to wrap a number as to run a small op.
    """
    known = _scalars[dtype]
    key = value or str(value)  # 0.0 and -0.0 are equal, and their texts are not
    tensor = known.get(key)
    if tensor is None:
        if len(known) > 1000:
            known.clear()
        with InferenceMode(False):
            tensor = torch.tensor(value, dtype=dtype)
        known[key] = tensor
    return tensor
