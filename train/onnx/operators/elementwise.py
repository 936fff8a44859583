"""Arithmetic, comparisons and casts, each computed by a few ops."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from ....backends import Backend, Tensor
from ....backends.host import is_floating
from ..node import Node
from ..registry import function

_SAME = {
    "Abs": "abs",
    "Neg": "negative",
    "Sign": "sign",
    "Exp": "exp",
    "Log": "log",
    "Sqrt": "sqrt",
    "Erf": "erf",
    "Sub": "subtract",
    "Equal": "equal",
    "Greater": "greater",
    "Less": "less",
    "LessOrEqual": "less_equal",
    "Not": "logical_not",
    "Where": "where",
}
"""Operators that are an op of the protocol."""
_FOLDED = {"Add": "add", "Mul": "multiply", "Sum": "add", "Max": "maximum", "Min": "minimum"}
"""Operators of any number of tensors, folded by a binary op."""
_FORMULAS: dict[str, Callable[..., Tensor]] = {
    "Identity": lambda b, node, x: x,
    "Reciprocal": lambda b, node, x: b.divide(1.0, x),
    "Mean": lambda b, node, *tensors: b.divide(functools.reduce(b.add, tensors), float(len(tensors))),
    "GreaterOrEqual": lambda b, node, x, y: b.less_equal(y, x),
    "And": lambda b, node, x, y: b.where(x, y, False),
    "Or": lambda b, node, x, y: b.where(x, True, y),
    "Xor": lambda b, node, x, y: b.logical_not(b.equal(x, y)),
    "IsNaN": lambda b, node, x: b.logical_not(b.equal(x, x)),
    "CastLike": lambda b, node, x, like: b.astype(x, b.dtype(like)),
}


def _same(op: str) -> Callable[..., Tensor]:
    return lambda b, node, *tensors: getattr(b, op)(*tensors)


def _folded(op: str) -> Callable[..., Tensor]:
    return lambda b, node, *tensors: functools.reduce(getattr(b, op), tensors)


for _name, _op in _SAME.items():
    function(_name)(_same(_op))
for _name, _op in _FOLDED.items():
    function(_name)(_folded(_op))
for _name, _compute in _FORMULAS.items():
    function(_name)(_compute)


def is_float(b: Backend, x: Tensor) -> bool:
    """Whether the tensor's dtype is floating."""
    return is_floating(b.dtype(x))


def dtype_of(b: Backend, kind: int) -> str:
    """Return the dtype for ONNX's number of a type: floats of any width take the default dtype."""
    return {1: b.default_dtype, 9: "bool", 10: b.default_dtype, 11: b.default_dtype, 16: b.default_dtype}.get(
        kind, "int64"
    )


def _truncated(b: Backend, compute: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """Return a floating op's result for integers, truncated to integers: exact below 2**53."""
    return b.astype(compute(*(b.astype(x, "float64") for x in tensors)), "int64")


@function("Div")
def divide(b: Backend, node: Node, x: Tensor, y: Tensor) -> Tensor:
    """x / y; integers are divided with truncation towards zero."""
    return b.divide(x, y) if is_float(b, x) else _truncated(b, b.divide, x, y)


@function("Pow")
def power(b: Backend, node: Node, x: Tensor, y: Tensor) -> Tensor:
    """x to the power y, in x's dtype."""
    return b.pow(x, b.astype(y, b.dtype(x))) if is_float(b, x) else _truncated(b, b.pow, x, y)


@function("IsInf")
def is_infinite(b: Backend, node: Node, x: Tensor) -> Tensor:
    """Whether x is an infinity of a sign that the node detects."""
    result = b.less(x, -math.inf)  # False everywhere
    for sign, name in ((1.0, "detect_positive"), (-1.0, "detect_negative")):
        if node.get(name, 1):
            result = b.where(b.equal(x, sign * math.inf), True, result)
    return result


@function("Cast")
def cast(b: Backend, node: Node, x: Tensor) -> Tensor:
    """Return x in another dtype."""
    return b.astype(x, dtype_of(b, node.get("to")))


@function("Clip")
def clip(b: Backend, node: Node, x: Tensor, low: Any = None, high: Any = None) -> Tensor:
    """min(max(x, low), high); either bound may be absent."""
    low = node.get("min") if low is None else low
    high = node.get("max") if high is None else high
    x = x if low is None else b.maximum(x, low)
    return x if high is None else b.minimum(x, high)
