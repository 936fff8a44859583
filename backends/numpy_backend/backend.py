"""The primitives in numpy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from .. import random as host_random
from ..errors import DtypeError, ShapeError
from ..host import blas_threads, check_dtype, host_array
from ..protocol import Axis, Shape, Widths
from ..shapes import count, reduced, slices
from ..windows import Window
from .derived import EXACT_SUM, NumpyDerived
from .elementwise import (
    NAMES,
    NATIVE,
    Array,
    agree,
    binary,
    check,
    check_out,
    comparison,
    foreign_error,
    select,
    unary,
)
from .pooling import NumpyPooling

_ndarray = np.ndarray
_add_reduce: Any = np.add.reduce  # Any: the stubs do not know `axis` and `keepdims` by position
_max_reduce: Any = np.maximum.reduce


class NumpyBackend(NumpyDerived, NumpyPooling):
    """numpy on the CPU. Threads are BLAS's own (LAMINA_THREADS pins them)."""

    name = "numpy"

    def details(self) -> dict[str, str | int]:
        """Return numpy's version, the device and BLAS's threads."""
        return {"version": np.__version__, "device": "cpu", "threads": blas_threads()}

    # -- metadata, create, transfer --------------------------------------------------------------

    def shape(self, x: Array) -> Shape:
        """Return the extents of x."""
        if type(x) is not _ndarray and not isinstance(x, np.generic):
            raise foreign_error("shape", x)
        return x.shape

    def dtype(self, x: Array) -> str:
        """Return the dtype's name."""
        if type(x) is not _ndarray and not isinstance(x, np.generic):
            raise foreign_error("dtype", x)
        return NAMES.get(x.dtype) or str(x.dtype)

    def from_host(self, array: Any, *, dtype: str | None = None) -> Array:
        """Copy in, with floats in the default dtype and integers in int64."""
        return host_array(array, dtype, self.default_dtype)

    def to_host(self, x: Array) -> Array:
        """Copy out."""
        self.shape(x)
        return np.array(x)

    def item(self, x: Array) -> Any:
        """Return the one element."""
        if self.shape(x) != () and x.size != 1:
            raise ShapeError(f"item: expected a tensor of one element, got shape {x.shape}")
        return x.item()

    def empty(self, shape: Shape, *, dtype: str | None = None) -> Array:
        """Return np.empty."""
        return np.empty(shape, NATIVE[dtype or self.default_dtype])

    def full(self, shape: Shape, value: Any, *, dtype: str | None = None) -> Array:
        """Return np.full."""
        return np.full(shape, value, NATIVE[dtype or self.default_dtype])

    def arange(self, start: int, stop: int, step: int = 1, *, dtype: str = "int64") -> Array:
        """Return np.arange."""
        return np.arange(start, stop, step, dtype=NATIVE[dtype])

    def astype(self, x: Array, dtype: str) -> Array:
        """Return x converted."""
        check_dtype("astype", dtype)
        check("astype", x)
        return x.astype(dtype)

    def copy(self, x: Array, *, out: Array = None) -> Array:
        """Return a copy."""
        check("copy", x)
        if out is not None:
            out = check_out("copy", out, x.shape, x.dtype)
        if out is None:
            return np.array(x)
        if out is not x:
            np.copyto(out, x)
        return out

    def random(
        self,
        shape: Shape,
        *,
        seed: int,
        stream: int | str,
        step: int = 0,
        distribution: host_random.Distribution = "uniform",
        dtype: str | None = None,
    ) -> Array:
        """Draw on the host, where every backend draws."""
        return host_random.draw(shape, seed, stream, step, distribution, dtype or self.default_dtype)

    # -- elementwise, select ---------------------------------------------------------------------

    negative = unary(np.negative, floating=False)
    abs = unary(np.absolute, floating=False)
    sign = unary(np.sign, floating=False)
    exp = unary(np.exp, silent=True)
    log = unary(np.log, silent=True)
    log1p = unary(np.log1p, silent=True)
    sqrt = unary(np.sqrt, silent=True)
    tanh = unary(np.tanh)

    add = binary(np.add)
    subtract = binary(np.subtract)
    multiply = binary(np.multiply)
    divide = binary(np.divide, floating=True, silent=True)
    pow = binary(np.power, floating=True, silent=True)
    maximum = binary(np.maximum)
    minimum = binary(np.minimum)

    equal = comparison(np.equal)
    less = comparison(np.less)
    less_equal = comparison(np.less_equal)
    greater = comparison(np.greater)

    def logical_not(self, x: Array) -> Array:
        """Return not x."""
        if self.dtype(x) != "bool":
            raise DtypeError(f"logical_not: expected a bool tensor, got {x.dtype}")
        return np.logical_not(x)

    def where(self, condition: Array, x: Array, y: Array) -> Array:
        """Return np.where, a scalar taking the tensor's dtype."""
        dtype = agree("where", x, y)
        if self.dtype(condition) != "bool":
            raise DtypeError(f"where: the condition must be a bool tensor, got {condition.dtype}")
        x = x if isinstance(x, np.ndarray) else dtype.type(x)
        y = y if isinstance(y, np.ndarray) else dtype.type(y)
        return select(condition, x, y)

    # -- reduce, contract ------------------------------------------------------------------------

    def sum(self, x: Array, *, axis: Axis = None, keepdims: bool = False, out: Array = None) -> Array:
        """Return the sum, in float64 inside where float32 would lose digits."""
        if type(x) is not _ndarray and not isinstance(x, np.generic):
            raise foreign_error("sum", x)
        shape = x.shape
        if out is not None:
            dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.int64)
            out = check_out("sum", out, reduced(shape, axis, keepdims), dtype)
        length = shape[axis] if type(axis) is int else count(shape, axis)
        if length > EXACT_SUM and x.dtype.char == "f":
            total = _add_reduce(x, axis, np.float64, None, keepdims)
            if out is None:
                return total.astype(np.float32)
            np.copyto(out, total, casting="same_kind")
            return out
        return _add_reduce(x, axis, None, out, keepdims)

    def max(self, x: Array, *, axis: Axis = None, keepdims: bool = False, out: Array = None) -> Array:
        """Return the maximum."""
        shape = self.shape(x)
        if out is not None:
            out = check_out("max", out, reduced(shape, axis, keepdims), x.dtype)
        return _max_reduce(x, axis, None, out, keepdims)

    def argmax(self, x: Array, *, axis: int, keepdims: bool = False) -> Array:
        """Return the index of the first maximum."""
        check("argmax", x)
        return np.argmax(x, axis=axis, keepdims=keepdims)

    def matmul(self, x: Array, y: Array, *, out: Array = None) -> Array:
        """Return the matrix product; two matrices go straight to BLAS."""
        if type(x) is not _ndarray or type(y) is not _ndarray or x.dtype is not y.dtype:
            agree("matmul", x, y)
        if x.ndim == 2 and y.ndim == 2:
            if out is None:
                return x.dot(y)
            try:
                return x.dot(y, out)
            except (ValueError, TypeError):  # out is not contiguous, or does not fit
                check_out("matmul", out, (x.shape[0], y.shape[1]), x.dtype)
                return np.matmul(x, y, out)
        if x.ndim < 2 or y.ndim < 2:
            raise ShapeError(f"matmul: expected at least two axes on each side, got {x.shape} and {y.shape}")
        if out is not None:
            batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
            check_out("matmul", out, (*batch, x.shape[-2], y.shape[-1]), x.dtype)
        return np.matmul(x, y, out)

    # -- move ------------------------------------------------------------------------------------

    def reshape(self, x: Array, shape: Shape) -> Array:
        """Return x.reshape(shape)."""
        check("reshape", x)
        return x.reshape(shape)

    def permute_dims(self, x: Array, axes: tuple[int, ...]) -> Array:
        """Return x.transpose(axes)."""
        check("permute_dims", x)
        return x.transpose(axes)

    def broadcast_to(self, x: Array, shape: Shape) -> Array:
        """Return a read-only view."""
        check("broadcast_to", x)
        return np.broadcast_to(x, shape)

    def concat(self, tensors: Sequence[Array], *, axis: int = 0) -> Array:
        """Return np.concatenate."""
        check("concat", tensors[0])
        for other in tensors[1:]:
            agree("concat", tensors[0], other)
        return np.concatenate(tensors, axis=axis)

    def pad(self, x: Array, widths: Widths, *, value: Any = 0.0) -> Array:
        """Return x in the middle of a filled array."""
        check("pad", x)
        shape = tuple(n + before + after for n, (before, after) in zip(x.shape, widths, strict=True))
        padded = np.full(shape, value, x.dtype)
        padded[tuple(slice(b, b + n) for n, (b, _) in zip(x.shape, widths, strict=True))] = x
        return padded

    def slice(
        self,
        x: Array,
        starts: tuple[int, ...],
        stops: tuple[int, ...],
        *,
        steps: tuple[int, ...] | None = None,
    ) -> Array:
        """Return the view x[starts:stops:steps]."""
        check("slice", x)
        return x[slices(starts, stops, steps)]

    # -- index -----------------------------------------------------------------------------------

    def take(self, x: Array, indices: Array, *, axis: int) -> Array:
        """Return np.take."""
        check("take", x, indices)
        return np.take(x, indices, axis=axis)

    def index_add(self, x: Array, indices: Array, values: Array, *, axis: int, out: Array = None) -> Array:
        """Return a copy of x with values added at the indices."""
        agree("index_add", x, values)
        check("index_add", indices)
        result = self.copy(x, out=out)
        np.add.at(np.moveaxis(result, axis, 0), indices, np.moveaxis(values, axis, 0))
        return result

    def take_along_axis(self, x: Array, indices: Array, *, axis: int) -> Array:
        """Return np.take_along_axis."""
        check("take_along_axis", x, indices)
        return np.take_along_axis(x, indices, axis)

    def scatter_add(self, x: Array, indices: Array, values: Array, *, axis: int, out: Array = None) -> Array:
        """Return a copy of x with values added where the indices point."""
        agree("scatter_add", x, values)
        check("scatter_add", indices)
        result = self.copy(x, out=out)
        grid = list(np.ogrid[tuple(slice(n) for n in indices.shape)])
        grid[axis] = indices
        np.add.at(result, tuple(grid), values)
        return result

    def slice_add(
        self,
        x: Array,
        values: Array,
        starts: tuple[int, ...],
        stops: tuple[int, ...],
        *,
        steps: tuple[int, ...] | None = None,
        out: Array = None,
    ) -> Array:
        """Return a copy of x with values added to a slice of it."""
        agree("slice_add", x, values)
        result = self.copy(x, out=out)
        result[slices(starts, stops, steps)] += values
        return result

    # -- window ----------------------------------------------------------------------------------

    def unfold(self, x: Array, window: Window, *, out: Array = None) -> Array:
        """Copy a strided view of the padded image."""
        check("unfold", x)
        columns = window.columns_of("unfold", x.shape)
        if window.padded:
            x = self.pad(x, ((0, 0), (0, 0), *window.padding))
        shape, strides = window.view(x.strides[2:])
        shape = (*x.shape[:2], *shape)
        view = np.lib.stride_tricks.as_strided(x, shape, (*x.strides[:2], *strides), writeable=False)
        if out is None:
            out = np.empty(columns, x.dtype)  # view.reshape would be x itself for a kernel of one place
        else:
            check_out("unfold", out, columns, x.dtype)
        if out.flags.c_contiguous:
            np.copyto(out.reshape(shape), view)
        else:
            np.copyto(out, view.reshape(columns))
        return out

    def fold(self, columns: Array, window: Window, *, out: Array = None) -> Array:
        """Add the values of each place in the kernel to the slice of the image that it saw."""
        check("fold", columns)
        shape = window.image_of("fold", columns.shape)
        if out is not None:
            check_out("fold", out, shape, columns.dtype)
        parts = columns.reshape(*shape[:2], *window.kernel_size, *window.counts)
        image: Any = out if out is not None and not window.padded else None
        if image is None:
            image = np.empty((*shape[:2], *window.padded_size), columns.dtype)
        image[...] = 0
        for offset, place in window.offsets():
            image[(..., *place)] += parts[(slice(None), slice(None), *offset)]
        inner = image[(..., *window.interior())]
        if out is None or inner is out:
            return inner
        if window.padded:
            np.copyto(out, inner)
        return out

    # -- storage ---------------------------------------------------------------------------------

    def cells(
        self, shapes: Mapping[str, Shape], *, dtype: str | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """Return a zero-filled array and its named views."""
        sizes = [math.prod(shape) for shape in shapes.values()]
        flat = np.zeros(sum(sizes), NATIVE[dtype or self.default_dtype])
        views, start = {}, 0
        for (name, shape), size in zip(shapes.items(), sizes, strict=True):
            views[name] = flat[start : start + size].reshape(shape)
            start += size
        return flat, views

    def assign(self, cell: Array, value: Array) -> None:
        """Copy value into the cell, unless it is there already."""
        if value is not cell:
            check_out("assign", cell, self.shape(value), value.dtype)
            np.copyto(cell, value)

    def session(self) -> AbstractContextManager[None]:
        """Let overflow and NaN pass without a warning, as they do on every other backend."""
        return np.errstate(all="ignore")
