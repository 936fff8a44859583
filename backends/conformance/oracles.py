"""The float64 oracle of each op: its result without rounding.

A primitive's oracle is plain numpy; window ops and scatters loop over elements. A derived op's oracle is its
definition in `Backend`, in float64.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import summation
from ..base import Backend
from ..host import Host
from ..numpy_backend import NumpyBackend
from ..ops import OPS
from ..windows import Window
from .case import Case

_definitions = NumpyBackend("cpu", "float64")


@functools.cache
def expected(case: Case, dtype: str, default_dtype: str) -> Any:
    """Return the exact result of a case; its float inputs are rounded to `dtype` first."""
    args, kwargs = case.map(lambda tensor: _wide(tensor.value(dtype)))
    if case.op in ("from_host", "full", "random", "to_host", "dtype", "copy", "item"):
        args, kwargs = case.map(lambda tensor: tensor.value(dtype))
    args = tuple(_rounded(case, i, value, dtype) for i, value in enumerate(args))
    return apply(case.op, args, kwargs, default_dtype)


def apply(op: str, args: tuple[Any, ...], kwargs: dict[str, Any], default_dtype: str = "float64") -> Any:
    """Run an op's oracle on host arrays."""
    with np.errstate(all="ignore"):
        if op in _HOSTS:
            return _HOSTS[op](default_dtype, *args, **kwargs)
        if OPS[op].kind == "derived":
            if op in ("one_hot", "bernoulli") and kwargs.get("dtype") is None:
                kwargs = {**kwargs, "dtype": default_dtype}
            return getattr(Backend, op)(_definitions, *args, **kwargs)
        return ORACLES[op](*args, **kwargs)


@functools.cache
def magnitude(case: Case, dtype: str) -> Any:
    """Return the exact result for absolute inputs: rounding errors of a sum are relative to it."""
    args, kwargs = case.map(lambda tensor: _wide(tensor.value(dtype)))
    return summation.magnitude(OPS[case.op], apply, args, kwargs)


@functools.cache
def terms(case: Case, dtype: str) -> int:
    """Return the number of roundings in the longest sum of a case."""
    args, kwargs = case.map(lambda tensor: _wide(tensor.value(dtype)))
    return summation.terms(OPS[case.op], apply, args, kwargs, dtype)


def _wide(value: Host) -> Host:
    return value.astype(np.float64) if value.dtype.kind == "f" else value


def _rounded(case: Case, position: int, value: Any, dtype: str) -> Any:
    """Round a scalar operand as its tensor is rounded."""
    operand = position in OPS[case.op].positions and type(value) is float
    if operand and any(t.floating for t in case.tensors()):
        return float(np.dtype(dtype).type(value))
    return value


# -- ops whose result depends on the default dtype, or is not a tensor ------------------------------


def _from_host(default: str, array: Any, *, dtype: str | None = None) -> Host:
    value = np.asarray(array)
    chosen = dtype or {"f": default, "i": "int64", "u": "int64", "b": "bool"}[value.dtype.kind]
    return value.astype(chosen)


def _full(default: str, shape: Any, value: Any, *, dtype: str | None = None) -> Host:
    return np.full(shape, value, dtype or default)


def _empty(default: str, shape: Any, *, dtype: str | None = None) -> Host:
    return np.zeros(shape, dtype or default)


def _random(default: str, shape: Any, **options: Any) -> Host:
    """Draw from numpy's Philox: (seed, stream) is the key, the step the top word of the counter."""
    stream = options["stream"]
    if isinstance(stream, str):
        stream = int.from_bytes(hashlib.sha256(stream.encode()).digest()[:8], "little")
    key = np.array([options["seed"], stream], np.uint64)
    counter = np.array([0, 0, 0, options.get("step", 0)], np.uint64)
    source = np.random.Generator(np.random.Philox(key=key, counter=counter))
    dtype = options.get("dtype") or default
    if options.get("distribution") == "normal":
        return np.asarray(source.standard_normal(shape), dtype=dtype)
    whole = source.random(shape)
    return np.asarray(whole if dtype == "float64" else np.trunc(whole * 2.0**24) / 2.0**24, dtype=dtype)


_HOSTS: dict[str, Callable[..., Any]] = {
    "from_host": _from_host,
    "full": _full,
    "empty": _empty,
    "random": _random,
    "shape": lambda default, x: x.shape,
    "dtype": lambda default, x: x.dtype.name,
    "to_host": lambda default, x: x,
    "item": lambda default, x: x.reshape(-1)[0].item(),
}


# -- primitives ------------------------------------------------------------------------------------


def _reduce(function: Callable[[Host], Any]) -> Callable[..., Any]:
    def oracle(x: Host, *, axis: Any = None, keepdims: bool = False) -> Any:
        axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        gone = sorted(a % x.ndim for a in axes)
        kept = [a for a in range(x.ndim) if a not in gone]
        rows = x.transpose(kept + gone).reshape([x.shape[a] for a in kept] + [-1 if x.size else 0])
        if not x.size:
            rows = np.zeros([x.shape[a] for a in kept] + [int(np.prod([x.shape[a] for a in gone]))], x.dtype)
        result = np.empty(rows.shape[:-1], np.int64 if x.dtype == bool else x.dtype)
        for place in np.ndindex(*result.shape):
            result[place] = function(rows[place])
        if not keepdims:
            return result
        return result.reshape([1 if a in gone else x.shape[a] for a in range(x.ndim)])

    return oracle


def _total(row: Host) -> Any:
    # In extended precision if the platform has it.
    return row.sum(dtype=np.longdouble) if row.dtype.kind == "f" else row.sum(dtype=np.int64)


def _first_maximum(row: Host) -> int:
    best = 0
    for i, value in enumerate(row):
        if np.isnan(value):
            return i
        if value > row[best]:
            best = i
    return best


def _argmax(x: Host, *, axis: int, keepdims: bool = False) -> Host:
    first = np.apply_along_axis(_first_maximum, axis, x) if x.size else np.zeros(x.any(axis).shape)
    result: Host = first.astype(np.int64)
    return np.expand_dims(result, axis) if keepdims else result


def _matmul(x: Host, y: Host) -> Any:
    return (x[..., :, :, None] * y[..., None, :, :]).sum(-2)


def _pad(x: Host, widths: Any, *, value: Any = 0.0) -> Host:
    return np.pad(x, widths, constant_values=value) if x.ndim else x


def _bounds(starts: Any, stops: Any, steps: Any) -> tuple[slice, ...]:
    return tuple(slice(*b) for b in zip(starts, stops, steps or (1,) * len(starts), strict=True))


def _slice(x: Host, starts: Any, stops: Any, *, steps: Any = None) -> Host:
    return x[_bounds(starts, stops, steps)]


def _slice_add(x: Host, values: Host, starts: Any, stops: Any, *, steps: Any = None) -> Host:
    result = np.array(x)
    places = np.arange(x.size).reshape(x.shape)[_bounds(starts, stops, steps)]
    for place, value in zip(np.ravel(places), np.ravel(values), strict=True):
        result.reshape(-1)[place] += value
    return result


def _take(x: Host, indices: Host, *, axis: int) -> Host:
    rows = np.moveaxis(x, axis, 0)
    picked = [rows[i] for i in indices]
    return np.moveaxis(np.stack(picked) if picked else rows[:0], 0, axis)


def _index_add(x: Host, indices: Host, values: Host, *, axis: int) -> Host:
    result = np.moveaxis(np.array(x), axis, 0)
    for i, value in zip(indices, np.moveaxis(values, axis, 0), strict=True):
        result[i] += value
    return np.moveaxis(result, 0, axis)


def _take_along_axis(x: Host, indices: Host, *, axis: int) -> Host:
    result = np.empty(indices.shape, x.dtype)
    for place in np.ndindex(*indices.shape):
        source = list(place)
        source[axis] = indices[place]
        result[place] = x[tuple(source)]
    return result


def _scatter_add(x: Host, indices: Host, values: Host, *, axis: int) -> Host:
    result = np.array(x)
    for place in np.ndindex(*indices.shape):
        target = list(place)
        target[axis] = indices[place]
        result[tuple(target)] += values[place]
    return result


@functools.cache
def _touched(window: Window) -> list[list[Any]]:
    """Return the pixel at each offset in the kernel of each window; None is padding."""
    size, kernel, stride = window.size, window.kernel_size, window.stride
    padding, dilation, rank = window.padding, window.dilation, len(size)
    counts = [
        len(range(0, size[a] + sum(padding[a]) - dilation[a] * (kernel[a] - 1), stride[a]))
        for a in range(rank)
    ]
    table = []
    for offset in itertools.product(*map(range, kernel)):
        row: list[Any] = []
        for position in itertools.product(*map(range, counts)):
            pixel = tuple(
                position[a] * stride[a] + offset[a] * dilation[a] - padding[a][0] for a in range(rank)
            )
            row.append(pixel if all(0 <= p < n for p, n in zip(pixel, size, strict=True)) else None)
        table.append(row)
    return table


def _unfold(x: Host, window: Window) -> Host:
    table = _touched(window)
    result = np.zeros((x.shape[0], x.shape[1], len(table), len(table[0])), x.dtype)
    for k, row in enumerate(table):
        for position, pixel in enumerate(row):
            if pixel is not None:
                result[:, :, k, position] = x[(slice(None), slice(None), *pixel)]
    return result.reshape(x.shape[0], x.shape[1] * len(table), len(table[0]))


def _fold(columns: Host, window: Window) -> Host:
    table = _touched(window)
    samples, channels = columns.shape[0], columns.shape[1] // len(table)
    result = np.zeros((samples, channels, *window.size), columns.dtype)
    for k, row in enumerate(table):
        for position, pixel in enumerate(row):
            if pixel is not None:
                result[(slice(None), slice(None), *pixel)] += columns[:, k :: len(table), position]
    return result


ORACLES: dict[str, Callable[..., Any]] = {
    "arange": lambda start, stop, step=1, dtype="int64": np.array(list(range(start, stop, step)), dtype),
    "astype": lambda x, dtype: x.astype(dtype),
    "copy": lambda x: x,
    "negative": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.true_divide,
    "pow": np.float_power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "equal": np.equal,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "logical_not": np.logical_not,
    "where": np.where,
    "sum": _reduce(_total),
    "max": _reduce(np.max),
    "argmax": _argmax,
    "matmul": _matmul,
    "reshape": np.reshape,
    "permute_dims": np.transpose,
    "broadcast_to": np.broadcast_to,
    "concat": lambda tensors, axis=0: np.concatenate(tensors, axis),
    "pad": _pad,
    "slice": _slice,
    "take": _take,
    "index_add": _index_add,
    "take_along_axis": _take_along_axis,
    "scatter_add": _scatter_add,
    "slice_add": _slice_add,
    "unfold": _unfold,
    "fold": _fold,
}
"""By primitive that returns a tensor: a function of host arrays (float64, int64, bool)."""
