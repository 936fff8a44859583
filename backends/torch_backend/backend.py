"""The primitives in torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from typing_extensions import override

from .. import random as host_random
from ..errors import BackendError, DtypeError, ShapeError
from ..host import check_dtype, fill_value, host_array
from ..options import as_integer
from ..protocol import Axis, Shape, Tensor
from ..quiet import silenced
from ..shapes import (
    axes_in,
    axes_of,
    axis_of,
    broadcast,
    cell_shapes,
    check_not_empty,
    extents,
    product,
    range_of,
    reduced,
)
from ..windows import Window, check_window
from .derived import TorchDerived
from .handles import (
    NAMES,
    NATIVE,
    Array,
    InferenceMode,
    agree,
    alike,
    check,
    check_out,
    fitting,
    foreign_error,
)
from .methods import binary, comparison, scalar, unary
from .moves import TorchMoves
from .normalization import TorchNormalization

_Tensor = torch.Tensor
_is_inside = torch.is_inference_mode_enabled
_silent_sqrt = silenced(np.sqrt)
_sqrt: Any = unary(torch.sqrt).make("sqrt")


class TorchBackend(TorchDerived, TorchMoves, TorchNormalization):
    """torch on "cpu", "cuda" or "cuda:N". TF32 stays off, torch's default for matmul."""

    name = "torch"

    def __init__(self, device: str = "cpu", dtype: str = "float32") -> None:
        self._device = _usable(device)
        super().__init__(str(self._device), dtype)
        self._is_cuda = self._device.type == "cuda"
        self._index = self._device.index if self._is_cuda else -1  # what `Tensor.get_device` returns

    @override
    def details(self) -> dict[str, str | int]:
        device = torch.cuda.get_device_name(self._device) if self._is_cuda else "cpu"
        return {"version": torch.__version__, "device": device, "threads": torch.get_num_threads()}

    # -- metadata, create, transfer --------------------------------------------------------------

    @override
    def shape(self, x: Array) -> Shape:
        if type(x) is not _Tensor or x.get_device() != self._index:
            raise self._foreign("shape", x)
        return x.shape  # a torch.Size is a tuple of ints

    @override
    def dtype(self, x: Array) -> str:
        if type(x) is not _Tensor or x.get_device() != self._index:
            raise self._foreign("dtype", x)
        return NAMES[x.dtype]

    def _foreign(self, op: str, x: object) -> DtypeError:
        if isinstance(x, _Tensor):
            return DtypeError(f"{op}: expected a tensor on {self.device}, got one on {x.device}")
        return foreign_error(op, x)

    @override
    def from_host(self, array: Any, *, dtype: str | None = None) -> Array:
        tensor = torch.from_numpy(host_array(array, dtype, self.default_dtype))
        return tensor.to(self._device) if self._is_cuda else tensor

    @override
    def to_host(self, x: Array) -> Array:
        self.shape(x)
        return x.cpu().numpy() if self._is_cuda else x.numpy().copy()

    @override
    def item(self, x: Array) -> Any:
        if type(x) is not _Tensor:
            raise foreign_error("item", x)
        if x.numel() != 1:
            raise ShapeError(f"item: expected a tensor of one element, got shape {tuple(x.shape)}")
        return x.item()

    @override
    def empty(self, shape: Shape, *, dtype: str | None = None) -> Array:
        """Allocate outside inference mode, so that sessions and other code can write to it."""
        with InferenceMode(False):
            return torch.empty(
                extents("empty", shape), dtype=NATIVE[dtype or self.default_dtype], device=self._device
            )

    @override
    def full(self, shape: Shape, value: Any, *, dtype: str | None = None) -> Array:
        dtype = dtype or self.default_dtype
        native = NATIVE[dtype]
        value = fill_value("full", value, dtype)
        return torch.full(extents("full", shape), fitting(value, native), dtype=native, device=self._device)

    @override
    def arange(self, start: int, stop: int, step: int = 1, *, dtype: str = "int64") -> Array:
        start, stop, step = range_of(start, stop, step, dtype)
        stop = stop if (stop - start) * step > 0 else start  # torch raises for an empty range
        return torch.arange(start, stop, step, dtype=NATIVE[dtype], device=self._device)

    @override
    def astype(self, x: Array, dtype: str) -> Array:
        check_dtype("astype", dtype)
        check("astype", x)
        return x.to(NATIVE[dtype], copy=True)

    @override
    def copy(self, x: Array, *, out: Array = None) -> Array:
        check("copy", x)
        if out is not None:
            out = check_out("copy", out, x.shape, x.dtype)
        if out is None:
            return x.clone(memory_format=torch.contiguous_format)
        return out.copy_(x)

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
        dtype = dtype or self.default_dtype
        number = step if type(step) is int else self._counted(step)
        drawn = host_random.draw(extents("random", shape), seed, stream, number, distribution, dtype)
        return self.from_host(drawn, dtype=dtype)

    def _counted(self, step: Any) -> Any:
        """Return the step that a tensor holds, which waits for a GPU; a number stays."""
        if type(step) is _Tensor:
            host_random.check_counter(self.shape(step), NAMES[step.dtype])
            return int(step)
        if type(step) not in (int, float, bool) and as_integer(step) is None:
            raise foreign_error("random", step)
        return step

    # -- elementwise, select ---------------------------------------------------------------------

    negative = unary(torch.neg, floating=False)
    abs = unary(torch.abs, floating=False)
    exp = unary(torch.exp)
    log = unary(torch.log)
    log1p = unary(torch.log1p)
    tanh = unary(torch.tanh)

    @override
    def sqrt(self, x: Array, *, out: Array = None) -> Array:
        """Use numpy's root on a CPU; torch uses MKL's, which rounds one in five wrongly."""
        if self._is_cuda or type(x) is not _Tensor or not x.is_floating_point():
            return _sqrt(self, x, out=out)
        if out is not None:
            out = check_out("sqrt", out, x.shape, x.dtype)
        if out is None:
            out = torch.empty_like(x)
        _silent_sqrt(x.numpy(), out.numpy())
        return out

    @override
    def sign(self, x: Array, *, out: Array = None) -> Array:
        """Return NaN for NaN, unlike torch.sign."""
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

    @override
    def logical_not(self, x: Array) -> Array:
        if self.dtype(x) != "bool":
            raise DtypeError(f"logical_not: expected a bool tensor, got {x.dtype}")
        return torch.logical_not(x)

    @override
    def where(self, condition: Array, x: Array, y: Array) -> Array:
        dtype = agree("where", x, y)
        if self.dtype(condition) != "bool":
            raise DtypeError(f"where: expected a bool tensor as condition, got {condition.dtype}")
        x = x if type(x) is _Tensor else scalar(x, dtype)
        y = y if type(y) is _Tensor else scalar(y, dtype)
        try:
            return torch.where(condition, x, y)
        except RuntimeError:
            broadcast(condition.shape, x.shape, y.shape, op="where")
            raise

    # -- reduce, contract ------------------------------------------------------------------------

    @override
    def sum(self, x: Array, *, axis: Axis = None, keepdims: bool = False, out: Array = None) -> Array:
        if type(x) is not _Tensor:
            raise foreign_error("sum", x)
        if axis is not None and (type(axis) is not int or not -x.ndim <= axis < x.ndim):
            axis = axes_in("sum", axis, x.ndim)
        if type(axis) is tuple and not axis:
            return self.copy(x if x.is_floating_point() else x.to(torch.int64), out=out)
        if out is None:
            return x.sum() if axis is None and not keepdims else torch.sum(x, axis, keepdims)
        dtype = x.dtype if x.is_floating_point() else torch.int64
        out = check_out("sum", out, reduced(x.shape, axis, keepdims), dtype)
        return torch.sum(x, axes_of(axis, x.ndim) if axis is None else axis, keepdims, out=out)

    @override
    def max(self, x: Array, *, axis: Axis = None, keepdims: bool = False, out: Array = None) -> Array:
        shape = self.shape(x)
        axis = axes_in("max", axis, len(shape))
        if axis == ():
            return self.copy(x, out=out)
        if out is not None:
            out = check_out("max", out, reduced(shape, axis, keepdims), x.dtype)
        try:
            return torch.amax(x, axes_of(axis, len(shape)), keepdims, out=out)
        except (IndexError, RuntimeError):
            check_not_empty("max", shape, axis)
            raise

    @override
    def argmax(self, x: Array, *, axis: int, keepdims: bool = False) -> Array:
        """Return the first maximum; torch.argmax may return any."""
        check("argmax", x)
        axis = axis_of("argmax", axis, x.ndim)
        size = x.shape[axis]
        if not size:
            check_not_empty("argmax", x.shape, axis)
        top = torch.amax(x, axis, keepdim=True)
        # NaN is the maximum of its slice, and does not equal itself.
        hit = (x == top) | (x != x)
        along = [-1 if i == axis % x.ndim else 1 for i in range(x.ndim)]
        places = torch.arange(size, device=x.device).view(along)
        return torch.amin(torch.where(hit, places, size), axis, keepdim=keepdims)

    @override
    def matmul(self, x: Array, y: Array, *, out: Array = None) -> Array:
        if out is None and type(x) is _Tensor and type(y) is _Tensor and x.ndim == 2 and y.ndim == 2:
            try:
                return x.mm(y)
            except RuntimeError:
                agree("matmul", x, y)
                product(x.shape, y.shape)
                raise
        if type(x) is not _Tensor or type(y) is not _Tensor or x.dtype is not y.dtype:
            alike("matmul", x, y)
        shape = product(x.shape, y.shape)
        if x.ndim == 2 and y.ndim == 2:
            return torch.mm(x, y, out=check_out("matmul", out, shape, x.dtype))
        if out is not None:
            out = check_out("matmul", out, shape, x.dtype)
            if out is not None and not out.is_contiguous():  # torch.matmul may fail here
                return out.copy_(torch.matmul(x, y))
        return torch.matmul(x, y, out=out)

    # -- window ----------------------------------------------------------------------------------

    @override
    def unfold(self, x: Array, window: Window, *, out: Array = None) -> Array:
        """Copy a strided view of the padded image."""
        check("unfold", x)
        check_window("unfold", window)
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

    @override
    def fold(self, columns: Array, window: Window, *, out: Array = None) -> Array:
        """Add the values of each place in the kernel to the slice of the image that it saw."""
        check("fold", columns)
        check_window("fold", window)
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

    @override
    def cells(
        self, shapes: Mapping[str, Shape], *, dtype: str | None = None
    ) -> tuple[Array, dict[str, Array]]:
        shapes = cell_shapes(shapes)
        sizes = [math.prod(shape) for shape in shapes.values()]
        flat = self.empty((sum(sizes),), dtype=dtype).zero_()
        views, start = {}, 0
        with InferenceMode(False):
            for (name, shape), size in zip(shapes.items(), sizes, strict=True):
                views[name] = flat[start : start + size].view(shape)
                if len(shape) == 2:  # for `linear`, at every step
                    views[name].transposed, views[name].bias = views[name].t(), None
                start += size
        return flat, views

    @override
    def assign(self, cell: Array, value: Array) -> None:
        if value is not cell:
            check_out("assign", cell, self.shape(value), value.dtype)
            cell.copy_(value)

    @override
    def synchronize(self) -> None:
        if self._is_cuda:
            torch.cuda.synchronize(self._device)

    @override
    def parts(self, x: Array, size: int) -> Iterator[Array]:
        """Split a few thousand at a time: a view takes half a kilobyte."""
        check("parts", x)
        for rows in x.split(4096 * size):
            yield from rows.split(size)

    @override
    def session(self) -> AbstractContextManager[None]:
        """Enter inference mode: no version counters, no autograd bookkeeping."""
        return _session


_entered: ContextVar[Any] = ContextVar("lamina_torch_sessions", default=None)
"""A stack as pairs: the mode that was entered last (None if it was on), and the pair below."""


class _Session:
    """Inference mode, entered if it is off. One object serves all sessions.

    Each context has a stack of what it entered, so sessions nest, also inside themselves. If an interrupt
    comes before `__exit__`, torch leaves the mode when the context ends.
    """

    def __enter__(self) -> None:
        mode = None if _is_inside() else InferenceMode(True)
        if mode is not None:
            mode.__enter__()
        _entered.set((mode, _entered.get()))

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        mode, below = _entered.get()
        _entered.set(below)
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
