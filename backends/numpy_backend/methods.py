"""Methods of the numpy backend, made of numpy's functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DtypeError
from ..methods import Method, OpMethod, checker
from ..quiet import silenced
from ..shapes import broadcast
from .handles import HANDLES, SCALARS, Array, agree, check_out, constant, foreign_error, unfit

_ndarray = np.ndarray
checked = checker(HANDLES, foreign_error)


def unary(ufunc: Any, *, floating: bool = True, silent: bool = False) -> Any:
    """Make an elementwise op of one tensor. silent: IEEE results such as log 0 raise no warning."""

    function = silenced(ufunc) if silent else ufunc

    def make(op: str) -> Method:
        def apply(self: object, x: Array, *, out: Array = None) -> Array:
            if type(x) not in HANDLES:
                raise foreign_error(op, x)
            if x.dtype.kind != "f" and (floating or x.dtype.kind == "b"):
                raise DtypeError(f"{op}: expected a floating tensor, got {x.dtype}; convert it with astype")
            if out is not None:
                out = check_out(op, out, x.shape, x.dtype)
            return function(x, out)

        return apply

    return OpMethod(make)


def binary(ufunc: Any, *, floating: bool = False, silent: bool = False) -> Any:
    """Make an elementwise op of two operands."""

    function = silenced(ufunc) if silent else ufunc

    def make(op: str) -> Method:
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
                alike = type(x) is _ndarray and (type(y) in SCALARS or x.shape == y.shape)
                shape = x.shape if alike else broadcast(np.shape(x), np.shape(y), op=op)
                out = check_out(op, out, shape, dtype)
            if type(y) is float:
                y = constant(y, dtype)
            # `out` by name: np.maximum deprecates it by position.
            try:
                return function(x, y) if out is None else function(x, y, out=out)
            except (TypeError, ValueError):
                unfit(op, x, y)
                raise

        return apply

    return OpMethod(make)


def comparison(ufunc: Any) -> Any:
    """Make a comparison of two operands."""

    def make(op: str) -> Method:
        def apply(self: object, x: Array, y: Array) -> Array:
            if type(x) is not _ndarray or type(y) is not _ndarray or x.dtype is not y.dtype:
                agree(op, x, y)
            try:
                return ufunc(x, y)
            except ValueError:
                unfit(op, x, y)
                raise

        return apply

    return OpMethod(make)


MASKED_COPY = 256
"""Elements up to which numpy's own masked copies are faster."""

BITS: dict[int, Any] = {4: np.int32, 8: np.int64}
"""The integers as long as a float, by its bytes."""


def select(condition: Array, x: Array, y: Array) -> Array:
    """Return np.where(condition, x, y) for x and y of one dtype, bit for bit.

    np.where branches on each element, and mispredicts half of an unordered condition. Past a few hundred
    elements it is ten times faster to choose bits: y ^ ((x ^ y) & mask).
    """
    bits = BITS.get(y.dtype.itemsize)
    if bits is None or condition.size <= MASKED_COPY:
        return np.where(condition, x, y)
    if condition.size < y.size and x.ndim == 0 and spreads(condition.shape, y.shape):
        chosen = np.array(y)
        np.copyto(chosen, x, where=condition)
        return chosen
    mask = condition.astype(bits)
    np.negative(mask, mask)
    chosen = np.bitwise_xor(x.view(bits), y.view(bits))
    chosen = np.bitwise_and(chosen, mask)
    np.bitwise_xor(chosen, y.view(bits), chosen)
    return chosen.view(y.dtype)


def spreads(shape: tuple[int, ...], over: tuple[int, ...]) -> bool:
    """Return whether a condition has an element for several elements at a time: (N, 1) over (N, C), say."""
    return len(shape) == len(over) and all(n in (1, m) for n, m in zip(shape, over, strict=True))
