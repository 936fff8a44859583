"""The torch backend: handles are plain torch tensors that need no gradient, on the CPU or a CUDA device.

Nothing of `torch.nn` or `torch.autograd` is used: torch is an array library here, with a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

from . import random as host_random
from .base import Backend, Triple, scalar_dtype_error
from .errors import BackendError, DtypeError, ShapeError
from .host import NativeDtypes, check_dtype, host_array
from .protocol import Axis, Shape, Widths
from .shapes import axes_of, broadcast, reduced, slices
from .windows import Window

Array = Any
_Tensor = torch.Tensor
_DTYPES = NativeDtypes(
    {"float32": torch.float32, "float64": torch.float64, "int64": torch.int64, "bool": torch.bool}
)
_NAMES = {value: key for key, value in _DTYPES.items()}
_SCALARS = (int, float, bool)
_threshold_backward = torch.ops.aten.threshold_backward.default


def _check_out(op: str, out: Array, shape: Shape, dtype: torch.dtype) -> None:
    if out.shape != shape:
        raise ShapeError(f"{op}: out must have the result's shape {tuple(shape)}, got {tuple(out.shape)}")
    if out.dtype is not dtype:
        raise DtypeError(f"{op}: out must have the result's dtype {_NAMES[dtype]}, got {out.dtype}")


def foreign_error(op: str, value: object) -> DtypeError:
    """Return the error for something that is no handle of this backend."""
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    return DtypeError(
        f"{op}: expected a tensor of the torch backend, got {kind}; bring data in with from_host"
    )


def _agree(op: str, x: Array, y: Array) -> torch.dtype:
    """Return the common dtype of two operands, of which one may be a Python scalar; else raise."""
    if type(x) is _Tensor and type(y) is _Tensor:
        if x.dtype is y.dtype:
            return x.dtype
        names = f"{_NAMES.get(x.dtype, x.dtype)} and {_NAMES.get(y.dtype, y.dtype)}"
        raise DtypeError(f"{op}: the tensors have unequal dtypes {names}; use astype")
    tensor, other = (x, y) if type(x) is _Tensor else (y, x)
    if type(tensor) is not _Tensor or type(other) not in _SCALARS:
        raise foreign_error(op, other)
    kind = type(other)
    mixes = tensor.dtype is torch.bool if kind is bool else tensor.dtype is not torch.bool
    if mixes and (kind is not float or tensor.is_floating_point()):
        return tensor.dtype
    raise scalar_dtype_error(op, other, _NAMES.get(tensor.dtype, str(tensor.dtype)))


def _check(op: str, *tensors: object) -> None:
    """Raise unless these are handles of this backend: no other array, and no subclass that records."""
    for x in tensors:
        if type(x) is not _Tensor:
            raise foreign_error(op, x)


def _unary(function: Any, *, floating: bool = True) -> Any:
    """Make the method of an elementwise op of one tensor."""
    op = function.__name__

    def apply(self: object, x: Array, *, out: Array = None) -> Array:
        if type(x) is not _Tensor:
            raise foreign_error(op, x)
        if not x.is_floating_point() and (floating or x.dtype is torch.bool):
            raise DtypeError(f"{op}: expected a floating tensor, got {x.dtype}; convert it with astype")
        if out is None:
            return function(x)
        _check_out(op, out, x.shape, x.dtype)
        return function(x, out=out)

    return apply


_scalars: dict[tuple[Any, torch.dtype], Array] = {}


def _scalar(value: Any, dtype: torch.dtype) -> Array:
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


def _binary(function: Any, *, floating: bool = False) -> Any:
    """Make the method of an elementwise op of two operands."""
    op = function.__name__

    def apply(self: object, x: Array, y: Array, *, out: Array = None) -> Array:
        if type(x) is _Tensor and type(y) is _Tensor and x.dtype is y.dtype:
            dtype = x.dtype
        elif type(x) is _Tensor and type(y) is float and x.is_floating_point():
            dtype = x.dtype
            y = _scalar(y, dtype)
        else:
            dtype = _agree(op, x, y)
            if type(x) is not _Tensor:
                x = _scalar(x, dtype)
            elif type(y) is not _Tensor:
                y = _scalar(y, dtype)
        if floating and not dtype.is_floating_point:
            raise DtypeError(f"{op}: expected floating tensors, got {_NAMES[dtype]}; convert with astype")
        if out is None:
            return function(x, y)
        shape = x.shape if type(y) is not _Tensor or x.shape == y.shape else broadcast(x.shape, y.shape)
        _check_out(op, out, shape, dtype)
        return function(x, y, out=out)

    return apply


def _comparison(function: Any) -> Any:
    op = function.__name__

    def apply(self: object, x: Array, y: Array) -> Array:
        if type(x) is not _Tensor or type(y) is not _Tensor or x.dtype is not y.dtype:
            dtype = _agree(op, x, y)
            if type(x) is not _Tensor:
                x = _scalar(x, dtype)
        return function(x, y)

    return apply


_sqrt = _unary(torch.sqrt)


class TorchBackend(Backend):
    """torch on "cpu", "cuda" or "cuda:N". TF32 stays off, as torch has it by default for matmul."""

    name = "torch"

    def __init__(self, device: str = "cpu", dtype: str = "float32") -> None:
        self._device = _usable(device)
        super().__init__(str(self._device), dtype)
        self._is_cuda = self._device.type == "cuda"

    def details(self) -> dict[str, str | int]:
        """Return torch's version, the device and the threads of its CPU ops."""
        device = torch.cuda.get_device_name(self._device) if self._is_cuda else "cpu"
        return {"version": torch.__version__, "device": device, "threads": torch.get_num_threads()}

    # -- metadata, create, transfer --------------------------------------------------------------

    def shape(self, x: Array) -> Shape:
        """Return the extents of x."""
        if type(x) is not _Tensor or x.is_cuda is not self._is_cuda:
            raise self._foreign("shape", x)
        return x.shape  # a torch.Size is a tuple of ints

    def dtype(self, x: Array) -> str:
        """Return the dtype's name."""
        if type(x) is not _Tensor or x.is_cuda is not self._is_cuda:
            raise self._foreign("dtype", x)
        return _NAMES[x.dtype]

    def _foreign(self, op: str, x: object) -> DtypeError:
        if isinstance(x, _Tensor):
            return DtypeError(f"{op}: expected a tensor on {self.device}, got one on {x.device}")
        return foreign_error(op, x)

    def from_host(self, array: Any, *, dtype: str | None = None) -> Array:
        """Copy in, with floats in the default dtype and integers in int64."""
        tensor = torch.from_numpy(host_array(array, dtype, self.default_dtype))
        return tensor.to(self._device) if self._is_cuda else tensor

    def to_host(self, x: Array) -> Array:
        """Copy out."""
        self.shape(x)
        return x.cpu().numpy() if self._is_cuda else x.numpy().copy()

    def item(self, x: Array) -> Any:
        """Return the one element."""
        if math.prod(self.shape(x)) != 1:
            raise ShapeError(f"item: expected a tensor of one element, got shape {tuple(x.shape)}")
        return x.item()

    def empty(self, shape: Shape, *, dtype: str | None = None) -> Array:
        """Return torch.empty: ordinary storage, which may be written inside a session and outside."""
        with torch.inference_mode(False):
            return torch.empty(shape, dtype=_DTYPES[dtype or self.default_dtype], device=self._device)

    def full(self, shape: Shape, value: Any, *, dtype: str | None = None) -> Array:
        """Return torch.full."""
        return torch.full(shape, value, dtype=_DTYPES[dtype or self.default_dtype], device=self._device)

    def arange(self, start: int, stop: int, step: int = 1, *, dtype: str = "int64") -> Array:
        """Return torch.arange."""
        return torch.arange(start, max(stop, start), step, dtype=_DTYPES[dtype], device=self._device)

    def astype(self, x: Array, dtype: str) -> Array:
        """Return x converted."""
        check_dtype("astype", dtype)
        _check("astype", x)
        return x.to(_DTYPES[dtype])

    def copy(self, x: Array, *, out: Array = None) -> Array:
        """Return a copy."""
        _check("copy", x)
        if out is None:
            return x.clone(memory_format=torch.contiguous_format)
        _check_out("copy", out, x.shape, x.dtype)
        return out.copy_(x)

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
        dtype = dtype or self.default_dtype
        return self.from_host(host_random.draw(shape, seed, stream, step, distribution, dtype), dtype=dtype)

    # -- elementwise, select ---------------------------------------------------------------------

    negative = _unary(torch.neg, floating=False)
    abs = _unary(torch.abs, floating=False)
    exp = _unary(torch.exp)
    log = _unary(torch.log)
    log1p = _unary(torch.log1p)
    tanh = _unary(torch.tanh)

    def sqrt(self, x: Array, *, out: Array = None) -> Array:
        """Return the root; on a CPU numpy's, for MKL's (which torch takes) rounds one in five wrongly."""
        if self._is_cuda or type(x) is not _Tensor or not x.is_floating_point():
            return _sqrt(self, x, out=out)
        if out is None:
            out = torch.empty_like(x)
        else:
            _check_out("sqrt", out, x.shape, x.dtype)
        with np.errstate(all="ignore"):
            np.sqrt(x.numpy(), out.numpy())
        return out

    def sign(self, x: Array, *, out: Array = None) -> Array:
        """Return -1, 0, 1, or NaN for NaN (torch.sign gives 0 there)."""
        if self.dtype(x) == "bool":
            raise DtypeError("sign: expected numbers, got bool; convert it with astype")
        result = torch.sign(x)
        result = torch.where(torch.isnan(x), x, result) if x.is_floating_point() else result
        return result if out is None else self.copy(result, out=out)

    add = _binary(torch.add)
    subtract = _binary(torch.sub)
    multiply = _binary(torch.mul)
    divide = _binary(torch.div, floating=True)
    pow = _binary(torch.pow, floating=True)
    maximum = _binary(torch.maximum)
    minimum = _binary(torch.minimum)

    equal = _comparison(torch.eq)
    less = _comparison(torch.lt)
    less_equal = _comparison(torch.le)
    greater = _comparison(torch.gt)

    def logical_not(self, x: Array) -> Array:
        """Return not x."""
        if self.dtype(x) != "bool":
            raise DtypeError(f"logical_not: expected a bool tensor, got {x.dtype}")
        return torch.logical_not(x)

    def where(self, condition: Array, x: Array, y: Array) -> Array:
        """Return torch.where, a scalar taking the tensor's dtype."""
        dtype = _agree("where", x, y)
        if self.dtype(condition) != "bool":
            raise DtypeError(f"where: the condition must be a bool tensor, got {condition.dtype}")
        if type(x) is not _Tensor:
            x = _scalar(x, dtype)
        if type(y) is not _Tensor:
            y = _scalar(y, dtype)
        return torch.where(condition, x, y)

    # -- reduce, contract ------------------------------------------------------------------------

    def sum(self, x: Array, *, axis: Axis = None, keepdims: bool = False, out: Array = None) -> Array:
        """Return the sum; torch adds in cascade."""
        if type(x) is not _Tensor:
            raise foreign_error("sum", x)
        if type(axis) is tuple and not axis:
            return self.copy(x if x.is_floating_point() else x.to(torch.int64), out=out)
        if out is None:
            return x.sum() if axis is None and not keepdims else torch.sum(x, axis, keepdims)
        dtype = x.dtype if x.is_floating_point() else torch.int64
        _check_out("sum", out, reduced(x.shape, axis, keepdims), dtype)
        return torch.sum(x, axes_of(axis, x.ndim) if axis is None else axis, keepdims, out=out)

    def max(self, x: Array, *, axis: Axis = None, keepdims: bool = False, out: Array = None) -> Array:
        """Return the maximum."""
        shape = self.shape(x)
        if axis == ():
            return self.copy(x, out=out)
        if out is not None:
            _check_out("max", out, reduced(shape, axis, keepdims), x.dtype)
        return torch.amax(x, axes_of(axis, len(shape)), keepdims, out=out)

    def argmax(self, x: Array, *, axis: int, keepdims: bool = False) -> Array:
        """Return the index of the first maximum (torch.argmax may name any)."""
        _check("argmax", x)
        size = x.shape[axis]
        top = torch.amax(x, axis, keepdim=True)
        # A NaN is the maximum of its slice, and equals nothing, itself included.
        hit = (x == top) | (x != x)
        along = [-1 if i == axis % x.ndim else 1 for i in range(x.ndim)]
        places = torch.arange(size, device=x.device).view(along)
        return torch.amin(torch.where(hit, places, size), axis, keepdim=keepdims)

    def matmul(self, x: Array, y: Array, *, out: Array = None) -> Array:
        """Return the matrix product."""
        if type(x) is not _Tensor or type(y) is not _Tensor or x.dtype is not y.dtype:
            _agree("matmul", x, y)
        if x.ndim == 2 and y.ndim == 2:
            if out is None:
                return torch.mm(x, y)
            if out.shape != (x.shape[0], y.shape[1]) or out.dtype is not x.dtype:
                _check_out("matmul", out, torch.Size((x.shape[0], y.shape[1])), x.dtype)
            return torch.mm(x, y, out=out)
        if x.ndim < 2 or y.ndim < 2:
            raise ShapeError(
                f"matmul: expected at least two axes on each side, got {tuple(x.shape)} and {tuple(y.shape)}"
            )
        if out is not None:
            batch = broadcast(x.shape[:-2], y.shape[:-2])
            _check_out("matmul", out, (*batch, x.shape[-2], y.shape[-1]), x.dtype)
            if not out.is_contiguous():  # torch.matmul would fail where it folds the batch into the rows
                return out.copy_(torch.matmul(x, y))
        return torch.matmul(x, y, out=out)

    # -- move ------------------------------------------------------------------------------------

    def reshape(self, x: Array, shape: Shape) -> Array:
        """Return x.reshape(shape)."""
        _check("reshape", x)
        return x.reshape(shape)

    def permute_dims(self, x: Array, axes: tuple[int, ...]) -> Array:
        """Return x.permute(axes)."""
        _check("permute_dims", x)
        return x.permute(axes)

    def broadcast_to(self, x: Array, shape: Shape) -> Array:
        """Return a view."""
        _check("broadcast_to", x)
        return x.expand(shape)

    def concat(self, tensors: Sequence[Array], *, axis: int = 0) -> Array:
        """Return torch.cat."""
        _check("concat", tensors[0])
        for other in tensors[1:]:
            _agree("concat", tensors[0], other)
        return torch.cat(tuple(tensors), axis)

    def pad(self, x: Array, widths: Widths, *, value: Any = 0.0) -> Array:
        """Return torch.constant_pad_nd, which counts axes from the last."""
        _check("pad", x)
        flat = [n for before, after in reversed(widths) for n in (before, after)]
        return torch.constant_pad_nd(x, flat, value)

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
        """Return torch.index_select."""
        _check("take", x, indices)
        return torch.index_select(x, axis, indices)

    def index_add(self, x: Array, indices: Array, values: Array, *, axis: int, out: Array = None) -> Array:
        """Return a copy of x with values added at the indices."""
        _agree("index_add", x, values)
        _check("index_add", indices)
        return self.copy(x, out=out).index_add_(axis, indices, values)

    def take_along_axis(self, x: Array, indices: Array, *, axis: int) -> Array:
        """Return torch.gather."""
        _check("take_along_axis", x, indices)
        return torch.gather(x, axis, indices)

    def scatter_add(self, x: Array, indices: Array, values: Array, *, axis: int, out: Array = None) -> Array:
        """Return a copy of x with values added where the indices point."""
        _agree("scatter_add", x, values)
        _check("scatter_add", indices)
        return self.copy(x, out=out).scatter_add_(axis, indices, values)

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
        result[slices(starts, stops, steps)].add_(values)
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
        window = Window.of(tuple(x.shape[2:]), kernel_size, stride, padding, dilation)
        if window.padded:
            x = self.pad(x, ((0, 0), (0, 0), *window.padding))
        shape, strides = window.view(x.stride()[2:])
        shape = (*x.shape[:2], *shape)
        view = x.as_strided(shape, (*x.stride()[:2], *strides))
        columns = (x.shape[0], x.shape[1] * math.prod(kernel_size), window.positions)
        if out is None:
            return view.reshape(columns)
        _check_out("unfold", out, columns, x.dtype)
        if out.is_contiguous():
            out.view(shape).copy_(view)
        else:
            out.copy_(view.reshape(columns))
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
        samples, channels = columns.shape[0], columns.shape[1] // math.prod(kernel_size)
        if out is not None:
            _check_out("fold", out, (samples, channels, *output_size), columns.dtype)
        parts = columns.reshape(samples, channels, *kernel_size, *window.counts)
        if out is not None and not window.padded:
            image = out.zero_()
        else:
            image = columns.new_zeros((samples, channels, *window.padded_size))
        for offset, place in window.offsets():
            image[(..., *place)].add_(parts[(slice(None), slice(None), *offset)])
        inner = image[(..., *window.interior())]
        return inner if out is None else out if image is out else out.copy_(inner)

    # -- storage, other --------------------------------------------------------------------------

    def cells(
        self, shapes: Mapping[str, Shape], *, dtype: str | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """Return a zero-filled tensor and its named views."""
        sizes = [math.prod(shape) for shape in shapes.values()]
        flat = self.empty((sum(sizes),), dtype=dtype).zero_()
        views, start = {}, 0
        with torch.inference_mode(False):
            for (name, shape), size in zip(shapes.items(), sizes, strict=True):
                views[name] = flat[start : start + size].view(shape)
                if len(shape) == 2:
                    views[name].transposed = views[name].t()  # for `linear`, which wants it every step
                start += size
        return flat, views

    def assign(self, cell: Array, value: Array) -> None:
        """Copy value into the cell, unless it is there already."""
        if value is not cell:
            _check_out("assign", cell, self.shape(value), value.dtype)
            cell.copy_(value)

    def synchronize(self) -> None:
        """Wait for the device."""
        if self._is_cuda:
            torch.cuda.synchronize(self._device)

    def session(self) -> AbstractContextManager[None]:
        """Enter inference mode: no version counters, no autograd bookkeeping."""
        return torch.inference_mode()

    # -- derived ops, faster -----------------------------------------------------------------------

    def add_scaled(self, x: Array, y: Array, scale: float, *, out: Array = None) -> Array:
        """Return torch.add with alpha: one pass."""
        if type(x) is not _Tensor or type(y) is not _Tensor or x.dtype is not y.dtype:
            _agree("add_scaled", x, y)
        if out is None:
            return torch.add(x, y, alpha=scale)
        _check_out("add_scaled", out, x.shape, x.dtype)
        return torch.add(x, y, alpha=scale, out=out)

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
            _agree("relu_grad", grad, y)
        return _threshold_backward(grad, y, 0)

    def sigmoid(self, x: Array) -> Array:
        """Return torch.sigmoid."""
        self.dtype(x)
        return torch.sigmoid(x)

    def softmax(self, x: Array, *, axis: int) -> Array:
        """Return torch.softmax."""
        self.dtype(x)
        return torch.softmax(x, axis)

    def log_softmax(self, x: Array, *, axis: int) -> Array:
        """Return torch.log_softmax."""
        self.dtype(x)
        return torch.log_softmax(x, axis)

    def mean(self, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
        """Return Σ x / n; over everything, in two calls that cost less than torch.mean."""
        if axis is None and not keepdims and type(x) is _Tensor and x.is_floating_point():
            return x.sum().div(_scalar(float(x.numel()), x.dtype))
        return super().mean(x, axis=axis, keepdims=keepdims)

    def linear(self, x: Array, weight: Array, bias: Array = None) -> Array:
        """Return torch.addmm for a matrix x."""
        if bias is None or type(x) is not _Tensor or x.ndim != 2:
            return super().linear(x, weight, bias)
        try:
            return torch.addmm(bias, x, weight.transposed)
        except AttributeError:
            return torch.addmm(bias, x, weight.t())
        except RuntimeError:
            _agree("linear", x, weight)
            _agree("linear", x, bias)
            raise

    def linear_grad(self, grad: Array, x: Array, *, out: Any = None) -> Any:
        """Return (gᵀ x, Σ g) for matrices, straight into `out`."""
        if out is None or x.ndim != 2:
            return super().linear_grad(grad, x, out=out)
        weight, bias = out
        _, rows = grad.shape
        _, columns = x.shape
        if weight.shape != (rows, columns) or bias.shape != (rows,) or weight.dtype is not grad.dtype:
            return super().linear_grad(grad, x, out=out)  # which says what does not fit
        return torch.mm(grad.t(), x, out=weight), torch.sum(grad, 0, out=bias)

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
        if out is None or out[0] is not parameter or out[1] is not first or out[2] is not second:
            parameter, first, second = parameter.clone(), first.clone(), second.clone()
        first.lerp_(gradient, 1.0 - beta1)
        second.mul_(beta2).addcmul_(gradient, gradient, value=1.0 - beta2)
        scaled = second.sqrt().div_(math.sqrt(correction2)).add_(epsilon)
        parameter.addcdiv_(first, scaled, value=-learning_rate / correction1)
        return parameter, first, second


def _refuse_step(parameter: Array, other: Array) -> None:
    _agree("adam_step", parameter, other)
    shape = tuple(parameter.shape)
    raise ShapeError(f"adam_step: expected every tensor of shape {shape}, got one of {tuple(other.shape)}")


def _usable(device: str) -> torch.device:
    """Return the torch device, or raise a BackendError that says why it cannot run."""
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise BackendError(
            f"Backend 'torch:{device}' cannot run: no such device. Devices: cpu, cuda, cuda:N."
        ) from error
    if chosen.type not in ("cpu", "cuda"):
        raise BackendError(f"Backend 'torch:{device}' cannot run: only cpu and cuda are supported.")
    if chosen.type == "cuda":
        if not torch.cuda.is_available():
            raise BackendError(f"Backend 'torch:{device}' cannot run: torch.cuda.is_available() is False.")
        if (chosen.index or 0) >= torch.cuda.device_count():
            raise BackendError(
                f"Backend 'torch:{device}' cannot run: this machine has {torch.cuda.device_count()} CUDA "
                "device(s)."
            )
    return torch.device("cuda", chosen.index or 0) if chosen.type == "cuda" else torch.device("cpu")
