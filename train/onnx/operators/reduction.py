"""Reductions over the axes of an attribute (older files) or an input; over all axes by default."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ....backends import Backend, Tensor
from ....backends.host import Host
from ..node import Node
from ..registry import function
from .elementwise import is_float

Reduction = Callable[..., Tensor]


def _norm(b: Backend, x: Tensor, **over: Any) -> Tensor:
    return b.sqrt(b.sum(b.square(x), **over))


def _log_sum_exp(b: Backend, x: Tensor, *, axis: Any, keepdims: bool) -> Tensor:
    top = b.max(x, axis=axis, keepdims=True)
    shift = b.where(b.equal(b.abs(top), float("inf")), 0.0, top)
    total = b.sum(b.exp(b.subtract(x, shift)), axis=axis, keepdims=True)
    result = b.add(shift, b.log(total))
    return result if keepdims else b.sum(result, axis=axis)


_REDUCTIONS: dict[str, Reduction] = {
    "ReduceSum": lambda b, x, **over: b.sum(x, **over),
    "ReduceMean": lambda b, x, **over: b.mean(x, **over),
    "ReduceMax": lambda b, x, **over: b.max(x, **over),
    "ReduceMin": lambda b, x, **over: b.negative(b.max(b.negative(x), **over)),
    "ReduceL1": lambda b, x, **over: b.sum(b.abs(x), **over),
    "ReduceL2": _norm,
    "ReduceLogSum": lambda b, x, **over: b.log(b.sum(x, **over)),
    "ReduceLogSumExp": _log_sum_exp,
    "ReduceSumSquare": lambda b, x, **over: b.sum(b.square(x), **over),
}
# Results of a reduction over no elements, which the protocol leaves undefined.
_EMPTY = {"ReduceMax": float("-inf"), "ReduceMin": float("inf"), "ReduceLogSumExp": float("-inf")}


def _reduce(reduction: Reduction) -> Callable[..., Tensor]:
    def compute(b: Backend, node: Node, x: Tensor, axes: Host | None = None) -> Tensor:
        shape = b.shape(x)
        chosen = node.get("axes") if axes is None else tuple(int(axis) for axis in axes)
        if not chosen:
            if node.get("noop_with_empty_axes", 0):  # reduce each element alone
                return reduction(b, b.reshape(x, (*shape, 1)), axis=-1, keepdims=False)
            chosen = tuple(range(len(shape)))
        axis = tuple(node.axis(a, len(shape)) for a in chosen)
        keepdims = bool(node.get("keepdims", 1))
        if node.operator in _EMPTY and any(shape[a] == 0 for a in axis):
            reduced = tuple(1 if i in axis else n for i, n in enumerate(shape) if keepdims or i not in axis)
            result = b.full(reduced, _EMPTY[node.operator])
            return b.less(0.0, result) if b.dtype(x) == "bool" else b.astype(result, b.dtype(x))
        if b.dtype(x) == "bool":
            return b.astype(reduction(b, b.astype(x, "int64"), axis=axis, keepdims=keepdims), "bool")
        if node.operator == "ReduceMean" and not is_float(b, x):
            mean = reduction(b, b.astype(x, "float64"), axis=axis, keepdims=keepdims)
            return b.astype(mean, "int64")
        return reduction(b, x, axis=axis, keepdims=keepdims)

    return compute


for _name, _reduction in _REDUCTIONS.items():
    function(_name, host=(1,))(_reduce(_reduction))


@function("ArgMax", "ArgMin")
def arg_max(b: Backend, node: Node, x: Tensor) -> Tensor:
    """The index of the first (or last) largest or smallest value along an axis."""
    axis = node.axis(node.get("axis", 0), len(b.shape(x)))
    keepdims = bool(node.get("keepdims", 1))
    x = b.negative(x) if node.operator == "ArgMin" else x
    if not node.get("select_last_index", 0):
        return b.argmax(x, axis=axis, keepdims=keepdims)
    extent = b.shape(x)[axis]
    reversed_x = b.take(x, b.arange(extent - 1, -1, -1), axis=axis)
    return b.subtract(extent - 1, b.argmax(reversed_x, axis=axis, keepdims=keepdims))


@function("CumSum", host=(1,))
def cumulative_sum(b: Backend, node: Node, x: Tensor, axis: Host) -> Tensor:
    """The cumulative sum along an axis, as a product with a triangle of ones."""
    shape = b.shape(x)
    along = node.axis(int(axis), len(shape))
    n, integers = shape[along], not is_float(b, x)
    row, column = b.reshape(b.arange(0, n), (n, 1)), b.reshape(b.arange(0, n), (1, n))
    first, last = (column, row) if node.get("reverse", 0) else (row, column)
    included = b.less(first, last) if node.get("exclusive", 0) else b.less_equal(first, last)
    x = b.astype(x, "float64") if integers else x
    rows = b.reshape(x, (math.prod(shape[:along]), n, math.prod(shape[along + 1 :])))
    total = b.matmul(b.permute_dims(b.astype(included, b.dtype(x)), (1, 0)), rows)
    total = b.reshape(total, shape)
    return b.astype(total, "int64") if integers else total
