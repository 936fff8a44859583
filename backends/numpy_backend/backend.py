"""The primitives in numpy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

import numpy as np
from typing_extensions import override

from .. import random as host_random
from ..errors import DtypeError, ShapeError
from ..host import blas_threads, check_dtype, fill_value, host_array
from ..methods import moved
from ..options import as_integer
from ..protocol import Axis, Shape, Tensor, Widths
from ..quiet import quiet
from ..shapes import (
    along,
    axes_in,
    axis_of,
    broadcast,
    cell_shapes,
    check_not_empty,
    check_order,
    check_reshape,
    check_sequence,
    check_stretch,
    check_values,
    count,
    extents,
    joined,
    permuted,
    product,
    range_of,
    reduced,
    reshaped,
    sliced,
    slices,
    stretched,
    taken,
    widths_of,
)
from ..windows import Window, check_window
from .derived import NumpyDerived
from .handles import (
    HANDLES,
    NAMES,
    NATIVE,
    SCALARS,
    Array,
    agree,
    alike,
    check,
    check_indices,
    check_out,
    foreign_error,
)
from .methods import binary, checked, comparison, select, unary
from .normalization import NumpyNormalization
from .pieces import EXACT_SUM, ONES, long_sum
from .pooling import NumpyPooling

_ndarray = np.ndarray
_add_reduce: Any = np.add.reduce  # Any: the stubs do not know `axis` and `keepdims` by position
_max_reduce: Any = np.maximum.reduce


class NumpyBackend(NumpyDerived, NumpyNormalization, NumpyPooling):
    """numpy on the CPU. Its threads are BLAS's, pinned by LAMINA_THREADS."""

    name = "numpy"

    @override
    def details(self) -> dict[str, str | int]:
        return {"version": np.__version__, "device": "cpu", "threads": blas_threads()}

    # -- metadata, create, transfer --------------------------------------------------------------

    @override
    def shape(self, x: Array) -> Shape:
        if type(x) not in HANDLES:
            raise foreign_error("shape", x)
        return x.shape  # type: ignore[no-any-return]

    @override
    def dtype(self, x: Array) -> str:
        if type(x) not in HANDLES:
            raise foreign_error("dtype", x)
        return NAMES.get(x.dtype) or str(x.dtype)

    @override
    def from_host(self, array: Any, *, dtype: str | None = None) -> Array:
        return host_array(array, dtype, self.default_dtype)

    to_host = checked(np.array)

    @override
    def item(self, x: Array) -> Any:
        if type(x) not in HANDLES:
            raise foreign_error("item", x)
        if x.size != 1:
            raise ShapeError(f"item: expected a tensor of one element, got shape {x.shape}")
        return x.item()

    @override
    def empty(self, shape: Shape, *, dtype: str | None = None) -> Array:
        native = NATIVE[dtype or self.default_dtype]
        try:
            return np.empty(shape if type(shape) is tuple else extents("empty", shape), native)
        except (TypeError, ValueError):
            return np.empty(extents("empty", shape), native)

    @override
    def full(self, shape: Shape, value: Any, *, dtype: str | None = None) -> Array:
        dtype = dtype or self.default_dtype
        native = NATIVE[dtype]
        return np.full(extents("full", shape), fill_value("full", value, dtype), native)

    @override
    def arange(self, start: int, stop: int, step: int = 1, *, dtype: str = "int64") -> Array:
        return np.arange(*range_of(start, stop, step, dtype), dtype=NATIVE[dtype])

    @override
    def astype(self, x: Array, dtype: str) -> Array:
        check_dtype("astype", dtype)
        check("astype", x)
        return x.astype(dtype)

    @override
    def copy(self, x: Array, *, out: Array = None) -> Array:
        check("copy", x)
        if out is not None:
            out = check_out("copy", out, x.shape, x.dtype)
        if out is None:
            return np.array(x)
        if out is not x:
            np.copyto(out, x)
        return out

    @override
    def random(
        self,
        shape: Shape,
        *,
        seed: int,
        stream: int | str,
        step: int | Tensor = 0,
        distribution: host_random.Distribution = "uniform",
        dtype: str | None = None,
    ) -> Array:
        number = step if type(step) is int else self._counted(step)
        return host_random.draw(
            extents("random", shape), seed, stream, number, distribution, dtype or self.default_dtype
        )

    def _counted(self, step: Any) -> Any:
        """Return the step that a tensor holds; a number stays."""
        if type(step) in HANDLES:
            host_random.check_counter(step.shape, self.dtype(step))
            return int(step)
        if type(step) not in SCALARS and as_integer(step) is None:
            raise foreign_error("random", step)
        return step

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

    @override
    def logical_not(self, x: Array) -> Array:
        if self.dtype(x) != "bool":
            raise DtypeError(f"logical_not: expected a bool tensor, got {x.dtype}")
        return np.logical_not(x)

    @override
    def where(self, condition: Array, x: Array, y: Array) -> Array:
        dtype = agree("where", x, y)
        if self.dtype(condition) != "bool":
            raise DtypeError(f"where: expected a bool tensor as condition, got {condition.dtype}")
        x = x if type(x) is _ndarray else dtype.type(x)
        y = y if type(y) is _ndarray else dtype.type(y)
        try:
            return select(condition, x, y)
        except ValueError:
            broadcast(np.shape(condition), np.shape(x), np.shape(y), op="where")
            raise

    # -- reduce, contract ------------------------------------------------------------------------

    @override
    def sum(self, x: Array, *, axis: Axis = None, keepdims: bool = False, out: Array = None) -> Array:
        """Accumulate long float32 sums in float64; numpy's pairwise sum covers only some axes."""
        check("sum", x)
        if axis is None and out is None and not keepdims and x.size <= EXACT_SUM and x.dtype.char in ONES:
            # A product with ones: BLAS sums few elements in half of np.add.reduce's time.
            return ONES[x.dtype.char][x.size].dot(x.ravel())
        shape = x.shape
        if axis is not None and (type(axis) is not int or not -len(shape) <= axis < len(shape)):
            axis = axes_in("sum", axis, len(shape))
        if out is not None:
            dtype = x.dtype if x.dtype.kind == "f" else NATIVE["int64"]
            out = check_out("sum", out, reduced(shape, axis, keepdims), dtype)
        length = shape[axis] if type(axis) is int else count(shape, axis)
        if length > EXACT_SUM and x.dtype.char == "f":
            total = long_sum(x, axis, keepdims)
            if out is None:
                return total.astype(np.float32)
            np.copyto(out, total, casting="same_kind")
            return out
        return _add_reduce(x, axis, None, out, keepdims)

    @override
    def max(self, x: Array, *, axis: Axis = None, keepdims: bool = False, out: Array = None) -> Array:
        check("max", x)
        axis = axes_in("max", axis, x.ndim)
        if out is not None:
            out = check_out("max", out, reduced(x.shape, axis, keepdims), x.dtype)
        try:
            return _max_reduce(x, axis, None, out, keepdims)
        except ValueError:
            check_not_empty("max", x.shape, axis)
            raise

    @override
    def argmax(self, x: Array, *, axis: int, keepdims: bool = False) -> Array:
        check("argmax", x)
        axis = axis_of("argmax", axis, x.ndim)
        try:
            return np.argmax(x, axis, keepdims=keepdims)
        except ValueError:
            check_not_empty("argmax", x.shape, axis)
            raise

    @override
    def matmul(self, x: Array, y: Array, *, out: Array = None) -> Array:
        """Two matrices go straight to BLAS."""
        if type(x) is not _ndarray or type(y) is not _ndarray or x.dtype is not y.dtype:
            alike("matmul", x, y)
        if x.ndim == 2 and y.ndim == 2:
            try:
                if out is None:
                    return x.dot(y)
                check_out("matmul", out, (x.shape[0], y.shape[1]), x.dtype)
                return x.dot(y, out) if out.flags.c_contiguous else np.matmul(x, y, out)
            except ValueError:
                product(x.shape, y.shape)
                raise
        shape = product(x.shape, y.shape)
        if out is not None:
            check_out("matmul", out, shape, x.dtype)
        return np.matmul(x, y, out)

    # -- move, index -----------------------------------------------------------------------------

    @override
    def reshape(self, x: Array, shape: Shape) -> Array:
        check("reshape", x)
        return moved(x, shape, check_reshape, reshaped, lambda x, shape: x.reshape(shape))

    @override
    def permute_dims(self, x: Array, axes: tuple[int, ...]) -> Array:
        check("permute_dims", x)
        return moved(x, axes, check_order, permuted, lambda x, axes: x.transpose(axes))

    @override
    def broadcast_to(self, x: Array, shape: Shape) -> Array:
        check("broadcast_to", x)
        return moved(x, shape, check_stretch, stretched, np.broadcast_to)

    @override
    def slice(
        self,
        x: Array,
        starts: tuple[int, ...],
        stops: tuple[int, ...],
        *,
        steps: tuple[int, ...] | None = None,
    ) -> Array:
        if type(x) not in HANDLES:
            raise foreign_error("slice", x)
        return x[slices("slice", x.shape, starts, stops, steps)]

    @override
    def take(self, x: Array, indices: Array, *, axis: int) -> Array:
        check("take", x, indices)
        taken("take", x.shape, indices.shape, axis)
        check_indices("take", indices, x.shape[axis])
        return np.take(x, indices, axis)

    @override
    def take_along_axis(self, x: Array, indices: Array, *, axis: int) -> Array:
        check("take_along_axis", x, indices)
        along("take_along_axis", x.shape, indices.shape, axis)
        check_indices("take_along_axis", indices, x.shape[axis])
        if x.ndim == 2 and x.flags.c_contiguous:
            return x.reshape(-1).take(_places(x, indices, axis))
        return np.take_along_axis(x, indices, axis)

    @override
    def concat(self, tensors: Sequence[Array], *, axis: int = 0) -> Array:
        check_sequence(tensors)
        alike("concat", *tensors)
        joined([x.shape for x in tensors], axis)
        return np.concatenate(tensors, axis=axis)

    @override
    def pad(self, x: Array, widths: Widths, *, value: Any = 0.0) -> Array:
        check("pad", x)
        widths = widths_of(x.shape, widths)
        value = fill_value("pad", value, NAMES[x.dtype]) if value != 0 or type(value) is not float else 0
        shape = tuple(n + before + after for n, (before, after) in zip(x.shape, widths, strict=True))
        padded = np.full(shape, value, x.dtype)
        padded[tuple(slice(before, before + n) for n, (before, _) in zip(x.shape, widths, strict=True))] = x
        return padded

    @override
    def index_add(self, x: Array, indices: Array, values: Array, *, axis: int, out: Array = None) -> Array:
        alike("index_add", x, values)
        check("index_add", indices)
        check_values("index_add", taken("index_add", x.shape, indices.shape, axis), values.shape)
        check_indices("index_add", indices, x.shape[axis])
        result = self.copy(x, out=out)
        np.add.at(np.moveaxis(result, axis, 0), indices, np.moveaxis(values, axis, 0))
        return result

    @override
    def scatter_add(self, x: Array, indices: Array, values: Array, *, axis: int, out: Array = None) -> Array:
        alike("scatter_add", x, values)
        check("scatter_add", indices)
        check_values("scatter_add", along("scatter_add", x.shape, indices.shape, axis), values.shape)
        check_indices("scatter_add", indices, x.shape[axis])
        result = self.copy(x, out=out)
        if result.ndim == 2 and result.flags.c_contiguous:
            np.add.at(result.reshape(-1), _places(x, indices, axis).reshape(-1), values.reshape(-1))
            return result
        grid = list(np.ogrid[tuple(map(slice, indices.shape))])
        grid[axis] = indices
        np.add.at(result, tuple(grid), values)
        return result

    @override
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
        alike("slice_add", x, values)
        place = slices("slice_add", x.shape, starts, stops, steps)
        check_values("slice_add", sliced(x.shape, place), values.shape)
        result = self.copy(x, out=out)
        result[place] += values
        return result

    # -- window ----------------------------------------------------------------------------------

    @override
    def unfold(self, x: Array, window: Window, *, out: Array = None) -> Array:
        """Copy a strided view of the padded image."""
        check("unfold", x)
        check_window("unfold", window)
        columns = window.columns_of("unfold", x.shape)
        if out is None:
            out = np.empty(columns, x.dtype)  # view.reshape would be x itself for a kernel of one place
        else:
            check_out("unfold", out, columns, x.dtype)
        if window.padded:
            x = self.pad(x, ((0, 0), (0, 0), *window.padding))
        shape, strides = window.view(x.strides[2:])
        shape = (*x.shape[:2], *shape)
        view = np.lib.stride_tricks.as_strided(x, shape, (*x.strides[:2], *strides), writeable=False)
        if out.flags.c_contiguous:
            np.copyto(out.reshape(shape), view)
        else:
            np.copyto(out, view.reshape(columns))
        return out

    @override
    def fold(self, columns: Array, window: Window, *, out: Array = None) -> Array:
        """Add the values of each place in the kernel to the slice of the image that it saw."""
        check("fold", columns)
        check_window("fold", window)
        shape = window.image_of("fold", columns.shape)
        if out is not None:
            check_out("fold", out, shape, columns.dtype)
        parts = columns.reshape(*shape[:2], *window.kernel_size, *window.counts)
        direct = out is not None and not window.padded
        image: Array = out if direct else np.empty((*shape[:2], *window.padded_size), columns.dtype)
        image[...] = 0
        for offset, place in window.offsets():
            image[(..., *place)] += parts[(_ALL, _ALL, *offset)]
        if direct:
            return out
        inner = image[(..., *window.interior())]
        if out is None:
            return inner
        np.copyto(out, inner)
        return out

    # -- storage ---------------------------------------------------------------------------------

    @override
    def cells(
        self, shapes: Mapping[str, Shape], *, dtype: str | None = None
    ) -> tuple[Array, dict[str, Array]]:
        shapes = cell_shapes(shapes)
        sizes = [math.prod(shape) for shape in shapes.values()]
        flat = np.zeros(sum(sizes), NATIVE[dtype or self.default_dtype])
        parts = np.split(flat, np.cumsum(sizes)[:-1])
        return flat, {name: part.reshape(shapes[name]) for name, part in zip(shapes, parts, strict=False)}

    @override
    def assign(self, cell: Array, value: Array) -> None:
        if value is not cell:
            check("assign", value)
            check_out("assign", cell, value.shape, value.dtype)
            np.copyto(cell, value)

    @override
    def parts(self, x: Array, size: int) -> Iterable[Array]:
        check("parts", x)
        return (x[first : first + size] for first in range(0, len(x), size))

    @override
    def session(self) -> AbstractContextManager[None]:
        """Silence numpy's warnings."""
        return quiet()


def _places(x: Array, indices: Array, axis: int) -> Array:
    """Return where the elements of a matrix x at indices along an axis are in memory."""
    rows, length = x.shape
    if axis % 2 == 0:
        return indices * length + np.arange(length)
    return indices + (_starts(rows, length) if rows <= 4096 else _starts.__wrapped__(rows, length))


@lru_cache(maxsize=64)
def _starts(rows: int, length: int) -> Array:
    """Return where the rows of a matrix begin, (rows, 1)."""
    return (np.arange(rows) * length)[:, None]


_ALL = slice(None)
