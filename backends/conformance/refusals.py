"""Refusals: unequal dtypes, scalars that would change a dtype, tensors of another backend."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from ..base import Backend
from ..errors import LaminaError, ShapeError
from ..ops import OPS
from ..windows import Window
from .case import INF, NAN, Case, T, integers, normal

_ARITHMETIC = ("add", "subtract", "multiply", "divide", "pow", "maximum", "minimum")
_COMPARISONS = ("equal", "less", "less_equal", "greater")
_FLOATING = ("exp", "log", "log1p", "sqrt", "tanh", "divide", "pow", "max_pool")
_CREATE = ("empty", "full", "from_host", "arange", "astype")


_WITH_SCALARS = {op for op, row in OPS.items() if row.kind in ("binary", "select")} | {
    "less",
    "random",
    "bernoulli",
}
"""The ops that take a Python scalar in place of a tensor."""


class Stranger:
    """An object that is no backend's tensor."""


def mixed_dtypes(backend: Backend, case: Case) -> None:
    """Call the op with one float tensor in the other float dtype, for each: a TypeError."""
    floating = [t for t in case.tensors() if t.floating]
    for odd in floating:
        args, kwargs = case.map(
            lambda t, odd=odd: t.handle(backend, "float64" if t is odd else "float32")  # type: ignore[misc]
        )
        refused(f"{case.op}: unequal dtypes", TypeError, getattr(backend, case.op), *args, **kwargs)


def strangers(backend: Backend, case: Case, others: Iterable[Any] = ()) -> None:
    """Replace each tensor by an object that this backend did not make: a TypeError.

    `others` are tensors of other backends to try as well.
    """
    own: Any = backend.from_host([1.0])
    tried: list[Any] = [Stranger(), "tensor", *others]
    if type(own) is not np.ndarray:
        tried.append(np.ones((2, 2), np.float32))
    if case.op not in _WITH_SCALARS:
        tried.append(2.0)
    for stranger in tried:
        for chosen in case.tensors():
            args, kwargs = case.map(
                lambda t, c=chosen, s=stranger: s if t is c else t.handle(backend, "float32")  # type: ignore[misc]
            )
            kind = type(stranger).__name__
            refused(f"{case.op}: a {kind}", TypeError, getattr(backend, case.op), *args, **kwargs)


def other_gradient_shapes(backend: Backend, case: Case) -> None:
    """Pass a gradient of another shape, even one that broadcasts: a ShapeError."""
    args, kwargs = case.map(lambda tensor: tensor.handle(backend, "float32"))
    lead = case.args[0].array.shape
    last: tuple[int, ...] = ()
    if case.op == "linear_grad":  # the last axis of its gradient is free
        lead, last = lead[:-1], lead[-1:]
    wrong = {(2, *lead), (*lead[:-1], lead[-1] + 1), (1,) * len(lead), lead[:-1], tuple(reversed(lead))}
    for shape in sorted(wrong - {lead}):
        gradient = backend.full((*shape, *last), 1.0, dtype="float32")
        what = f"{case.op} [{case.label}]: a gradient of shape {(*shape, *last)}"
        refused(what, ShapeError, getattr(backend, case.op), gradient, *args[1:], **kwargs)


def one_float_dtype(case: Case) -> bool:
    """Whether a case has two or more float tensors: their dtypes must be equal."""
    return sum(t.floating for t in case.tensors()) > 1


def float_with_integers(backend: Backend, op: str) -> None:
    """A float scalar on either side of an int64 tensor is a TypeError."""
    x = integers(3).handle(backend, "float32")
    function = getattr(backend, op)
    refused(f"{op}: an int64 tensor and 1.5", TypeError, function, x, 1.5)
    refused(f"{op}: 1.5 and an int64 tensor", TypeError, function, 1.5, x)


def where_scalars(backend: Backend, op: str) -> None:
    """A float scalar with an int64 tensor, or a condition that is not bool, is a TypeError."""
    x, chosen = integers(3), T(np.array([True, False, True]))
    n, c = x.handle(backend, "float32"), chosen.handle(backend, "float32")
    refused("where: an int64 tensor and 1.5", TypeError, backend.where, c, n, 1.5)
    refused("where: 1.5 and an int64 tensor", TypeError, backend.where, c, 1.5, n)
    refused("where: an int64 condition", TypeError, backend.where, n, n, n)


def numbers_with_bools(backend: Backend, op: str) -> None:
    """An int or float scalar with a bool tensor is a TypeError."""
    x = backend.from_host([True, False])
    function = getattr(backend, op)
    for scalar in (1, 0.5):
        refused(f"{op}: a bool tensor and {scalar}", TypeError, function, x, scalar)
        refused(f"{op}: {scalar} and a bool tensor", TypeError, function, scalar, x)


def numpy_scalar(backend: Backend, op: str) -> None:
    """An np.float64 scalar is a TypeError, or leaves the float32 tensor's dtype."""
    x = normal(3).handle(backend, "float32")
    function: Callable[..., Any] = getattr(backend, op)
    for args in ((x, np.float64(0.5)), (np.float64(0.5), x)):
        try:
            result = function(*args)
        except TypeError:
            continue
        assert backend.dtype(result) in ("float32", "bool"), (
            f"{op}: expected float32 with an np.float64 scalar, got {backend.dtype(result)}"
        )


def option_scalar(backend: Backend, case: Case) -> None:
    """The same for options: a learning rate, a slope."""
    args = tuple(np.float64(a) if type(a) is float else a for a in case.args)
    kwargs = {k: np.float64(v) if type(v) is float else v for k, v in case.kwargs.items()}
    try:
        result = replace(case, args=args, kwargs=kwargs).call(backend, "float32")
    except TypeError:
        return
    for handle in result if OPS[case.op].gives == "tensors" else (result,):
        assert backend.dtype(handle) == "float32", (
            f"{case.op}: expected float32 with np.float64 options, got {backend.dtype(handle)}"
        )


def integers_in_floating_ops(backend: Backend, op: str) -> None:
    """An int64 tensor in a floating op is a TypeError."""
    shape = (1, 1, 3) if op == "max_pool" else (3,)
    x = integers(*shape, low=1).handle(backend, "float32")
    args = (x, x) if op in _ARITHMETIC else (x, Window.of((3,), (1,))) if op == "max_pool" else (x,)
    refused(f"{op}: int64 tensors", TypeError, getattr(backend, op), *args)


def unknown_dtype(backend: Backend, op: str) -> None:
    """A dtype other than the four is a TypeError."""
    calls: dict[str, Callable[[], Any]] = {
        "empty": lambda: backend.empty((2,), dtype="float16"),
        "full": lambda: backend.full((2,), 1.0, dtype="float16"),
        "arange": lambda: backend.arange(0, 3, dtype="int32"),
        "from_host": lambda: backend.from_host([1.0], dtype="float16"),
        "astype": lambda: backend.astype(backend.from_host([1.0]), "float16"),
    }
    refused(f"{op}: dtype float16", TypeError, calls[op])


HOST_REFUSALS: tuple[tuple[str, Any, str | None], ...] = (
    ("None", [1.0, None], None),
    ("None as floats", [1.0, None], "float32"),
    ("text", ["1.5"], None),
    ("text as floats", np.array(["1.5", "2"]), "float32"),
    ("text among numbers", [1.0, "2"], "float64"),
    ("bytes", np.array([b"1"]), "float32"),
    ("complex numbers", np.array([1.0, 2.0 + 0.5j]), None),
    ("complex numbers as floats", np.array([1.0 + 0j]), "float32"),
    ("a Python complex", 1j, "float64"),
    ("dates", np.array(["2024-01-01"], "datetime64[D]"), "int64"),
    ("spans of time", np.array([3], "timedelta64[s]"), "int64"),
    ("objects", np.array([1, 2.5], object), "float32"),
    ("an object", object(), "float32"),
    ("a set", {1.0}, None),
    ("records", np.zeros(2, [("a", float)]), "float32"),
    ("a ragged list", [[1.0], [1.0, 2.0]], None),
    ("a huge integer", [2**64], "float64"),
    ("a masked array", np.ma.masked_array([1.0, 2.0], [False, True]), None),
    ("masked arrays in a list", [np.ma.masked_array([1.0, 2.0], [False, True])], "float32"),
    ("uint64 above 2**63", np.array([1, 2**63], np.uint64), None),
    ("uint64 above 2**63 as int64", np.array([2**64 - 1], np.uint64), "int64"),
    ("NaN as int64", [1.0, NAN], "int64"),
    ("infinity as int64", np.array([[INF]]), "int64"),
    ("a fraction as int64", np.array([1.0, 2.5], np.float32), "int64"),
    ("2**63 as int64", [2.0**63], "int64"),
    ("a float beyond float32", [1.0, -1e39], "float32"),
    ("a long float beyond float64", np.array([np.finfo(np.float64).max], np.longdouble) * 2, "float64"),
    ("2 as bool", [0, 2], "bool"),
    ("a half as bool", [0.5], "bool"),
    ("NaN as bool", [NAN], "bool"),
)
"""What `from_host` would have to change, with the dtype asked for."""


def changed_values(backend: Backend, op: str) -> None:
    """Pass what no tensor holds unchanged: a LaminaError, in every default dtype."""
    for what, array, dtype in HOST_REFUSALS:
        refused(f"{op}: {what}", LaminaError, backend.from_host, array, dtype=dtype)


def refused(
    what: str, error: type[Exception], function: Callable[..., Any], *args: Any, **kwargs: Any
) -> None:
    """Raise an AssertionError unless a call raises `error`."""
    try:
        result = function(*args, **kwargs)
    except error:
        return
    except Exception as other:
        got = f"{type(other).__name__}: {other}"
        raise AssertionError(f"{what}: expected a {error.__name__}, got {got}") from other
    raise AssertionError(f"{what}: expected a {error.__name__}, got {result!r}")


def _by_op() -> dict[str, list[Callable[[Backend, str], None]]]:
    by_op: dict[str, list[Callable[[Backend, str], None]]] = {"where": [where_scalars]}
    for op in (*_ARITHMETIC, *_COMPARISONS):
        by_op[op] = [float_with_integers, numbers_with_bools, numpy_scalar]
    for op in _FLOATING:
        by_op.setdefault(op, []).append(integers_in_floating_ops)
    for op in _CREATE:
        by_op.setdefault(op, []).append(unknown_dtype)
    by_op["from_host"].append(changed_values)
    return by_op


CHECKS = _by_op()
"""The checks of scalars and dtypes, by op."""
