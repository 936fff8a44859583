"""What must be refused: unequal dtypes, scalars that would change one, handles of another backend."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from ..base import Backend
from ..errors import ShapeError
from ..ops import OPS
from ..windows import Window
from .case import Case, T, integers, normal

_ARITHMETIC = ("add", "subtract", "multiply", "divide", "pow", "maximum", "minimum")
_COMPARISONS = ("equal", "less", "less_equal", "greater")
_FLOATING = ("exp", "log", "log1p", "sqrt", "tanh", "divide", "pow", "max_pool")
_CREATE = ("empty", "full", "from_host", "arange", "astype")


class Stranger:
    """Something that is a handle of no backend."""


def mixed_dtypes(backend: Backend, case: Case) -> None:
    """Call the op with one of its float tensors in the other float dtype: a TypeError, for each."""
    floating = [t for t in case.tensors() if t.floating]
    for odd in floating:
        args, kwargs = case.map(
            lambda t, odd=odd: t.handle(backend, "float64" if t is odd else "float32")  # type: ignore[misc]
        )
        _refused(lambda: getattr(backend, case.op)(*args, **kwargs), f"{case.op}: unequal dtypes")  # noqa: B023


def strangers(backend: Backend, case: Case, others: Iterable[Any] = ()) -> None:
    """Put something that is no handle of this backend in each tensor's place: a TypeError.

    `others` are handles of other backends, besides the ones that are always tried.
    """
    own: Any = backend.from_host([1.0])
    tried: list[Any] = [Stranger(), "tensor", *others]
    if type(own) is not np.ndarray:
        tried.append(np.ones((2, 2), np.float32))
    for stranger in tried:
        for chosen in case.tensors():
            args, kwargs = case.map(
                lambda t, c=chosen, s=stranger: s if t is c else t.handle(backend, "float32")  # type: ignore[misc]
            )
            kind = type(stranger).__name__
            _refused(lambda: getattr(backend, case.op)(*args, **kwargs), f"{case.op}: a {kind}")  # noqa: B023


def other_gradient_shapes(backend: Backend, case: Case) -> None:
    """Give a gradient of another shape, one that broadcasts included: a ShapeError."""
    args, kwargs = case.map(lambda tensor: tensor.handle(backend, "float32"))
    lead = case.args[0].array.shape
    last: tuple[int, ...] = ()
    if case.op == "linear_grad":  # whose gradient has a last axis of its own
        lead, last = lead[:-1], lead[-1:]
    wrong = {(2, *lead), (*lead[:-1], lead[-1] + 1), (1,) * len(lead), lead[:-1], tuple(reversed(lead))}
    for shape in sorted(wrong - {lead}):
        given = backend.full((*shape, *last), 1.0, dtype="float32")
        what = f"{case.op} [{case.label}]: a gradient of shape {(*shape, *last)}"
        try:
            result = getattr(backend, case.op)(given, *args[1:], **kwargs)
        except ShapeError:
            continue
        except Exception as error:
            raise AssertionError(
                f"{what}: expected a ShapeError, got {type(error).__name__}: {error}"
            ) from error
        raise AssertionError(f"{what}: expected a ShapeError, got {result!r}")


def one_float_dtype(case: Case) -> bool:
    """Whether a case has two float tensors or more, which must have equal dtypes."""
    return sum(t.floating for t in case.tensors()) > 1


def float_with_integers(backend: Backend, op: str) -> None:
    """A float scalar must not mix with an int64 tensor, from either side."""
    x = integers(3).handle(backend, "float32")
    function = getattr(backend, op)
    _refused(lambda: function(x, 1.5), f"{op}: an int64 tensor and 1.5")
    _refused(lambda: function(1.5, x), f"{op}: 1.5 and an int64 tensor")


def where_scalars(backend: Backend, op: str) -> None:
    """`where` holds scalars to the same rule, and wants a bool condition."""
    x, chosen = integers(3), T(np.array([True, False, True]))
    n, c = x.handle(backend, "float32"), chosen.handle(backend, "float32")
    _refused(lambda: backend.where(c, n, 1.5), "where: an int64 tensor and 1.5")
    _refused(lambda: backend.where(c, 1.5, n), "where: 1.5 and an int64 tensor")
    _refused(lambda: backend.where(n, n, n), "where: an int64 condition")


def numbers_with_bools(backend: Backend, op: str) -> None:
    """A bool tensor takes no int or float scalar, whose dtype it does not have."""
    x = backend.from_host([True, False])
    function = getattr(backend, op)
    for scalar in (1, 0.5):
        _refused(lambda: function(x, scalar), f"{op}: a bool tensor and {scalar}")  # noqa: B023
        _refused(lambda: function(scalar, x), f"{op}: {scalar} and a bool tensor")  # noqa: B023


def numpy_scalar(backend: Backend, op: str) -> None:
    """np.float64(0.1) is no Python scalar: it is refused, or the float32 tensor keeps its dtype."""
    x = normal(3).handle(backend, "float32")
    function: Callable[..., Any] = getattr(backend, op)
    for args in ((x, np.float64(0.5)), (np.float64(0.5), x)):
        try:
            result = function(*args)
        except TypeError:
            continue
        assert backend.dtype(result) in ("float32", "bool"), f"{op}: np.float64 promoted a float32 tensor"


def option_scalar(backend: Backend, case: Case) -> None:
    """The same for scalars that are options (a learning rate, a slope)."""
    args = tuple(np.float64(a) if type(a) is float else a for a in case.args)
    kwargs = {k: np.float64(v) if type(v) is float else v for k, v in case.kwargs.items()}
    try:
        result = replace(case, args=args, kwargs=kwargs).call(backend, "float32")
    except TypeError:
        return
    for handle in result if OPS[case.op].gives == "tensors" else (result,):
        assert backend.dtype(handle) == "float32", f"{case.op}: an np.float64 option promoted the result"


def integers_in_floating_ops(backend: Backend, op: str) -> None:
    """Transcendental ops and `divide` take floating tensors only."""
    shape = (1, 1, 3) if op == "max_pool" else (3,)
    x = integers(*shape, low=1).handle(backend, "float32")
    args = (x, x) if op in _ARITHMETIC else (x, Window.of((3,), (1,))) if op == "max_pool" else (x,)
    _refused(lambda: getattr(backend, op)(*args), f"{op}: int64 tensors")


def unknown_dtype(backend: Backend, op: str) -> None:
    """Only the four dtypes exist: another name is a TypeError."""
    calls: dict[str, Callable[[], Any]] = {
        "empty": lambda: backend.empty((2,), dtype="float16"),
        "full": lambda: backend.full((2,), 1.0, dtype="float16"),
        "arange": lambda: backend.arange(0, 3, dtype="int32"),
        "from_host": lambda: backend.from_host([1.0], dtype="float16"),
        "astype": lambda: backend.astype(backend.from_host([1.0]), "float16"),
    }
    _refused(calls[op], f"{op}: dtype float16")


def scalars_by_op() -> dict[str, list[Callable[[Backend, str], None]]]:
    """Return which of the scalar checks apply to which op."""
    found: dict[str, list[Callable[[Backend, str], None]]] = {"where": [where_scalars]}
    for op in (*_ARITHMETIC, *_COMPARISONS):
        found[op] = [float_with_integers, numbers_with_bools, numpy_scalar]
    for op in _FLOATING:
        found.setdefault(op, []).append(integers_in_floating_ops)
    for op in _CREATE:
        found.setdefault(op, []).append(unknown_dtype)
    return found


def _refused(call: Callable[[], Any], what: str) -> None:
    try:
        result = call()
    except TypeError:
        return
    except Exception as error:
        raise AssertionError(f"{what}: expected a TypeError, got {type(error).__name__}: {error}") from error
    raise AssertionError(f"{what}: expected a TypeError, got {result!r}")
