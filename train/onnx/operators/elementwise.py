"""Arithmetic, comparisons, casts: one op of the protocol each, or a few."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from ....backends import Backend, Tensor
from ..node import Node
from ..registry import function

_DIRECT = {
    "Abs": "abs",
    "Neg": "negative",
    "Sign": "sign",
    "Exp": "exp",
    "Log": "log",
    "Sqrt": "sqrt",
    "Sub": "subtract",
    "Equal": "equal",
    "Greater": "greater",
    "Less": "less",
    "LessOrEqual": "less_equal",
    "Not": "logical_not",
    "Where": "where",
}
_FOLDED = {"Add": "add", "Mul": "multiply", "Sum": "add", "Max": "maximum", "Min": "minimum"}


def _direct(op: str) -> Callable[..., Tensor]:
    return lambda b, node, *tensors: getattr(b, op)(*tensors)


def _folded(op: str) -> Callable[..., Tensor]:
    return lambda b, node, *tensors: functools.reduce(getattr(b, op), tensors)


for _name, _op in _DIRECT.items():
    function(_name)(_direct(_op))
for _name, _op in _FOLDED.items():
    function(_name)(_folded(_op))


def is_float(b: Backend, x: Tensor) -> bool:
    """Whether the tensor is of a float dtype."""
    return b.dtype(x).startswith("float")


def _whole(b: Backend, compute: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """Return a floating op's result of whole numbers, cut to whole numbers: exact below 2**53."""
    return b.astype(compute(*(b.astype(x, "float64") for x in tensors)), "int64")


@function("Div")
def divide(b: Backend, node: Node, x: Tensor, y: Tensor) -> Tensor:
    """x / y; of integers, cut towards zero."""
    return b.divide(x, y) if is_float(b, x) else _whole(b, b.divide, x, y)


@function("Pow")
def power(b: Backend, node: Node, x: Tensor, y: Tensor) -> Tensor:
    """x to the power y, in x's dtype."""
    if is_float(b, x):
        return b.pow(x, y if b.dtype(y) == b.dtype(x) else b.astype(y, b.dtype(x)))
    return _whole(b, b.pow, x, y)


@function("Mean")
def mean(b: Backend, node: Node, *tensors: Tensor) -> Tensor:
    """Return the mean of the tensors, element by element."""
    return b.divide(functools.reduce(b.add, tensors), float(len(tensors)))


@function("Reciprocal")
def reciprocal(b: Backend, node: Node, x: Tensor) -> Tensor:
    """1 / x."""
    return b.divide(1.0, x)


@function("GreaterOrEqual")
def greater_equal(b: Backend, node: Node, x: Tensor, y: Tensor) -> Tensor:
    """x >= y."""
    return b.less_equal(y, x)


@function("And")
def logical_and(b: Backend, node: Node, x: Tensor, y: Tensor) -> Tensor:
    """Return x and y, of bools."""
    return b.where(x, y, False)


@function("Or")
def logical_or(b: Backend, node: Node, x: Tensor, y: Tensor) -> Tensor:
    """Return x or y, of bools."""
    return b.where(x, True, y)


@function("Xor")
def logical_xor(b: Backend, node: Node, x: Tensor, y: Tensor) -> Tensor:
    """Return either x or y, of bools."""
    return b.logical_not(b.equal(x, y))


@function("IsNaN")
def is_nan(b: Backend, node: Node, x: Tensor) -> Tensor:
    """Return whether x is NaN."""
    return b.logical_not(b.equal(x, x))


@function("IsInf")
def is_infinite(b: Backend, node: Node, x: Tensor) -> Tensor:
    """Return whether x is infinite, of the signs that are asked for."""
    found = b.less(x, -math.inf)
    for sign, name in ((1.0, "detect_positive"), (-1.0, "detect_negative")):
        if node.get(name, 1):
            found = b.where(b.equal(x, sign * math.inf), True, found)
    return found


@function("Cast")
def cast(b: Backend, node: Node, x: Tensor) -> Tensor:
    """Return x in the kind of dtype that is named: floats of any width are the backend's own."""
    kind = node.get("to")
    if kind == 9:
        return b.astype(x, "bool")
    return b.astype(x, b.default_dtype if kind in (1, 10, 11, 16) else "int64")


@function("CastLike")
def cast_like(b: Backend, node: Node, x: Tensor, like: Tensor) -> Tensor:
    """Return x in the dtype of another tensor."""
    return b.astype(x, b.dtype(like))


@function("Identity")
def identity(b: Backend, node: Node, x: Tensor) -> Tensor:
    """Return x."""
    return x


@function("Clip")
def clip(b: Backend, node: Node, x: Tensor, low: Any = None, high: Any = None) -> Tensor:
    """Return x held within bounds, each of which may be left out; the upper one wins."""
    low = node.get("min") if low is None else low
    high = node.get("max") if high is None else high
    x = x if low is None else b.maximum(x, low)
    return x if high is None else b.minimum(x, high)
