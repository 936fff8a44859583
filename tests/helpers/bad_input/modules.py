"""Bad arguments of modules, parameters, buffers and what else is public of layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.backends import (
    Backend,
    BackendError,
    DtypeError,
    LaminaError,
    OptionError,
    ShapeError,
    get_backend,
)
from lamina.layers import (
    Buffer,
    Constant,
    Linear,
    Module,
    Parameter,
    Uniform,
    manual_seed,
    mode,
    named_scopes,
    output_shapes,
)

from . import Bad, Place
from .containers import stack
from .values import ESCAPES, HUGE, NOT_FLAGS, short


class _Own(Module):
    """A layer whose constructor does what a row says."""

    def __init__(self, backend: Backend, make: Callable[[Module], object]) -> None:
        super().__init__(backend)
        self.made = make(self)


def _owned(what: str, make: Callable[[Module], object], *says: str, error: Any = OptionError) -> Bad:
    return Bad("Module", what, lambda place: _Own(place.backend, make), ("_Own", *says), error)


def _accumulate(kind: str, what: str, value: Callable[[Backend], Any], *says: str, error: Any) -> Bad:
    def call(place: Place) -> object:
        layer = Linear(3, 2, backend=place.backend)
        layer.weight.accumulate(place.backend.full((2, 3), 1.0))
        place.watch(layer)
        return layer.weight.accumulate(value(place.backend))

    return Bad(kind, what, call, ("accumulate", *says), error)


SHAPES = [3, "3", None, (-1,), (2.0,), ("2",), (None,), {}, (True,), (2, -3), (10**30,), (2**37,), (HUGE,)]
INITIALIZERS = [0.5, None, "uniform", Uniform, [], True]
MODE = ("mode: expected training to be True or False",)
SCOPED = ("named_scopes: expected model to be a Module",)
MODULES = [
    *(
        _owned(f"a parameter of shape {short(v)}", lambda m, v=v: m.parameter(v, Constant(0.0)), "shape")
        for v in SHAPES
    ),
    *(_owned(f"a buffer of shape {short(v)}", lambda m, v=v: m.buffer(v, 0.0), "shape") for v in SHAPES),
    *(
        _owned(
            f"a parameter with the initializer {short(v)}",
            lambda m, v=v: m.parameter((3,), v),
            "an initializer such as Constant(0.5)",
            str(v),
        )
        for v in INITIALIZERS
    ),
    *(
        _owned(f"a buffer of value {short(v)}", lambda m, v=v: m.buffer((2,), v), str(v), error=LaminaError)
        for v in ("x", None, [1.0], 1j)
    ),
    *(
        _owned(
            f"an int64 buffer of value {v}",
            lambda m, v=v: m.buffer((), v, dtype="int64"),
            str(v),
            error=LaminaError,
        )
        for v in (0.5, float("nan"), float("inf"), "3", 2**63)
    ),
    *(
        _owned(
            f"a buffer of dtype {v!r}", lambda m, v=v: m.buffer((2,), 0.0, dtype=v), str(v), error=LaminaError
        )
        for v in ("float16", "int32", "x", 3)
    ),
    *(
        Bad(
            kind.__name__,
            f"shape {short(v)}",
            lambda place, kind=kind, args=args, v=v: kind(v, args, place.backend),
            ("shape",),
            OptionError,
        )
        for kind, args in ((Parameter, Constant(0.0)), (Buffer, 0.0))
        for v in SHAPES
    ),
    *(
        Bad(
            "Parameter",
            f"the initializer {short(v)}",
            lambda place, v=v: Parameter((2,), v, place.backend),
            ("initializer", str(v)),
            OptionError,
        )
        for v in INITIALIZERS
    ),
    _accumulate(
        "Parameter",
        "a gradient of a sample more",
        lambda b: b.full((4, 2, 3), 1.0),
        "(2, 3)",
        "(4, 2, 3)",
        "sum over the batch",
        error=ShapeError,
    ),
    _accumulate(
        "Parameter",
        "a gradient turned",
        lambda b: b.full((3, 2), 1.0),
        "(2, 3)",
        "(3, 2)",
        "permute_dims",
        error=ShapeError,
    ),
    _accumulate(
        "Parameter", "a gradient that broadcasts", lambda b: b.full((1, 3), 1.0), "(1, 3)", error=ShapeError
    ),
    _accumulate("Parameter", "a gradient without axes", lambda b: b.full((), 1.0), "()", error=ShapeError),
    _accumulate(
        "Parameter",
        "a gradient of float64",
        lambda b: b.full((2, 3), 1.0, dtype="float64"),
        "float64",
        error=DtypeError,
    ),
    _accumulate(
        "Parameter",
        "a gradient of int64",
        lambda b: b.full((2, 3), 1, dtype="int64"),
        "int64",
        error=DtypeError,
    ),
    *(
        _accumulate("Parameter", f"the gradient {short(v)}", lambda b, v=v: v, error=DtypeError)
        for v in (None, 1.0, "x", [[1.0] * 3] * 2)
    ),
    *(
        Bad(
            "Module",
            f"to({v!r})",
            lambda place, v=v: place.watch(stack(place.backend)).to(v),
            (v if isinstance(v, str) else str(v),),
            BackendError,
        )
        for v in ("numpi", 3, [], "strict+", "strict+strict+numpy", "numpy+strict", "crosscheck+numpy")
    ),
    *(
        Bad(
            "Module",
            f"to dtype {v!r}",
            lambda place, v=v: place.watch(stack(place.backend)).to("numpy", dtype=v),
            ("dtype", repr(v)),
            OptionError,
        )
        for v in ("float16", "int64", "x", 3, ["float32"], ESCAPES.encode())
    ),
    Bad(
        "Module",
        "to a backend that has another dtype",
        lambda place: place.watch(stack(place.backend)).to(get_backend("numpy"), dtype="float64"),
        ("expected dtype float32", "float64", "name 'numpy' to have it in another dtype"),
        OptionError,
    ),
    *(
        Bad(
            "Module",
            f"train({v!r})",
            lambda place, v=v: place.watch(stack(place.backend)).train(v),
            ("True or False", str(v)),
            OptionError,
        )
        for v in (None, "yes", 1, 0.5, [])
    ),
    *(
        Bad("mode", f"training={short(v)}", lambda _, v=v: mode(training=v), MODE, OptionError, once=True)
        for v in NOT_FLAGS
    ),
    *(
        Bad("named_scopes", short(v), lambda _, v=v: named_scopes(v), SCOPED, OptionError, once=True)
        for v in (None, 3, "model", [], Linear, {})
    ),
    *(
        Bad(
            "manual_seed",
            short(v),
            lambda place, v=v: manual_seed(v),
            ("manual_seed: expected seed to be an integer of at least 0 and at most 18446744073709551615",),
            OptionError,
            once=True,
        )
        for v in (-1, 2**64, 1.5, "0", None, True, float("nan"), [1], HUGE, np.float32(1), object)
    ),
    *(
        Bad(
            call.__name__,
            f"input_shape={short(v)}",
            lambda place, call=call, v=v: call(stack(place.backend), v),
            (f"Sequential.{call.__name__}",),
            LaminaError,
            once=True,
        )
        for call in (Module.summary, output_shapes)
        for v in (3, "25", (24,), (-25,), (25.0,), ("25",), (None,), {}, (25, 3), [[25]], (10**30,))
    ),
]

ROWS: tuple[Bad, ...] = (*MODULES,)
