"""Bad arguments of every op: each is one error of Lamina's, of the same class on every backend."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from ..base import Backend
from ..errors import DataError, DtypeError, OptionError, ShapeError
from ..windows import Window
from .bad_shapes import BadCall, axis_calls, bad, bad_shapes
from .case import NAN, T, flags, integers, normal
from .refusals import refused

_BINARY = ("add", "subtract", "multiply", "divide", "pow", "maximum", "minimum")
_COMPARISONS = ("equal", "less", "less_equal", "greater")
_ACTIVATIONS = ("exp", "log", "log1p", "sqrt", "tanh", "expm1", "erf", "relu", "sigmoid", "softplus")
_ALONG = ("softmax", "log_softmax", "logsumexp")
_REDUCTIONS = ("sum", "max", "mean", "var", "centre")
_X = normal(2, 3)
_VECTOR = normal(3)


def _create() -> Iterator[BadCall]:
    draw = {"seed": 0, "stream": 0}
    for error, shape in (
        (ShapeError, (2, -1)),
        (OptionError, (2, 1.5)),
        (OptionError, "23"),
        (OptionError, None),
        (OptionError, 3),
    ):
        yield bad("empty", error, shape)
        yield bad("full", error, shape, 1.0)
        yield bad("random", error, shape, **draw)
        yield bad("bernoulli", error, shape, 0.5, **draw)
        yield bad("cells", error, {"a": shape})
    fills: tuple[tuple[str, Any], ...] = (
        ("int64", 1.5),
        ("int64", 1.0),
        ("int64", NAN),
        ("int64", 2**63),
        ("bool", 2),
        ("bool", 0.5),
        ("float32", True),
        ("float32", 10**400),
    )
    for dtype, value in fills:
        yield bad("full", DtypeError, (2,), value, dtype=dtype)
    for value in ("1", None, [1.0, 2.0], 1j, _VECTOR):
        yield bad("full", DtypeError, (2,), value)
    for bounds in ((0, 3, 0), (0.5, 3), (0, 3, 0.5), (0, "3"), (0, None)):
        yield bad("arange", OptionError, *bounds)
    yield bad("arange", DtypeError, 0, 2, dtype="bool")
    for option, wrong in (
        ("seed", -1),
        ("seed", 2**64),
        ("seed", 0.5),
        ("seed", None),
        ("stream", 0.5),
        ("step", 0.5),
        ("distribution", "gamma"),
    ):
        yield bad("random", OptionError, (2,), **{**draw, option: wrong})
    yield bad("random", ShapeError, (2,), **draw, step=integers(1))
    yield bad("random", DtypeError, (2,), **draw, step=normal())
    yield bad("random", DtypeError, (2,), **draw, step=flags())
    for dtype in ("int64", "float16"):
        yield bad("random", DtypeError, (2,), **draw, dtype=dtype)
    for probability in (-0.1, 1.5, NAN, "1", None):
        yield bad("bernoulli", OptionError, (2,), probability, **draw)
    yield bad("cells", DtypeError, {"a": (2,)}, dtype="float16")
    yield bad("cells", OptionError, [(2,)])
    yield bad("item", ShapeError, normal(2))
    yield bad("item", ShapeError, normal(0))
    yield bad("astype", DtypeError, _X, None)


def _elementwise() -> Iterator[BadCall]:
    for op in (*_BINARY, *_COMPARISONS):
        yield bad(op, ShapeError, _VECTOR, normal(4))
        yield bad(op, ShapeError, _X, normal(2))
        yield bad(op, DtypeError, 1.0, 2.0)
        for other in (None, "1", [1.0, 2.0, 3.0], 1j):
            yield bad(op, DtypeError, _VECTOR, other)
        yield bad(op, DtypeError, _VECTOR, 10**400)
        yield bad(op, DtypeError, integers(3), 2**70)
        yield bad(op, DtypeError, -(2**70), integers(3))
    yield bad("subtract", DtypeError, flags(2), flags(2))
    yield bad("logical_not", DtypeError, _X)
    for shapes in (((2,), (3,), (3,)), ((3,), (2,), (3,)), ((3,), (3,), (2,))):
        yield bad("where", ShapeError, flags(*shapes[0]), normal(*shapes[1]), normal(*shapes[2]))
    yield bad("where", ShapeError, flags(2), _VECTOR, 0.0)
    yield bad("where", DtypeError, flags(2), 1.0, 0.0)
    yield bad("where", DtypeError, True, _VECTOR, 0.0)
    for bounds in (("0", 1.0), (0.0, None)):
        yield bad("clip", DtypeError, _X, *bounds)
    yield bad("clip", DtypeError, integers(3), 0.5, 1.5)
    yield bad("add_scaled", ShapeError, _X, _VECTOR, 0.5)
    yield bad("add_scaled", ShapeError, _VECTOR, normal(4), 0.5)
    for factor in ("1", None, [0.1]):
        yield bad("add_scaled", DtypeError, _VECTOR, _VECTOR, factor)
        yield bad("leaky_relu", DtypeError, _VECTOR, factor)
        yield bad("leaky_relu_grad", DtypeError, _VECTOR, _VECTOR, factor)
    for op in _ACTIVATIONS:
        yield bad(op, DtypeError, integers(3))
        yield bad(op, DtypeError, flags(3))
    for op in ("negative", "abs", "sign"):
        yield bad(op, DtypeError, flags(3))
    for op in ("binary_cross_entropy", "binary_cross_entropy_slope"):
        yield bad(op, ShapeError, _X, _VECTOR)
        yield bad(op, DtypeError, integers(3), integers(3))
        yield bad(op, DtypeError, _VECTOR, 1.0)
    for op in ("relu_grad", "sigmoid_grad", "tanh_grad"):
        yield bad(op, DtypeError, integers(3), integers(3))


def _reduce() -> Iterator[BadCall]:
    for op in (*_REDUCTIONS, "argmax", *_ALONG):
        yield from axis_calls(op, _X)
        for axis in (0, -1):
            yield bad(op, ShapeError, normal(), axis=axis)
    for op in _REDUCTIONS:
        for axes in ((0, 0), (0, -2), (0, 5)):
            yield bad(op, ShapeError, _X, axis=axes)
        for wrong in ([0, 1], (0, 0.5), ((0, 1),)):
            yield bad(op, OptionError, _X, axis=wrong)
        yield bad(op, ShapeError, normal(), axis=(0,))
    for op in ("argmax", *_ALONG):
        for several in (None, (0, 1), (0,)):
            yield bad(op, OptionError, _X, axis=several)
    for op in ("softmax_grad", "log_softmax_grad"):
        yield from axis_calls(op, _X, _X)
        yield bad(op, OptionError, _X, _X, axis=None)
        yield bad(op, ShapeError, normal(), normal(), axis=0)
    for op in ("max", "argmax"):
        yield bad(op, ShapeError, normal(3, 0), axis=1)
    yield bad("max", ShapeError, normal(0))
    yield bad("max", ShapeError, normal(2, 0, 3), axis=(0, 1))
    for op in ("mean", "var", "centre", *_ALONG):
        yield bad(op, DtypeError, integers(3), axis=0)
    for correction in ("1", None, NAN):
        yield bad("var", OptionError, _X, correction=correction)


def _normalizations() -> Iterator[BadCall]:
    small: dict[str, Any] = {"axis": 1, "epsilon": 1e-5}
    wrong: tuple[tuple[int, ...], ...]
    for error, axis in ((ShapeError, 2), (ShapeError, (0, 0)), (OptionError, 0.5), (OptionError, [0])):
        yield bad("normalize", error, _X, axis=axis, epsilon=1e-5)
        yield bad("normalize_grad", error, _X, _X, normal(2, 1), normal(2, 1), axis=axis)
    for epsilon in (-1.0, NAN, "1", None):
        yield bad("normalize", OptionError, _X, axis=1, epsilon=epsilon)
    wrong = ((2,), (3, 1), (1, 2, 3), (2, 3, 1))
    for shape in wrong:
        yield bad("normalize", ShapeError, _X, normal(*shape), normal(*shape), **small)
        yield bad("normalize_grad", ShapeError, _X, _X, normal(2, 1), normal(2, 1), normal(*shape), axis=1)
    yield bad("normalize", ShapeError, _X, _VECTOR, normal(1, 3), **small)
    yield bad("normalize", OptionError, _X, None, _VECTOR, **small)
    yield bad("normalize", DtypeError, integers(2, 3), **small)
    wrong = ((2,), (1, 1), (2, 3), ())
    for own in wrong:
        yield bad("normalize_grad", ShapeError, _X, _X, normal(*own), normal(2, 1), axis=1)
        yield bad("normalize_grad", ShapeError, _X, _X, normal(2, 1), normal(*own), axis=1)
    wrong = ((4,), (4, 3), (2, 2, 3), (2, 2))
    for shape in wrong:
        yield bad("exp_scaled", ShapeError, _X, normal(*shape))
    yield bad("exp_scaled", DtypeError, integers(3), integers(3))


def _contract() -> Iterator[BadCall]:
    for x, y in (
        ((2, 3), (4, 5)),
        ((3,), (3, 2)),
        ((2, 3), (3,)),
        ((), (2, 2)),
        ((2, 2, 3), (3, 3, 4)),
        ((2, 2, 3), (2, 4, 3)),
    ):
        yield bad("matmul", ShapeError, normal(*x), normal(*y))
    for shape, weight in (
        ((2, 3), (4, 5)),
        ((2, 3), (4,)),
        ((3,), (4, 3)),
        ((), (4, 3)),
        ((2, 3), (2, 4, 3)),
    ):
        yield bad("linear", ShapeError, normal(*shape), normal(*weight))
        yield bad("linear", ShapeError, normal(*shape), normal(*weight), normal(4))
    for samples in ((4,), (2, 2)):
        for bias in ((1,), (), (3,), (2, 4), (4, 1), (4, 4)):
            yield bad("linear", ShapeError, normal(*samples, 3), normal(4, 3), normal(*bias))
    for grad, x in (((3, 2), (4, 2)), ((), ()), ((3,), (3,)), ((2, 3), (2, 1, 3))):
        yield bad("linear_grad", ShapeError, normal(*grad), normal(*x))


def _windows() -> Iterator[BadCall]:
    for window in (None, (2, 2), "2"):
        yield bad("unfold", OptionError, normal(1, 1, 3, 3), window)
        yield bad("max_pool", OptionError, normal(1, 1, 3, 3), window)
        yield bad("fold", OptionError, normal(1, 4, 4), window)
    for columns in ((1, 6, 4), (1, 4, 3), (1, 4, 2, 2)):  # four places, four windows
        yield bad("fold", ShapeError, normal(*columns), Window.of((3, 3), (2, 2)))
    grad, indices = normal(1, 2, 2), integers(1, 2, 2, high=4)
    for size in (None, 4, "4", (4.0,)):
        yield bad("max_pool_grad", OptionError, grad, indices, size)
    yield bad("max_pool_grad", ShapeError, grad, indices, (-4,))
    yield bad("max_pool_grad", ShapeError, normal(2), integers(2), (4,))
    yield bad("max_pool_grad", DtypeError, grad, flags(1, 2, 2), (4,))
    yield bad("max_pool_grad", DtypeError, grad, grad, (4,))
    for number, distinct in itertools.product((4, 5, 9, -1, -5), (False, True)):
        array = indices.array.copy()
        array[0, 0, 1] = number
        yield bad("max_pool_grad", DataError, grad, T(array), (4,), distinct=distinct)


def _steps() -> Iterator[BadCall]:
    options = dict.fromkeys(("learning_rate", "beta1", "beta2", "epsilon", "correction1", "correction2"), 0.1)
    for shape in ((4,), (1,), (3, 1)):
        yield bad("sgd_step", ShapeError, _VECTOR, normal(*shape), 0.1)
        for i in range(4):
            tensors = [_VECTOR, _VECTOR, _VECTOR, _VECTOR]
            tensors[i] = normal(*shape)
            yield bad("adam_step", ShapeError, *tensors, **options)


def _by_op() -> dict[str, list[BadCall]]:
    by_op: dict[str, list[BadCall]] = {}
    parts = (
        _create(),
        _elementwise(),
        _reduce(),
        _normalizations(),
        _contract(),
        _windows(),
        _steps(),
        bad_shapes(),
    )
    for call in itertools.chain(*parts, bad_shapes()):
        by_op.setdefault(call.case.op, []).append(call)
    return by_op


BAD_CALLS = _by_op()


def bad_arguments(backend: Backend, op: str) -> None:
    """Make each of the op's bad calls."""
    for call in BAD_CALLS[op]:
        refused(call.case.label, call.error, call.case.call, backend, "float32")


CHECKS = dict.fromkeys(BAD_CALLS, (bad_arguments,))
"""By op."""
