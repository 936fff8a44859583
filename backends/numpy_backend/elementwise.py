"""Handles of the numpy backend: the checks that ops make, and the elementwise methods, made of ufuncs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..base import scalar_dtype_error
from ..errors import DtypeError, ShapeError, foreign
from ..host import DTYPES, NativeDtypes
from ..protocol import Shape

Array = Any
_ndarray = np.ndarray
NATIVE = NativeDtypes({name: np.dtype(name) for name in DTYPES})
NAMES = {np.dtype(name): name for name in DTYPES}  # dtype.name takes microseconds

# 0-d arrays: for a ufunc to convert a Python number takes as long as a small op.
ZEROS: dict[str, Any] = {"f": np.zeros((), np.float32), "d": np.zeros((), np.float64)}

# The kinds of tensor that a Python scalar mixes with.
MIXES = {int: "if", float: "f", bool: "b"}


def check_out(op: str, out: Array, shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Return `out`, or None for a 0-d value that numpy gave as a scalar, which nobody can write to.

    Raise unless it has the result's shape and dtype: nothing is resized or converted.
    """
    if out.shape != shape:
        raise ShapeError(f"{op}: out must have the result's shape {shape}, got {out.shape}")
    if out.dtype != dtype:
        raise DtypeError(f"{op}: out must have the result's dtype {dtype}, got {out.dtype}")
    return out if type(out) is _ndarray else None


def _operand_error(op: str, x: object, y: object) -> DtypeError:
    tensors = [v for v in (x, y) if isinstance(v, (np.ndarray, np.generic))]
    others = [v for v in (x, y) if type(v) in (int, float, bool)]
    if len(tensors) == 2:
        return DtypeError(
            f"{op}: the tensors have unequal dtypes {x.dtype} and {y.dtype}; use astype"  # type: ignore[attr-defined]
        )
    if tensors and others:
        return scalar_dtype_error(op, others[0], str(tensors[0].dtype))
    handles = (np.ndarray, np.generic, int, float, bool)
    return foreign_error(op, next((v for v in (x, y) if not isinstance(v, handles)), x))


def foreign_error(op: str, value: object) -> DtypeError:
    """Return the error for something that is no handle of this backend."""
    return foreign(op, value, "a tensor of the numpy backend")


def agree(op: str, x: Array, y: Array) -> np.dtype[Any]:
    """Return the common dtype of two operands, of which one may be a Python scalar; else raise."""
    kx, ky = type(x), type(y)
    if kx is _ndarray or isinstance(x, np.generic):
        if ky is _ndarray or isinstance(y, np.generic):
            if x.dtype == y.dtype:
                return x.dtype  # type: ignore[no-any-return]
        elif x.dtype.kind in MIXES.get(ky, ""):
            return x.dtype  # type: ignore[no-any-return]
    elif (ky is _ndarray or isinstance(y, np.generic)) and y.dtype.kind in MIXES.get(kx, ""):
        return y.dtype  # type: ignore[no-any-return]
    raise _operand_error(op, x, y)


def check(op: str, *tensors: Array) -> None:
    """Raise unless these are handles of this backend; numpy itself would convert whatever comes."""
    for x in tensors:
        if type(x) is not _ndarray and not isinstance(x, np.generic):
            raise foreign_error(op, x)


def unary(ufunc: Any, *, floating: bool = True, silent: bool = False) -> Any:
    """Make the method of an elementwise op of one tensor; `silent` where IEEE results are meant."""
    op = ufunc.__name__

    def apply(self: object, x: Array, *, out: Array = None) -> Array:
        if type(x) is not _ndarray and not isinstance(x, np.generic):
            raise foreign_error(op, x)
        if x.dtype.kind != "f" and (floating or x.dtype.kind == "b"):
            raise DtypeError(f"{op}: expected a floating tensor, got {x.dtype}; convert it with astype")
        if out is not None:
            out = check_out(op, out, x.shape, x.dtype)
        if silent:
            with np.errstate(all="ignore"):
                return ufunc(x, out)
        return ufunc(x, out)

    return apply


def binary(ufunc: Any, *, floating: bool = False, silent: bool = False) -> Any:
    """Make the method of an elementwise op of two operands."""
    op = ufunc.__name__

    def apply(self: object, x: Array, y: Array, *, out: Array = None) -> Array:
        # The common cases first; dtypes of native arrays are singletons.
        if type(x) is _ndarray and (
            (type(y) is _ndarray and x.dtype is y.dtype) or (type(y) is float and x.dtype.kind == "f")
        ):
            dtype = x.dtype
        else:
            dtype = agree(op, x, y)
        if floating and dtype.kind != "f":
            raise DtypeError(f"{op}: expected floating tensors, got {dtype}; convert them with astype")
        if out is not None:
            alike = type(x) is _ndarray and (type(y) in MIXES or x.shape == y.shape)
            shape = x.shape if alike else np.broadcast_shapes(np.shape(x), np.shape(y))
            out = check_out(op, out, shape, dtype)
        # `out` by name: np.maximum deprecates it by position.
        if silent:
            with np.errstate(all="ignore"):
                return ufunc(x, y) if out is None else ufunc(x, y, out=out)
        return ufunc(x, y) if out is None else ufunc(x, y, out=out)

    return apply


def comparison(ufunc: Any) -> Any:
    """Make the method of a comparison of two operands."""
    op = ufunc.__name__

    def apply(self: object, x: Array, y: Array) -> Array:
        if type(x) is not _ndarray or type(y) is not _ndarray or x.dtype is not y.dtype:
            agree(op, x, y)
        return ufunc(x, y)

    return apply


MASKED_COPY = 256
"""Up to so many elements numpy's own masked copies are the faster way."""

_BITS = {4: np.int32, 8: np.int64}


def select(condition: Array, x: Array, y: Array) -> Array:
    """Return np.where(condition, x, y) for x and y of one dtype, bit for bit.

    np.where branches on each element, and mispredicts half of them where the condition has no order;
    past a few hundred elements it is ten times faster to choose bits: y ^ ((x ^ y) & mask).
    """
    bits = _BITS.get(y.dtype.itemsize)
    if bits is None or condition.size <= MASKED_COPY:
        return np.where(condition, x, y)
    mask = condition.astype(bits)
    np.negative(mask, mask)
    chosen = np.bitwise_xor(x.view(bits), y.view(bits))
    chosen = np.bitwise_and(chosen, mask)
    np.bitwise_xor(chosen, y.view(bits), chosen)
    return chosen.view(y.dtype)
