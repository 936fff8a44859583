"""The primitives in torch."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

from .. import random as host_random
from ..errors import BackendError, DtypeError, ShapeError
from ..host import check_dtype, host_array
from ..protocol import Axis, Shape, Widths
from ..shapes import axes_of, broadcast, reduced, slices
from ..windows import Window
from .derived import TorchDerived
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
    scalar,
    unary,
)

_Tensor = torch.Tensor
_is_inside = torch.is_inference_mode_enabled
# The guard inside torch.inference_mode where torch shows it: making one of those takes as long as an op.
_InferenceMode: Any = getattr(torch._C, "_InferenceMode", torch.inference_mode)
_sqrt = unary(torch.sqrt)


class TorchBackend(TorchDerived):
    """torch on "cpu", "cuda" or "cuda:N". TF32 stays off, as torch has it by default for matmul."""

    name = "torch"

    def __init__(self, device: str = "cpu", dtype: str = "float32") -> None:
        self._device = _usable(device)
        super().__init__(str(self._device), dtype)
        self._is_cuda = self._device.type == "cuda"
        self._index = self._device.index if self._is_cuda else -1  # as `Tensor.get_device` has it

    def details(self) -> dict[str, str | int]:
        """Return torch's version, the device and the threads of its CPU ops."""
        device = torch.cuda.get_device_name(self._device) if self._is_cuda else "cpu"
        return {"version": torch.__version__, "device": device, "threads": torch.get_num_threads()}

    # -- metadata, create, transfer --------------------------------------------------------------

    def shape(self, x: Array) -> Shape:
        """Return the extents of x."""
        if type(x) is not _Tensor or x.get_device() != self._index:
            raise self._foreign("shape", x)
        return x.shape  # a torch.Size is a tuple of ints

    def dtype(self, x: Array) -> str:
        """Return the dtype's name."""
        if type(x) is not _Tensor or x.get_device() != self._index:
            raise self._foreign("dtype", x)
        return NAMES[x.dtype]

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
            return torch.empty(shape, dtype=NATIVE[dtype or self.default_dtype], device=self._device)

    def full(self, shape: Shape, value: Any, *, dtype: str | None = None) -> Array:
        """Return torch.full."""
        return torch.full(shape, value, dtype=NATIVE[dtype or self.default_dtype], device=self._device)

    def arange(self, start: int, stop: int, step: int = 1, *, dtype: str = "int64") -> Array:
        """Return torch.arange."""
        stop = stop if (stop - start) * step > 0 else start  # where a range is empty, torch raises
        return torch.arange(start, stop, step, dtype=NATIVE[dtype], device=self._device)

    def astype(self, x: Array, dtype: str) -> Array:
        """Return x converted."""
        check_dtype("astype", dtype)
        check("astype", x)
        return x.to(NATIVE[dtype], copy=True)

    def copy(self, x: Array, *, out: Array = None) -> Array:
        """Return a copy."""
        check("copy", x)
        if out is not None:
            out = check_out("copy", out, x.shape, x.dtype)
        if out is None:
            return x.clone(memory_format=torch.contiguous_format)
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

    negative = unary(torch.neg, floating=False)
    abs = unary(torch.abs, floating=False)
    exp = unary(torch.exp)
    log = unary(torch.log)
    log1p = unary(torch.log1p)
    tanh = unary(torch.tanh)

    def sqrt(self, x: Array, *, out: Array = None) -> Array:
        """Return the root; on a CPU numpy's, for MKL's (which torch takes) rounds one in five wrongly."""
        if self._is_cuda or type(x) is not _Tensor or not x.is_floating_point():
            return _sqrt(self, x, out=out)
        if out is not None:
            out = check_out("sqrt", out, x.shape, x.dtype)
        if out is None:
            out = torch.empty_like(x)
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

    add = binary(torch.add)
    subtract = binary(torch.sub)
    multiply = binary(torch.mul)
    divide = binary(torch.div, floating=True)
    pow = binary(torch.pow, floating=True)
    maximum = binary(torch.maximum)
    minimum = binary(torch.minimum)

    equal = comparison(torch.eq)
    less = comparison(torch.lt)
    less_equal = comparison(torch.le)
    greater = comparison(torch.gt)

    def logical_not(self, x: Array) -> Array:
        """Return not x."""
        if self.dtype(x) != "bool":
            raise DtypeError(f"logical_not: expected a bool tensor, got {x.dtype}")
        return torch.logical_not(x)

    def where(self, condition: Array, x: Array, y: Array) -> Array:
        """Return torch.where, a scalar taking the tensor's dtype."""
        dtype = agree("where", x, y)
        if self.dtype(condition) != "bool":
            raise DtypeError(f"where: the condition must be a bool tensor, got {condition.dtype}")
        if type(x) is not _Tensor:
            x = scalar(x, dtype)
        if type(y) is not _Tensor:
            y = scalar(y, dtype)
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
        out = check_out("sum", out, reduced(x.shape, axis, keepdims), dtype)
        return torch.sum(x, axes_of(axis, x.ndim) if axis is None else axis, keepdims, out=out)

    def max(self, x: Array, *, axis: Axis = None, keepdims: bool = False, out: Array = None) -> Array:
        """Return the maximum."""
        shape = self.shape(x)
        if axis == ():
            return self.copy(x, out=out)
        if out is not None:
            out = check_out("max", out, reduced(shape, axis, keepdims), x.dtype)
        return torch.amax(x, axes_of(axis, len(shape)), keepdims, out=out)

    def argmax(self, x: Array, *, axis: int, keepdims: bool = False) -> Array:
        """Return the index of the first maximum (torch.argmax may name any)."""
        check("argmax", x)
        size = x.shape[axis]
        top = torch.amax(x, axis, keepdim=True)
        # A NaN is the maximum of its slice, and equals nothing, itself included.
        hit = (x == top) | (x != x)
        along = [-1 if i == axis % x.ndim else 1 for i in range(x.ndim)]
        places = torch.arange(size, device=x.device).view(along)
        return torch.amin(torch.where(hit, places, size), axis, keepdim=keepdims)

    def matmul(self, x: Array, y: Array, *, out: Array = None) -> Array:
        """Return the matrix product."""
        if out is None and type(x) is _Tensor and type(y) is _Tensor and x.ndim == 2 and y.ndim == 2:
            try:
                return x.mm(y)
            except RuntimeError:
                agree("matmul", x, y)
                raise
        if type(x) is not _Tensor or type(y) is not _Tensor or x.dtype is not y.dtype:
            agree("matmul", x, y)
        if x.ndim == 2 and y.ndim == 2:
            if out.shape != (x.shape[0], y.shape[1]) or out.dtype is not x.dtype or out.is_inference():
                out = check_out("matmul", out, torch.Size((x.shape[0], y.shape[1])), x.dtype)
            return torch.mm(x, y, out=out)
        if x.ndim < 2 or y.ndim < 2:
            raise ShapeError(
                f"matmul: expected at least two axes on each side, got {tuple(x.shape)} and {tuple(y.shape)}"
            )
        if out is not None:
            batch = broadcast(x.shape[:-2], y.shape[:-2])
            out = check_out("matmul", out, (*batch, x.shape[-2], y.shape[-1]), x.dtype)
            # torch.matmul would fail where it folds the batch into the rows.
            if out is not None and not out.is_contiguous():
                return out.copy_(torch.matmul(x, y))
        return torch.matmul(x, y, out=out)

    # -- move ------------------------------------------------------------------------------------

    def reshape(self, x: Array, shape: Shape) -> Array:
        """Return x.reshape(shape)."""
        check("reshape", x)
        return x.reshape(shape)

    def permute_dims(self, x: Array, axes: tuple[int, ...]) -> Array:
        """Return x.permute(axes)."""
        check("permute_dims", x)
        return x.permute(axes)

    def broadcast_to(self, x: Array, shape: Shape) -> Array:
        """Return a view."""
        check("broadcast_to", x)
        return x.expand(shape)

    def concat(self, tensors: Sequence[Array], *, axis: int = 0) -> Array:
        """Return torch.cat."""
        check("concat", tensors[0])
        for other in tensors[1:]:
            agree("concat", tensors[0], other)
        return torch.cat(tuple(tensors), axis)

    def pad(self, x: Array, widths: Widths, *, value: Any = 0.0) -> Array:
        """Return torch.constant_pad_nd, which counts axes from the last."""
        check("pad", x)
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
        check("slice", x)
        return x[slices(starts, stops, steps)]

    # -- index -----------------------------------------------------------------------------------

    def take(self, x: Array, indices: Array, *, axis: int) -> Array:
        """Return torch.index_select."""
        check("take", x, indices)
        return torch.index_select(x, axis, indices)

    def index_add(self, x: Array, indices: Array, values: Array, *, axis: int, out: Array = None) -> Array:
        """Return a copy of x with values added at the indices."""
        agree("index_add", x, values)
        check("index_add", indices)
        return self.copy(x, out=out).index_add_(axis, indices, values)

    def take_along_axis(self, x: Array, indices: Array, *, axis: int) -> Array:
        """Return torch.gather."""
        check("take_along_axis", x, indices)
        return torch.gather(x, axis, indices)

    def scatter_add(self, x: Array, indices: Array, values: Array, *, axis: int, out: Array = None) -> Array:
        """Return a copy of x with values added where the indices point."""
        agree("scatter_add", x, values)
        check("scatter_add", indices)
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
        agree("slice_add", x, values)
        result = self.copy(x, out=out)
        result[slices(starts, stops, steps)].add_(values)
        return result

    # -- window ----------------------------------------------------------------------------------

    def unfold(self, x: Array, window: Window, *, out: Array = None) -> Array:
        """Copy a strided view of the padded image."""
        check("unfold", x)
        columns = window.columns_of("unfold", x.shape)
        if window.padded:
            x = self.pad(x, ((0, 0), (0, 0), *window.padding))
        shape, strides = window.view(x.stride()[2:])
        shape = (*x.shape[:2], *shape)
        view = x.as_strided(shape, (*x.stride()[:2], *strides))
        if out is not None:
            out = check_out("unfold", out, columns, x.dtype)
        if out is None:
            out = x.new_empty(columns)  # view.reshape would be x itself for a kernel of one place
        if out.is_contiguous():
            out.view(shape).copy_(view)
        else:
            out.copy_(view.reshape(columns))
        return out

    def fold(self, columns: Array, window: Window, *, out: Array = None) -> Array:
        """Add the values of each place in the kernel to the slice of the image that it saw."""
        check("fold", columns)
        shape = window.image_of("fold", columns.shape)
        if out is not None:
            out = check_out("fold", out, shape, columns.dtype)
        parts = columns.reshape(*shape[:2], *window.kernel_size, *window.counts)
        if out is not None and not window.padded:
            image = out.zero_()
        else:
            image = columns.new_zeros((*shape[:2], *window.padded_size))
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
            check_out("assign", cell, self.shape(value), value.dtype)
            cell.copy_(value)

    def synchronize(self) -> None:
        """Wait for the device."""
        if self._is_cuda:
            torch.cuda.synchronize(self._device)

    def session(self) -> AbstractContextManager[None]:
        """Enter inference mode: no version counters, no autograd bookkeeping."""
        return _session


class _Session(threading.local):
    """Enters inference mode where it is not on, and leaves what it entered: one object for all sessions.

    What has been entered is a stack of each thread's own, so that a session may be made before another
    is entered, and entered inside itself.
    """

    def __init__(self) -> None:
        self.entered: list[Any] = []

    def __enter__(self) -> None:
        if _is_inside():
            self.entered.append(None)
            return
        mode = _InferenceMode(True)
        mode.__enter__()
        self.entered.append(mode)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        mode = self.entered.pop()
        if mode is not None:
            mode.__exit__(None, None, None)


_session = _Session()


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
