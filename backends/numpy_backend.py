"""The numpy backend: handles are numpy arrays. It is the cross-check of every other backend."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from . import random as host_random
from .base import Backend, scalar_dtype_error
from .errors import DtypeError, ShapeError
from .host import DTYPES, NativeDtypes, blas_threads, check_dtype, host_array
from .protocol import Axis, Shape, Widths
from .shapes import count, reduced, slices
from .windows import Window

Array = Any
_ndarray = np.ndarray
_add_reduce: Any = np.add.reduce  # Any: the stubs do not know `axis` and `keepdims` by position
_max_reduce: Any = np.maximum.reduce
_DTYPES = NativeDtypes({name: np.dtype(name) for name in DTYPES})
_NAMES = {np.dtype(name): name for name in DTYPES}  # dtype.name takes microseconds

# The kinds of tensor that a Python scalar mixes with.
_MIXES = {int: "if", float: "f", bool: "b"}

# Plain summation in float32 errs by up to n 2^-24; past this length it is accumulated in float64.
_EXACT_SUM = 64


def _check_out(op: str, out: Array, shape: Shape, dtype: np.dtype[Any]) -> None:
    if out.shape != shape:
        raise ShapeError(f"{op}: out must have the result's shape {shape}, got {out.shape}")
    if out.dtype != dtype:
        raise DtypeError(f"{op}: out must have the result's dtype {dtype}, got {out.dtype}")


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
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    return DtypeError(
        f"{op}: expected a tensor of the numpy backend, got {kind}; bring data in with from_host"
    )


def _agree(op: str, x: Array, y: Array) -> np.dtype[Any]:
    """Return the common dtype of two operands, of which one may be a Python scalar; else raise."""
    kx, ky = type(x), type(y)
    if kx is _ndarray or isinstance(x, np.generic):
        if ky is _ndarray or isinstance(y, np.generic):
            if x.dtype == y.dtype:
                return x.dtype  # type: ignore[no-any-return]
        elif x.dtype.kind in _MIXES.get(ky, ""):
            return x.dtype  # type: ignore[no-any-return]
    elif (ky is _ndarray or isinstance(y, np.generic)) and y.dtype.kind in _MIXES.get(kx, ""):
        return y.dtype  # type: ignore[no-any-return]
    raise _operand_error(op, x, y)


def _check(op: str, *tensors: Array) -> None:
    """Raise unless these are handles of this backend; numpy itself would convert whatever comes."""
    for x in tensors:
        if type(x) is not _ndarray and not isinstance(x, np.generic):
            raise foreign_error(op, x)


def _unary(ufunc: Any, *, floating: bool = True, silent: bool = False) -> Any:
    """Make the method of an elementwise op of one tensor; `silent` where IEEE results are meant."""
    op = ufunc.__name__

    def apply(self: object, x: Array, *, out: Array = None) -> Array:
        if type(x) is not _ndarray and not isinstance(x, np.generic):
            raise foreign_error(op, x)
        if x.dtype.kind != "f" and (floating or x.dtype.kind == "b"):
            raise DtypeError(f"{op}: expected a floating tensor, got {x.dtype}; convert it with astype")
        if out is not None:
            _check_out(op, out, x.shape, x.dtype)
        if silent:
            with np.errstate(all="ignore"):
                return ufunc(x, out)
        return ufunc(x, out)

    return apply


def _binary(ufunc: Any, *, floating: bool = False, silent: bool = False) -> Any:
    """Make the method of an elementwise op of two operands."""
    op = ufunc.__name__

    def apply(self: object, x: Array, y: Array, *, out: Array = None) -> Array:
        # The common cases first; dtypes of native arrays are singletons.
        if type(x) is _ndarray and (
            (type(y) is _ndarray and x.dtype is y.dtype) or (type(y) is float and x.dtype.kind == "f")
        ):
            dtype = x.dtype
        else:
            dtype = _agree(op, x, y)
        if floating and dtype.kind != "f":
            raise DtypeError(f"{op}: expected floating tensors, got {dtype}; convert them with astype")
        if out is not None:
            alike = type(x) is _ndarray and (type(y) in _MIXES or x.shape == y.shape)
            shape = x.shape if alike else np.broadcast_shapes(np.shape(x), np.shape(y))
            _check_out(op, out, shape, dtype)
        # `out` by name: np.maximum deprecates it by position.
        if silent:
            with np.errstate(all="ignore"):
                return ufunc(x, y) if out is None else ufunc(x, y, out=out)
        return ufunc(x, y) if out is None else ufunc(x, y, out=out)

    return apply


def _comparison(ufunc: Any) -> Any:
    op = ufunc.__name__

    def apply(self: object, x: Array, y: Array) -> Array:
        if type(x) is not _ndarray or type(y) is not _ndarray or x.dtype is not y.dtype:
            _agree(op, x, y)
        return ufunc(x, y)

    return apply


class NumpyBackend(Backend):
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
        return _NAMES.get(x.dtype) or str(x.dtype)

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
        return np.empty(shape, _DTYPES[dtype or self.default_dtype])

    def full(self, shape: Shape, value: Any, *, dtype: str | None = None) -> Array:
        """Return np.full."""
        return np.full(shape, value, _DTYPES[dtype or self.default_dtype])

    def arange(self, start: int, stop: int, step: int = 1, *, dtype: str = "int64") -> Array:
        """Return np.arange."""
        return np.arange(start, stop, step, dtype=_DTYPES[dtype])

    def astype(self, x: Array, dtype: str) -> Array:
        """Return x converted."""
        check_dtype("astype", dtype)
        return x if self.dtype(x) == dtype else x.astype(dtype)

    def copy(self, x: Array, *, out: Array = None) -> Array:
        """Return a copy."""
        _check("copy", x)
        if out is None:
            return np.array(x)
        _check_out("copy", out, x.shape, x.dtype)
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

    negative = _unary(np.negative, floating=False)
    abs = _unary(np.absolute, floating=False)
    sign = _unary(np.sign, floating=False)
    exp = _unary(np.exp, silent=True)
    log = _unary(np.log, silent=True)
    log1p = _unary(np.log1p, silent=True)
    sqrt = _unary(np.sqrt, silent=True)
    tanh = _unary(np.tanh)

    add = _binary(np.add)
    subtract = _binary(np.subtract)
    multiply = _binary(np.multiply)
    divide = _binary(np.divide, floating=True, silent=True)
    pow = _binary(np.power, floating=True, silent=True)
    maximum = _binary(np.maximum)
    minimum = _binary(np.minimum)

    equal = _comparison(np.equal)
    less = _comparison(np.less)
    less_equal = _comparison(np.less_equal)
    greater = _comparison(np.greater)

    def logical_not(self, x: Array) -> Array:
        """Return not x."""
        if self.dtype(x) != "bool":
            raise DtypeError(f"logical_not: expected a bool tensor, got {x.dtype}")
        return np.logical_not(x)

    def where(self, condition: Array, x: Array, y: Array) -> Array:
        """Return np.where, a scalar taking the tensor's dtype."""
        dtype = _agree("where", x, y)
        if self.dtype(condition) != "bool":
            raise DtypeError(f"where: the condition must be a bool tensor, got {condition.dtype}")
        x = x if isinstance(x, np.ndarray) else dtype.type(x)
        y = y if isinstance(y, np.ndarray) else dtype.type(y)
        return np.where(condition, x, y)

    # -- reduce, contract ------------------------------------------------------------------------

    def sum(self, x: Array, *, axis: Axis = None, keepdims: bool = False, out: Array = None) -> Array:
        """Return the sum, in float64 inside where float32 would lose digits."""
        if type(x) is not _ndarray and not isinstance(x, np.generic):
            raise foreign_error("sum", x)
        shape = x.shape
        if out is not None:
            dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.int64)
            _check_out("sum", out, reduced(shape, axis, keepdims), dtype)
        length = shape[axis] if type(axis) is int else count(shape, axis)
        if length > _EXACT_SUM and x.dtype.char == "f":
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
            _check_out("max", out, reduced(shape, axis, keepdims), x.dtype)
        return _max_reduce(x, axis, None, out, keepdims)

    def argmax(self, x: Array, *, axis: int, keepdims: bool = False) -> Array:
        """Return the index of the first maximum."""
        _check("argmax", x)
        return np.argmax(x, axis=axis, keepdims=keepdims)

    def matmul(self, x: Array, y: Array, *, out: Array = None) -> Array:
        """Return the matrix product; two matrices go straight to BLAS."""
        if type(x) is not _ndarray or type(y) is not _ndarray or x.dtype is not y.dtype:
            _agree("matmul", x, y)
        if x.ndim == 2 and y.ndim == 2:
            if out is None:
                return x.dot(y)
            try:
                return x.dot(y, out)
            except ValueError:  # out is not contiguous, or does not fit
                _check_out("matmul", out, (x.shape[0], y.shape[1]), x.dtype)
                return np.matmul(x, y, out)
        if x.ndim < 2 or y.ndim < 2:
            raise ShapeError(f"matmul: expected at least two axes on each side, got {x.shape} and {y.shape}")
        if out is not None:
            batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
            _check_out("matmul", out, (*batch, x.shape[-2], y.shape[-1]), x.dtype)
        return np.matmul(x, y, out)

    # -- move ------------------------------------------------------------------------------------

    def reshape(self, x: Array, shape: Shape) -> Array:
        """Return x.reshape(shape)."""
        _check("reshape", x)
        return x.reshape(shape)

    def permute_dims(self, x: Array, axes: tuple[int, ...]) -> Array:
        """Return x.transpose(axes)."""
        _check("permute_dims", x)
        return x.transpose(axes)

    def broadcast_to(self, x: Array, shape: Shape) -> Array:
        """Return a read-only view."""
        _check("broadcast_to", x)
        return np.broadcast_to(x, shape)

    def concat(self, tensors: Sequence[Array], *, axis: int = 0) -> Array:
        """Return np.concatenate."""
        _check("concat", tensors[0])
        for other in tensors[1:]:
            _agree("concat", tensors[0], other)
        return np.concatenate(tensors, axis=axis)

    def pad(self, x: Array, widths: Widths, *, value: Any = 0.0) -> Array:
        """Return x in the middle of a filled array."""
        _check("pad", x)
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
        _check("slice", x)
        return x[slices(starts, stops, steps)]

    # -- index -----------------------------------------------------------------------------------

    def take(self, x: Array, indices: Array, *, axis: int) -> Array:
        """Return np.take."""
        _check("take", x, indices)
        return np.take(x, indices, axis=axis)

    def index_add(self, x: Array, indices: Array, values: Array, *, axis: int, out: Array = None) -> Array:
        """Return a copy of x with values added at the indices."""
        _agree("index_add", x, values)
        _check("index_add", indices)
        result = self.copy(x, out=out)
        np.add.at(np.moveaxis(result, axis, 0), indices, np.moveaxis(values, axis, 0))
        return result

    def take_along_axis(self, x: Array, indices: Array, *, axis: int) -> Array:
        """Return np.take_along_axis."""
        _check("take_along_axis", x, indices)
        return np.take_along_axis(x, indices, axis)

    def scatter_add(self, x: Array, indices: Array, values: Array, *, axis: int, out: Array = None) -> Array:
        """Return a copy of x with values added where the indices point."""
        _agree("scatter_add", x, values)
        _check("scatter_add", indices)
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
        _agree("slice_add", x, values)
        result = self.copy(x, out=out)
        result[slices(starts, stops, steps)] += values
        return result

    # -- window ----------------------------------------------------------------------------------

    def unfold(
        self,
        x: Array,
        kernel_size: tuple[int, ...],
        *,
        stride: tuple[int, ...] | None = None,
        padding: Widths | None = None,
        dilation: tuple[int, ...] | None = None,
        out: Array = None,
    ) -> Array:
        """Copy a strided view of the padded input."""
        _check("unfold", x)
        window = Window.of(x.shape[2:], kernel_size, stride, padding, dilation)
        if window.padded:
            x = self.pad(x, ((0, 0), (0, 0), *window.padding))
        shape, strides = window.view(x.strides[2:])
        shape = (*x.shape[:2], *shape)
        view = np.lib.stride_tricks.as_strided(x, shape, (*x.strides[:2], *strides), writeable=False)
        columns = (x.shape[0], x.shape[1] * math.prod(kernel_size), window.positions)
        if out is None:
            return view.reshape(columns)
        _check_out("unfold", out, columns, x.dtype)
        if out.flags.c_contiguous:
            np.copyto(out.reshape(shape), view)
        else:
            np.copyto(out, view.reshape(columns))
        return out

    def fold(
        self,
        columns: Array,
        output_size: tuple[int, ...],
        kernel_size: tuple[int, ...],
        *,
        stride: tuple[int, ...] | None = None,
        padding: Widths | None = None,
        dilation: tuple[int, ...] | None = None,
        out: Array = None,
    ) -> Array:
        """Add each kernel offset's values into the slice that it came from."""
        _check("fold", columns)
        window = Window.of(output_size, kernel_size, stride, padding, dilation)
        samples = columns.shape[0]
        channels = columns.shape[1] // math.prod(kernel_size)
        shape = (samples, channels, *output_size)
        if out is not None:
            _check_out("fold", out, shape, columns.dtype)
        parts = columns.reshape(samples, channels, *kernel_size, *window.counts)
        image: Any = out if out is not None and not window.padded else None
        if image is None:
            image = np.empty((samples, channels, *window.padded_size), columns.dtype)
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
        flat = np.zeros(sum(sizes), _DTYPES[dtype or self.default_dtype])
        views, start = {}, 0
        for (name, shape), size in zip(shapes.items(), sizes, strict=True):
            views[name] = flat[start : start + size].reshape(shape)
            start += size
        return flat, views

    def assign(self, cell: Array, value: Array) -> None:
        """Copy value into the cell, unless it is there already."""
        if value is not cell:
            _check_out("assign", cell, self.shape(value), value.dtype)
            np.copyto(cell, value)

    def session(self) -> AbstractContextManager[None]:
        """Let overflow and NaN pass without a warning, as they do on every other backend."""
        return np.errstate(all="ignore")

    # -- derived ops, faster: fewer passes and no repeated checks ------------------------------------

    def add_scaled(self, x: Array, y: Array, scale: float, *, out: Array = None) -> Array:
        """Return x + scale y, large flat buffers in blocks that stay in cache."""
        if type(x) is not _ndarray or type(y) is not _ndarray or x.dtype is not y.dtype:
            _agree("add_scaled", x, y)
        scale = float(scale)  # an np.float64 would promote
        if out is not None:
            _check_out("add_scaled", out, x.shape, x.dtype)
        if x.size <= _BLOCK or out is None or not (_flat(x) and _flat(y) and _flat(out)):
            return np.add(x, np.multiply(y, scale), out)
        for part in _blocks(x.size):
            np.add(x[part], y[part] * scale, out[part])
        return out

    def square(self, x: Array, *, out: Array = None) -> Array:
        """Return x²."""
        if out is not None or type(x) is not _ndarray:
            return self.multiply(x, x, out=out)
        return np.multiply(x, x)

    def relu(self, x: Array) -> Array:
        """Return max(x, 0)."""
        if type(x) is not _ndarray or x.dtype.kind != "f":
            return self.maximum(x, 0.0)
        return np.maximum(x, 0)

    def relu_grad(self, grad: Array, y: Array) -> Array:
        """Return grad with zeros where y <= 0."""
        if type(y) is not _ndarray or type(grad) is not _ndarray or grad.dtype is not y.dtype:
            _agree("relu_grad", grad, y)
        result = np.array(grad)
        np.copyto(result, 0, where=np.less_equal(y, 0))
        return result

    def softmax(self, x: Array, *, axis: int) -> Array:
        """Return e^x / Σ e^x, in one buffer."""
        result = self.subtract(x, self.max(x, axis=axis, keepdims=True))
        np.exp(result, result)
        return np.divide(result, self.sum(result, axis=axis, keepdims=True), result)

    def mean(self, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
        """Return Σ x / n."""
        if axis is None and not keepdims and type(x) is _ndarray and 0 < x.size <= _EXACT_SUM:
            return np.add.reduce(x, None) / x.size
        total = self.sum(x, axis=axis, keepdims=keepdims)
        n = x.size if axis is None else count(x.shape, axis)
        if total.dtype.kind != "f":
            raise DtypeError(f"mean: expected a floating tensor, got {x.dtype}; convert it with astype")
        return np.divide(total, float(n)) if n else self.divide(total, 0.0)

    def linear(self, x: Array, weight: Array, bias: Array = None) -> Array:
        """Return x Wᵀ + b, the bias added in place."""
        _check("linear", weight)
        if bias is None or type(x) is not _ndarray or x.ndim != 2:
            return Backend.linear(self, x, weight, bias)
        if x.dtype is not weight.dtype or x.dtype is not bias.dtype:
            _agree("linear", x, weight)
            _agree("linear", x, bias)
        y = x.dot(weight.T)
        return np.add(y, bias, y)

    def linear_grad(self, grad: Array, x: Array, *, out: Any = None) -> Any:
        """Return (gᵀ x, Σ g) for matrices, straight into `out`."""
        if out is None or x.ndim != 2 or len(grad) > _EXACT_SUM or grad.dtype is not x.dtype:
            return Backend.linear_grad(self, grad, x, out=out)
        weight, bias = out
        _check_out("linear_grad", bias, grad.shape[1:], grad.dtype)
        try:
            return grad.T.dot(x, weight), np.add.reduce(grad, 0, None, bias)
        except ValueError:  # the weight's place is not contiguous, or does not fit
            return Backend.linear_grad(self, grad, x, out=out)

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
        out: Any = None,
    ) -> Any:
        """Run the definition in blocks that stay in cache."""
        tensors = (parameter, gradient, first, second)
        scalars = {
            "learning_rate": learning_rate,
            "beta1": beta1,
            "beta2": beta2,
            "epsilon": epsilon,
            "correction1": correction1,
            "correction2": correction2,
        }
        run: Any = Backend.adam_step
        if out is None or parameter.size <= _BLOCK or not all(map(_flat, (*tensors, *out))):
            return run(self, *tensors, out=out, **scalars)
        for part in _blocks(parameter.size):
            run(self, *(t[part] for t in tensors), out=tuple(t[part] for t in out), **scalars)
        return out


_BLOCK = 1 << 15


def _flat(x: Array) -> bool:
    return x.ndim == 1 and x.flags.c_contiguous  # type: ignore[no-any-return]


def _blocks(size: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, size, _BLOCK))
