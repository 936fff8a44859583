"""Reductions over axes that an attribute (older files) or an input names; all of them by default."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ....backends import Backend, Tensor
from ..node import Host, Node
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
# What they are of no values at all, where the ops of the protocol say nothing.
_OF_NOTHING = {"ReduceMax": float("-inf"), "ReduceMin": float("inf"), "ReduceLogSumExp": float("-inf")}


def _reduce(reduction: Reduction) -> Callable[..., Tensor]:
    def compute(b: Backend, node: Node, x: Tensor, axes: Host | None = None) -> Tensor:
        shape = b.shape(x)
        given = node.get("axes") if axes is None else tuple(int(axis) for axis in axes)
        if not given:
            if node.get("noop_with_empty_axes", 0):
                return _of_each(b, node, reduction, x)
            given = tuple(range(len(shape)))
        axis = tuple(a % len(shape) for a in given)
        keepdims = bool(node.get("keepdims", 1))
        if node.operator in _OF_NOTHING and any(shape[a] == 0 for a in axis):
            kept = tuple(1 if i in axis else n for i, n in enumerate(shape) if keepdims or i not in axis)
            found = b.full(kept, _OF_NOTHING[node.operator])
            return b.less(0.0, found) if b.dtype(x) == "bool" else b.astype(found, b.dtype(x))
        if b.dtype(x) == "bool":
            return b.astype(reduction(b, b.astype(x, "int64"), axis=axis, keepdims=keepdims), "bool")
        if node.operator == "ReduceMean" and not is_float(b, x):
            mean = reduction(b, b.astype(x, "float64"), axis=axis, keepdims=keepdims)
            return b.astype(mean, "int64")
        return reduction(b, x, axis=axis, keepdims=keepdims)

    return compute


def _of_each(b: Backend, node: Node, reduction: Reduction, x: Tensor) -> Tensor:
    """Return what the reduction of each element alone gives: what comes before and after the sum remains."""
    one = b.reshape(x, (*b.shape(x), 1))
    return reduction(b, one, axis=-1, keepdims=False)


for _name, _reduction in _REDUCTIONS.items():
    function(_name, host=(1,))(_reduce(_reduction))


@function("ArgMax", "ArgMin")
def arg_max(b: Backend, node: Node, x: Tensor) -> Tensor:
    """Return the index of the first (or last) largest or smallest value along an axis."""
    axis = int(node.get("axis", 0)) % len(b.shape(x))
    keepdims = bool(node.get("keepdims", 1))
    x = b.negative(x) if node.operator == "ArgMin" else x
    if not node.get("select_last_index", 0):
        return b.argmax(x, axis=axis, keepdims=keepdims)
    extent = b.shape(x)[axis]
    backwards = b.take(x, b.arange(extent - 1, -1, -1), axis=axis)
    return b.subtract(extent - 1, b.argmax(backwards, axis=axis, keepdims=keepdims))


@function("CumSum", host=(1,))
def cumulative_sum(b: Backend, node: Node, x: Tensor, axis: Host) -> Tensor:
    """Return the sum of what comes before along an axis, as a product with a triangle of ones."""
    shape = b.shape(x)
    along = int(axis) % len(shape)
    n, whole = shape[along], not is_float(b, x)
    row, column = b.reshape(b.arange(0, n), (n, 1)), b.reshape(b.arange(0, n), (1, n))
    first, last = (column, row) if node.get("reverse", 0) else (row, column)
    held = b.less(first, last) if node.get("exclusive", 0) else b.less_equal(first, last)
    x = b.astype(x, "float64") if whole else x
    rows = b.reshape(x, (math.prod(shape[:along]), n, math.prod(shape[along + 1 :])))
    total = b.matmul(b.permute_dims(b.astype(held, b.dtype(x)), (1, 0)), rows)
    total = b.reshape(total, shape)
    return b.astype(total, "int64") if whole else total
