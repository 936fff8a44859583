"""Handles of the torch backend: the checks that every op makes, and the elementwise methods."""

from __future__ import annotations

from typing import Any

import torch

from ..base import gradient_shape_error, scalar_dtype_error
from ..errors import DtypeError, ShapeError, foreign
from ..host import NativeDtypes
from ..protocol import Shape
from ..shapes import broadcast

Array = Any
_Tensor = torch.Tensor
NATIVE = NativeDtypes(
    {"float32": torch.float32, "float64": torch.float64, "int64": torch.int64, "bool": torch.bool}
)
NAMES = {value: key for key, value in NATIVE.items()}
_SCALARS = (int, float, bool)


def check_out(op: str, out: Array, shape: Shape, dtype: torch.dtype) -> Array:
    """Return `out`, or None if it may not be written here; raise unless it has the result's shape and dtype.

    Torch would resize it.
    """
    if out.shape != shape:
        raise ShapeError(f"{op}: out must have the result's shape {tuple(shape)}, got {tuple(out.shape)}")
    if out.dtype is not dtype:
        raise DtypeError(f"{op}: out must have the result's dtype {NAMES[dtype]}, got {out.dtype}")
    return out if writable(out) else None


def writable(x: Array) -> bool:
    """Whether torch lets x be written here: what was made in a session may not be, outside one."""
    return not x.is_inference() or torch.is_inference_mode_enabled()


def foreign_error(op: str, value: object) -> DtypeError:
    """Return the error for something that is no handle of this backend."""
    return foreign(op, value, "a tensor of the torch backend")


def agree(op: str, x: Array, y: Array) -> torch.dtype:
    """Return the common dtype of two operands, of which one may be a Python scalar; else raise."""
    if type(x) is _Tensor and type(y) is _Tensor:
        if x.dtype is y.dtype:
            return x.dtype
        names = f"{NAMES.get(x.dtype, x.dtype)} and {NAMES.get(y.dtype, y.dtype)}"
        raise DtypeError(f"{op}: the tensors have unequal dtypes {names}; use astype")
    tensor, other = (x, y) if type(x) is _Tensor else (y, x)
    if type(tensor) is not _Tensor or type(other) not in _SCALARS:
        raise foreign_error(op, other)
    kind = type(other)
    mixes = tensor.dtype is torch.bool if kind is bool else tensor.dtype is not torch.bool
    if mixes and (kind is not float or tensor.is_floating_point()):
        return tensor.dtype
    raise scalar_dtype_error(op, other, NAMES.get(tensor.dtype, str(tensor.dtype)))


def check(op: str, *tensors: object) -> None:
    """Raise unless these are handles of this backend: no other array, and no subclass that records."""
    for x in tensors:
        if type(x) is not _Tensor:
            raise foreign_error(op, x)


def unary(function: Any, *, floating: bool = True) -> Any:
    """Make the method of an elementwise op of one tensor."""
    op = function.__name__

    def apply(self: object, x: Array, *, out: Array = None) -> Array:
        if type(x) is not _Tensor:
            raise foreign_error(op, x)
        if not x.is_floating_point() and (floating or x.dtype is torch.bool):
            raise DtypeError(f"{op}: expected a floating tensor, got {x.dtype}; convert it with astype")
        if out is None:
            return function(x)
        out = check_out(op, out, x.shape, x.dtype)
        return function(x, out=out)

    return apply


_scalars: dict[tuple[Any, torch.dtype], Array] = {}


def scalar(value: Any, dtype: torch.dtype) -> Array:
    """Return a Python scalar as a 0-d CPU tensor, which torch mixes with tensors of any device.

    They are remembered: for torch to wrap a number takes as long as a small op.
    """
    key = (value, dtype)
    found = _scalars.get(key)
    if found is None:
        if len(_scalars) > 1000:
            _scalars.clear()
        with torch.inference_mode(False):
            found = torch.tensor(value, dtype=dtype)
        if value != 0:  # 0.0 and -0.0 are one key
            _scalars[key] = found
    return found


def binary(function: Any, *, floating: bool = False) -> Any:
    """Make the method of an elementwise op of two operands."""
    op = function.__name__

    def apply(self: object, x: Array, y: Array, *, out: Array = None) -> Array:
        if type(x) is _Tensor and type(y) is _Tensor and x.dtype is y.dtype:
            dtype = x.dtype
        elif type(x) is _Tensor and type(y) is float and x.is_floating_point():
            dtype = x.dtype
            y = scalar(y, dtype)
        else:
            dtype = agree(op, x, y)
            if type(x) is not _Tensor:
                x = scalar(x, dtype)
            elif type(y) is not _Tensor:
                y = scalar(y, dtype)
        if floating and not dtype.is_floating_point:
            raise DtypeError(f"{op}: expected floating tensors, got {NAMES[dtype]}; convert with astype")
        if out is None:
            return function(x, y)
        shape = x.shape if type(y) is not _Tensor or x.shape == y.shape else broadcast(x.shape, y.shape)
        out = check_out(op, out, shape, dtype)
        return function(x, y, out=out)

    return apply


def comparison(function: Any) -> Any:
    """Make the method of a comparison of two operands."""
    op = function.__name__

    def apply(self: object, x: Array, y: Array) -> Array:
        if type(x) is not _Tensor or type(y) is not _Tensor or x.dtype is not y.dtype:
            dtype = agree(op, x, y)
            if type(x) is not _Tensor:
                x = scalar(x, dtype)
        return function(x, y)

    return apply


def floating_pair(op: str, grad: Array, other: Array) -> torch.dtype:
    """Return the dtype of a gradient and a tensor of its shape, floating; torch's kernels check nothing."""
    dtype = floating(op, grad, other)
    if type(grad) is not _Tensor or type(other) is not _Tensor:
        raise foreign_error(op, other if type(grad) is _Tensor else grad)
    if grad.shape != other.shape:
        raise gradient_shape_error(op, grad.shape, other.shape)
    return dtype


def floating(op: str, *tensors: Array) -> torch.dtype:
    """Return the common dtype of tensors; raise unless there is one, and it is floating."""
    dtype = agree(op, tensors[0], tensors[-1])
    if not dtype.is_floating_point:
        raise DtypeError(f"{op}: expected floating tensors, got {NAMES[dtype]}; convert with astype")
    return dtype
