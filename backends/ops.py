"""The one op table: a row for every primitive and every derived op.

Everything that is *about* ops is generated from it: the decorators' methods, the conformance cases,
the shapes-only backend that counts FLOPs, the table in docs/ops.md. A derived op has no shape and cost
rule: both follow from its definition in base.py. Adding an op is four edits, listed in CONTRIBUTING.md.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Literal

from . import meta
from .base import DERIVED, Backend
from .gradients import VJP, VJPS
from .number import Number
from .tolerance import EXACT, FORWARD, SUMMED, Tolerance, ulp

Kind = Literal[
    "metadata", "create", "unary", "binary", "select", "reduce", "contract",
    "move", "index", "window", "storage", "control", "derived",
]  # fmt: skip
Gives = Literal["tensor", "tensors", "cells", "host", "nothing"]
_SCALARS = (int, float, bool, type(None), Number)


@dataclass(frozen=True)
class Op:
    """One row: what a decorator, a test or a page needs to know of an op."""

    name: str
    kind: Kind
    tensors: tuple[str, ...] = ()
    """The parameters that hold handles (a handle, a scalar, None, or a sequence of handles)."""
    shape: Callable[..., meta.Meta] | None = None
    flops: Callable[..., int] = meta.no_flops
    tolerance: Tolerance = EXACT
    gives: Gives = "tensor"
    view: bool = False
    """Whether the result may share the input's storage, so that it moves no bytes."""
    vjp: VJP | None = field(default=None, repr=False)
    """None: not differentiable (a primitive) or lowered to primitives (a derived op)."""

    @cached_property
    def signature(self) -> inspect.Signature:
        """The signature in the protocol, without self."""
        signature = inspect.signature(getattr(Backend, self.name))
        return signature.replace(parameters=list(signature.parameters.values())[1:])

    @cached_property
    def positions(self) -> tuple[int, ...]:
        """Where the tensors stand among the positional arguments."""
        names = list(self.signature.parameters)
        return tuple(names.index(name) for name in self.tensors if name not in self.named)

    @cached_property
    def named(self) -> tuple[str, ...]:
        """The tensors that are keyword arguments."""
        kinds = {name: p.kind for name, p in self.signature.parameters.items()}
        return tuple(name for name in self.tensors if kinds[name] is inspect.Parameter.KEYWORD_ONLY)

    @cached_property
    def takes_out(self) -> bool:
        """Whether there is an `out`."""
        return "out" in self.signature.parameters

    def map_arguments(
        self, function: Callable[[Any], Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return (args, kwargs) with `function` applied to every handle, `out` included."""
        args, kwargs = list(args), dict(kwargs)
        for i in self.positions:
            if i < len(args):
                args[i] = map_handles(function, args[i])
        for name in (*self.tensors, "out"):
            if kwargs.get(name) is not None:
                kwargs[name] = map_handles(function, kwargs[name])
        return args, kwargs

    def map_result(self, function: Callable[[Any], Any], result: Any) -> Any:
        """Return the result with `function` applied to every handle in it."""
        if self.gives == "tensor":
            return function(result)
        if self.gives == "tensors":
            return tuple(None if value is None else function(value) for value in result)
        if self.gives == "cells":
            flat, views = result
            return function(flat), {name: function(view) for name, view in views.items()}
        return result


def map_handles(function: Callable[[Any], Any], value: Any) -> Any:
    """Apply `function` to a handle, or to each in a list or tuple; scalars and None stay as they are."""
    if type(value) in _SCALARS:
        return value
    if type(value) in (list, tuple):
        return tuple(None if v is None else function(v) for v in value)
    return function(value)


def _op(name: str, kind: Kind, tensors: str = "", shape: Any = None, **rest: Any) -> Op:
    return Op(name, kind, tuple(tensors.split()), shape, vjp=VJPS.get(name), **rest)


def _unary(name: str, tolerance: Tolerance = EXACT) -> Op:
    return _op(name, "unary", "x", partial(meta.unary, name), flops=meta.per_result, tolerance=tolerance)


_ROUNDED = ulp(0.5)


def _binary(name: str, tolerance: Tolerance = _ROUNDED) -> Op:
    return _op(name, "binary", "x y", partial(meta.binary, name), flops=meta.per_result, tolerance=tolerance)


def _compare(name: str) -> Op:
    return _op(name, "select", "x y", partial(meta.comparison, name), flops=meta.per_result)


def _derived(name: str, tensors: str = "", tolerance: Tolerance = FORWARD, **rest: Any) -> Op:
    return _op(name, "derived", tensors, tolerance=tolerance, **rest)


_ROWS = (
    _op("shape", "metadata", "x", gives="host"),
    _op("dtype", "metadata", "x", gives="host"),
    # create and transfer
    _op("from_host", "create"),
    _op("to_host", "create", "x", gives="host"),
    _op("item", "create", "x", gives="host"),
    _op("empty", "create", "", meta.empty),
    _op("full", "create", "", meta.full),
    _op("arange", "create", "", meta.arange),
    _op("astype", "create", "x", meta.astype),
    _op("copy", "create", "x", meta.copy),
    _op("random", "create", "step", meta.random),
    # elementwise
    _unary("negative"),
    _unary("abs"),
    _unary("sign"),
    _unary("exp", ulp(4)),
    _unary("log", ulp(4)),
    _unary("log1p", ulp(4)),
    _unary("sqrt", ulp(0.5)),
    _unary("tanh", ulp(8)),
    _binary("add"),
    _binary("subtract"),
    _binary("multiply"),
    _binary("divide"),
    _binary("pow", ulp(8)),
    _binary("maximum", EXACT),
    _binary("minimum", EXACT),
    # select
    _compare("equal"),
    _compare("less_equal"),
    _compare("greater"),
    _op("logical_not", "select", "x", meta.logical_not, flops=meta.per_result),
    _op("where", "select", "condition x y", meta.where, flops=meta.per_result),
    # reduce and contract
    _op("sum", "reduce", "x", meta.sum, flops=meta.per_input, tolerance=SUMMED),
    _op("max", "reduce", "x", meta.max, flops=meta.per_input),
    _op("argmax", "reduce", "x", meta.argmax, flops=meta.per_input),
    _op("matmul", "contract", "x y", meta.matmul, flops=meta.matmul_flops, tolerance=SUMMED),
    # move
    _op("reshape", "move", "x", meta.reshape, view=True),
    _op("permute_dims", "move", "x", meta.permute_dims, view=True),
    _op("broadcast_to", "move", "x", meta.broadcast_to, view=True),
    _op("concat", "move", "tensors", meta.concat),
    _op("pad", "move", "x", meta.pad),
    _op("slice", "move", "x", meta.slice, view=True),
    # index and window
    _op("take", "index", "x indices", meta.take),
    _op("index_add", "index", "x indices values", meta.index_add, flops=meta.per_value, tolerance=SUMMED),
    _op("take_along_axis", "index", "x indices", meta.take_along_axis),
    _op("scatter_add", "index", "x indices values", meta.scatter_add, flops=meta.per_value, tolerance=SUMMED),
    _op("slice_add", "index", "x values", meta.slice_add, flops=meta.per_second, tolerance=ulp(0.5)),
    _op("unfold", "window", "x", meta.unfold),
    _op("fold", "window", "columns", meta.fold, flops=meta.per_input, tolerance=SUMMED),
    # storage and control
    _op("cells", "storage", gives="cells"),
    _op("assign", "storage", "cell value", gives="nothing"),
    _op("synchronize", "control", gives="nothing"),
    _op("scope", "control", gives="nothing"),
    _op("session", "control", gives="nothing"),
    _op("compile", "control", gives="nothing"),
    # derived: shape and cost follow from the definition
    _derived("square", "x", ulp(0.5)),
    _derived("less", "x y", EXACT),
    _derived("clip", "x", EXACT),
    _derived("add_scaled", "x y"),
    _derived("expm1", "x", ulp(2)),
    _derived("erf", "x", ulp(2)),
    _derived("relu", "x", EXACT),
    _derived("relu_grad", "grad y", EXACT),
    _derived("leaky_relu", "x", ulp(0.5)),
    _derived("leaky_relu_grad", "grad x", ulp(0.5)),
    _derived("sigmoid", "x", ulp(8)),
    _derived("sigmoid_grad", "grad y"),
    _derived("tanh_grad", "grad y"),
    _derived("softplus", "x", ulp(8)),
    _derived("softmax", "x"),
    _derived("softmax_grad", "grad y"),
    _derived("log_softmax", "x"),
    _derived("log_softmax_grad", "grad y"),
    _derived("exp_scaled", "x scale"),
    _derived("logsumexp", "x"),
    _derived("binary_cross_entropy", "p t"),
    _derived("binary_cross_entropy_slope", "p t"),
    _derived("mean", "x", SUMMED),
    _derived("centre", "x", gives="tensors"),
    _derived("var", "x"),
    _derived("normalize", "x weight bias", gives="tensors"),
    _derived("normalize_grad", "grad x mean inverse weight", gives="tensors"),
    _derived("linear", "x weight bias", SUMMED),
    _derived("linear_grad", "grad x", SUMMED, gives="tensors"),
    _derived("one_hot", "indices", EXACT),
    _derived("bernoulli", "step", EXACT),
    _derived("max_pool", "x", EXACT, gives="tensors"),
    _derived("max_pool_grad", "grad indices", SUMMED),
    _derived("sgd_step", "parameter gradient"),
    _derived("adam_step", "parameter gradient first second", gives="tensors"),
)

OPS: dict[str, Op] = {row.name: row for row in _ROWS}
"""The table, by name, in the order of the protocol."""

if missing := set(DERIVED) - set(OPS):  # pragma: no cover - a step of "add an op" was forgotten
    raise RuntimeError(f"backends/ops.py lacks rows for {sorted(missing)}")
