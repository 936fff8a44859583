"""Handles of the torch backend, and the checks that ops make of them."""

from __future__ import annotations

import math
from typing import Any

import torch

from ..errors import (
    DataError,
    DtypeError,
    ShapeError,
    foreign,
    gradient_shape_error,
    scalar_dtype_error,
    unequal_dtypes,
)
from ..host import NativeDtypes, fill_value
from ..protocol import Shape
from ..shapes import broadcast

Array = Any
NATIVE = NativeDtypes(
    {"float32": torch.float32, "float64": torch.float64, "int64": torch.int64, "bool": torch.bool}
)
NAMES = {value: key for key, value in NATIVE.items()}
# The guard inside torch.inference_mode, if torch exposes it: entering the outer one takes as long as an op,
# and an interrupt may come before its `__exit__` does anything.
InferenceMode: Any = getattr(torch._C, "_InferenceMode", torch.inference_mode)
_Tensor = torch.Tensor
HANDLES = frozenset({_Tensor})
"""No subclass is a handle: a torch.nn.Parameter records."""
_SCALARS = (int, float, bool)
LARGEST_FLOAT32 = torch.finfo(torch.float32).max


def fitting(scalar: Any, dtype: torch.dtype) -> Any:
    """Return a Python scalar; a float beyond float32 as the infinity that it rounds to, as numpy has it.

    torch raises RuntimeError where it converts the scalar itself.
    """
    if dtype is torch.float32 and type(scalar) is float and abs(scalar) > LARGEST_FLOAT32:
        return math.copysign(math.inf, scalar)
    return scalar


def foreign_error(op: str, value: object) -> DtypeError:
    """Return the error for an argument that is no handle of this backend."""
    return foreign(op, value, "a tensor of the torch backend")


def check(op: str, *tensors: object) -> None:
    """Raise DtypeError unless all are handles of this backend."""
    for x in tensors:
        if type(x) is not _Tensor:
            raise foreign_error(op, x)


def agree(op: str, x: Array, y: Array) -> torch.dtype:
    """Return the common dtype of two operands, one of which may be a Python scalar; else raise."""
    if type(x) is _Tensor and type(y) is _Tensor:
        if x.dtype is not y.dtype:
            raise unequal_dtypes(op, NAMES.get(x.dtype, x.dtype), NAMES.get(y.dtype, y.dtype))
        return x.dtype
    tensor, other = (x, y) if type(x) is _Tensor else (y, x)
    if type(tensor) is not _Tensor or type(other) not in _SCALARS:
        raise foreign_error(op, tensor if type(other) in _SCALARS else other)
    kind = type(other)
    mixes = tensor.dtype is torch.bool if kind is bool else tensor.dtype is not torch.bool
    if mixes and (kind is not float or tensor.is_floating_point()):
        if kind is int and abs(other) >= 2**63:
            fill_value(op, other, NAMES[tensor.dtype])
        return tensor.dtype
    raise scalar_dtype_error(op, other, NAMES.get(tensor.dtype, str(tensor.dtype)))


def alike(op: str, *tensors: Array) -> None:
    """Raise DtypeError unless all are tensors of one dtype, none a scalar."""
    check(op, *tensors)
    for other in tensors[1:]:
        agree(op, tensors[0], other)


def floating(op: str, x: Array) -> torch.dtype:
    """Return the dtype of a floating tensor; raise for anything else."""
    check(op, x)
    if not x.is_floating_point():
        raise DtypeError(f"{op}: expected a floating tensor, got {NAMES[x.dtype]}; convert it with astype")
    return x.dtype  # type: ignore[no-any-return]


def floating_pair(op: str, grad: Array, other: Array) -> None:
    """Raise unless a gradient and its tensor are floating and alike; torch's kernels check nothing."""
    alike(op, grad, other)
    floating(op, grad)
    if grad.shape != other.shape:
        raise gradient_shape_error(op, grad.shape, other.shape)


def unfit(op: str, x: Array, y: Array) -> None:
    """Raise for operands that torch refused: shapes that do not broadcast, a subtraction of booleans."""
    if x.dtype is torch.bool:
        raise DtypeError(f"{op}: expected numbers, got bool; convert them with astype")
    broadcast(x.shape, y.shape, op=op)


def check_index_dtype(op: str, indices: Array) -> None:
    """Raise unless indices are int64; torch takes int32 and, in places, bool as a mask."""
    if type(indices) is not _Tensor:
        raise foreign_error(op, indices)
    if indices.dtype is not torch.int64:
        raise DtypeError(f"{op}: expected indices of int64, got {NAMES.get(indices.dtype, indices.dtype)}")


def check_indices(op: str, indices: Array, extent: int) -> None:
    """Raise if torch refused indices because one is not from 0 to the extent."""
    wrong = indices[(indices < 0) | (indices >= extent)]
    if wrong.numel():
        raise DataError(f"{op}: expected indices from 0 to {extent - 1}, got {wrong.reshape(-1)[0].item()}")


def check_out(op: str, out: Array, shape: Shape, dtype: torch.dtype) -> Array:
    """Return `out`, or None if torch lets nothing write to it here.

    Raise unless it has the result's shape and dtype; torch would resize it.
    """
    if out.shape != shape:
        raise ShapeError(f"{op}: expected out of the result's shape {tuple(shape)}, got {tuple(out.shape)}")
    if out.dtype is not dtype:
        raise DtypeError(f"{op}: expected out of the result's dtype {NAMES[dtype]}, got {out.dtype}")
    return out if writable(out) else None


def writable(x: Array) -> bool:
    """Whether torch lets x be written: outside a session it refuses tensors that were made in one."""
    return not x.is_inference() or torch.is_inference_mode_enabled()
