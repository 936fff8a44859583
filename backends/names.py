"""Names of ops that a backend does not have: torch's, numpy's and misspelt ones, and the ops to use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .errors import UnknownOpError, did_you_mean

_ELSEWHERE = {
    "add": "add_ plus",
    "subtract": "sub sub_ minus",
    "multiply": "mul mul_ times",
    "divide": "div div_ true_divide truediv",
    "negative": "neg",
    "abs": "absolute fabs",
    "pow": "power float_power",
    "log": "ln",
    "maximum": "fmax",
    "minimum": "fmin",
    "equal": "eq isclose",
    "less": "lt",
    "less_equal": "le",
    "greater": "gt",
    "logical_not": "not_ bitwise_not invert",
    "where": "select masked_fill choose",
    "sum": "nansum add_reduce",
    "max": "amax",
    "matmul": "dot mm bmm mv inner vdot einsum tensordot",
    "reshape": "view flatten ravel squeeze unsqueeze expand_dims newaxis resize",
    "permute_dims": "transpose permute swapaxes swapdims moveaxis T t mT",
    "broadcast_to": "expand expand_as repeat tile",
    "concat": "cat concatenate hstack vstack",
    "slice": "narrow getitem",
    "take": "index_select gather_rows",
    "take_along_axis": "gather",
    "scatter_add": "scatter",
    "full": "full_like",
    "from_host": "array asarray as_tensor tensor from_numpy",
    "to_host": "numpy to_numpy cpu",
    "astype": "cast to type float double",
    "copy": "clone detach",
    "random": "rand randn normal uniform dropout",
    "arange": "range linspace",
    "shape": "size dim ndim rank",
    "clip": "clamp clip_by_value",
    "square": "sqr",
    "var": "variance",
    "mean": "average nanmean",
    "sigmoid": "expit logistic",
    "linear": "addmm dense affine",
    "unfold": "im2col",
    "fold": "col2im",
    "max_pool": "max_pool2d max_pool1d",
    "leaky_relu": "leakyrelu prelu",
    "one_hot": "onehot eye",
    "synchronize": "wait",
}
OP_FOR = {other: op for op, others in _ELSEWHERE.items() for other in others.split()}
RECIPES = {
    "ge": "less_equal(y, x)",
    "greater_equal": "less_equal(y, x)",
    "ne": "logical_not(equal(x, y))",
    "not_equal": "logical_not(equal(x, y))",
    "min": "negative(max(negative(x), axis=...))",
    "amin": "negative(max(negative(x), axis=...))",
    "argmin": "argmax(negative(x), axis=...)",
    "reciprocal": "divide(1.0, x)",
    "rsqrt": "divide(1.0, sqrt(x))",
    "std": "sqrt(var(x, axis=...))",
    "norm": "sqrt(sum(square(x), axis=...))",
    "logical_and": "where(x, y, False)",
    "logical_or": "where(x, True, y)",
    "zeros": "full(shape, 0.0)",
    "ones": "full(shape, 1.0)",
    "zeros_like": "full(shape(x), 0.0)",
    "ones_like": "full(shape(x), 1.0)",
    "stack": "concat of tensors with a new axis from reshape",
    "cross_entropy": "log_softmax, or lamina.layers.CrossEntropyLoss",
    "silu": "multiply(x, sigmoid(x))",
}


OTHER_NAMES = frozenset({*OP_FOR, *RECIPES})


class OtherName:
    """A name that torch or numpy has for an op. Reading it from a backend raises the error with our name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, backend: object, owner: type) -> Any:
        if backend is None:
            return self
        raise unknown_op(backend, self.name)


def unknown_op(backend: object, name: str, ops: Iterable[str] = ()) -> UnknownOpError:
    """Return the error for a backend's attribute that does not exist: it names the op to use."""
    return UnknownOpError(f"{backend!r} has no op {name!r}{advice(name, ops)}")


def advice(name: str, ops: Iterable[str]) -> str:
    """Return "; use multiply" for a name that is no op, or the nearest op."""
    known = set(ops)
    for word in (name, name.lower(), name.rstrip("_")):
        if found := word if word in known else RECIPES.get(word) or OP_FOR.get(word):
            return f"; use {found}"
    near = did_you_mean(name.lower(), sorted(known))
    return f".{near}" if near else "; docs/ops.md lists the ops"
