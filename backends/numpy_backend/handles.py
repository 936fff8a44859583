"""Handles of the numpy backend, and the checks that ops make of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DataError, DtypeError, ShapeError, foreign, scalar_dtype_error, unequal_dtypes
from ..host import DTYPES, NativeDtypes, fill_value
from ..protocol import Shape
from ..shapes import broadcast

Array = Any
NATIVE = NativeDtypes({name: np.dtype(name) for name in DTYPES})
NAMES = {np.dtype(name): name for name in DTYPES}  # dtype.name takes microseconds
HANDLES = frozenset({np.ndarray, *(dtype.type for dtype in NATIVE.values())})
"""numpy returns 0-d values as scalars, which are handles, too."""
SCALARS = {int: "if", float: "f", bool: "b"}
"""Python's scalars, and the kinds of tensor that each mixes with."""

INT64 = NATIVE["int64"]
_UNSIGNED = np.dtype(np.uint64)
_ndarray = np.ndarray
_largest: Any = np.maximum.reduce


def foreign_error(op: str, value: object) -> DtypeError:
    """Return the error for an argument that is no handle of this backend."""
    return foreign(op, value, "a tensor of the numpy backend")


def check(op: str, *tensors: Array) -> None:
    """Raise DtypeError unless all are handles of this backend; numpy itself would convert anything."""
    for x in tensors:
        if type(x) not in HANDLES:
            raise foreign_error(op, x)


def agree(op: str, x: Array, y: Array) -> np.dtype[Any]:
    """Return the common dtype of two operands, one of which may be a Python scalar; else raise."""
    if type(x) in HANDLES and type(y) in HANDLES:
        if x.dtype != y.dtype:
            raise unequal_dtypes(op, x.dtype, y.dtype)
        return x.dtype  # type: ignore[no-any-return]
    tensor, other = (x, y) if type(x) in HANDLES else (y, x)
    if type(tensor) not in HANDLES or type(other) not in SCALARS:
        raise foreign_error(op, tensor if type(other) in SCALARS else other)
    if tensor.dtype.kind not in SCALARS[type(other)]:
        raise scalar_dtype_error(op, other, str(tensor.dtype))
    if type(other) is int and abs(other) >= 2**63:
        fill_value(op, other, NAMES[tensor.dtype])
    return tensor.dtype  # type: ignore[no-any-return]


def alike(op: str, *tensors: Array) -> None:
    """Raise DtypeError unless all are tensors of one dtype, none a scalar."""
    check(op, *tensors)
    for other in tensors[1:]:
        agree(op, tensors[0], other)


def unfit(op: str, x: Array, y: Array) -> None:
    """Raise for operands that numpy refused: shapes that do not broadcast, a subtraction of booleans."""
    if np.result_type(x, y).kind == "b":
        raise DtypeError(f"{op}: expected numbers, got bool; convert them with astype")
    broadcast(np.shape(x), np.shape(y), op=op)


def check_index_dtype(op: str, indices: Array) -> None:
    """Raise unless indices are int64; numpy takes other integers, and bool as a mask."""
    if type(indices) not in HANDLES:
        raise foreign_error(op, indices)
    if indices.dtype is not INT64 and indices.dtype != INT64:
        raise DtypeError(f"{op}: expected indices of int64, got {indices.dtype}")


def check_indices(op: str, indices: Array, extent: int) -> None:
    """Raise unless all are int64, from 0 to the extent; numpy would count negative ones from the end."""
    check_index_dtype(op, indices)
    # As unsigned numbers, negative ones are the largest.
    if indices.size and _largest(indices.view(_UNSIGNED), None) >= extent:
        wrong = indices[(indices < 0) | (indices >= extent)]
        raise DataError(f"{op}: expected indices from 0 to {extent - 1}, got {wrong.reshape(-1)[0]}")


def check_out(op: str, out: Array, shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Return `out`, or None for a scalar of numpy's, which nothing can be written to.

    Raise unless it has the result's shape and dtype: nothing is resized or converted.
    """
    if out.shape != shape:
        raise ShapeError(f"{op}: expected out of the result's shape {shape}, got {out.shape}")
    if out.dtype != dtype:
        raise DtypeError(f"{op}: expected out of the result's dtype {dtype}, got {out.dtype}")
    return out if type(out) is _ndarray else None


_constants: dict[str, dict[float, Array]] = {"f": {}, "d": {}}
_LARGEST = float(np.finfo(np.float32).max)


def constant(value: float, dtype: np.dtype[Any]) -> Any:
    """Return a Python float as a 0-d array; a ufunc takes as long to convert it as to run a small op."""
    known = _constants[dtype.char]
    array = known.get(value)
    if array is None:
        if not 0.0 < abs(value) <= _LARGEST:  # 0.0 and -0.0 are one key; numpy warns of larger ones
            return value
        if len(known) >= 1000:
            known.clear()
        array = known[value] = np.array(value, dtype)
    return array
