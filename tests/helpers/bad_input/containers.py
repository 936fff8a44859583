"""Bad layers, names and shapes of containers."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.backends import (
    Backend,
    OptionError,
    ShapeError,
    get_backend,
)
from lamina.layers import (
    Flatten,
    Linear,
    ReLU,
    Residual,
    Sequential,
    Softmax,
    Tanh,
)

from . import Bad, Place
from .layer_calls import Made, call_with, misfit
from .values import short


def stack(b: Backend) -> Sequential:
    return Sequential(Linear(25, 5, backend=b), ReLU(backend=b), Linear(5, 2, backend=b))


def _shared(b: Backend) -> Any:
    layer = ReLU(backend=b)
    return Sequential(layer, Linear(2, 2, backend=b), layer)


def _append(place: Place, make: Made, *name: Any) -> object:
    return place.watch(Sequential({"a": Linear(3, 4, backend=place.backend)})).append(
        make(place.backend), *name
    )


def _contained(kind: str, what: str, make: Made, *says: str, error: Any = OptionError) -> Bad:
    return Bad(kind, what, lambda place: make(place.backend), (kind, *says), error)


NAMES = "layer names to be new and without a dot"
ADD = "add a shortcut that changes the input's shape"
CONTAINERS = [
    misfit(stack, (64, 20), "Linear(25 -> 5): expected input (N, ..., 25), got (64, 20)"),
    misfit(
        lambda b: Sequential(Sequential(Sequential(Linear(3, 2, backend=b)))),
        (2, 2),
        "Linear(3 -> 2): expected input (N, ..., 3), got (2, 2)",
    ),
    _contained(
        "Sequential",
        "a class",
        lambda b: Sequential(Linear(2, 2, backend=b), ReLU),
        "layer '1' to be a Module",
        "call the class: ReLU()",
    ),
    _contained(
        "Sequential",
        "a list",
        lambda b: Sequential([Linear(2, 2, backend=b)], backend=b),
        "layer '0' to be a Module",
    ),
    *(
        _contained(
            "Sequential",
            f"the layer {short(v)}",
            lambda b, v=v: Sequential(v, backend=b),
            "layer '0' to be a Module",
            backend,
        )
        for v, backend in (
            (None, "None"),
            (3, "3"),
            ("ReLU", "'ReLU'"),
            (np.ones(2), "array([1., 1.])"),
            (abs, "abs"),
        )
    ),
    *(
        _contained(
            "Sequential", f"the name {short(v)}", lambda b, v=v: Sequential({v: ReLU(backend=b)}), NAMES
        )
        for v in ("a.b", ".", 3, None, ("a",), True)
    ),
    Bad(
        "Sequential",
        "append of a name again",
        lambda place: _append(place, lambda b: Tanh(backend=b), "a"),
        ("Sequential", NAMES, "got 'a'"),
        OptionError,
    ),
    Bad(
        "Sequential",
        "append of the name 3",
        lambda place: _append(place, lambda b: Tanh(backend=b), 3),
        ("Sequential", NAMES, "got 3"),
        OptionError,
    ),
    Bad(
        "Sequential",
        "append of None",
        lambda place: _append(place, lambda b: None),
        ("Sequential", "layer '1' to be a Module", "None"),
        OptionError,
    ),
    Bad(
        "Sequential",
        "append of another width",
        lambda place: _append(place, lambda b: Linear(5, 2, backend=b)),
        ("layer '1' does not fit after Linear(3 -> 4)", "(N, ..., 5)"),
        ShapeError,
    ),
    _contained(
        "Sequential",
        "one layer twice",
        _shared,
        "layer '2' to be new, got layer '0' again",
        "make a new layer",
    ),
    _contained(
        "Sequential",
        "one layer in two models",
        lambda b: (lambda r: Sequential(Sequential(Linear(2, 2, backend=b), r), Sequential(r)))(
            ReLU(backend=b)
        ),
        "layer '1' to be new, got layer '0.1' again",
    ),
    _contained(
        "Sequential",
        "two dtypes",
        lambda b: Sequential(Linear(2, 2, backend=b), ReLU(backend=get_backend("numpy", dtype="float64"))),
        "layer '1'",
        "float64",
    ),
    _contained(
        "Sequential",
        "two stacks of one name",
        lambda b: Sequential(Linear(2, 2, backend="strict+numpy"), ReLU(backend="strict+numpy")),
        "get_backend makes a new stack at each call",
    ),
    _contained(
        "Sequential",
        "two stacks",
        lambda b: Sequential(Linear(2, 2, backend=b), ReLU(backend="strict+numpy")),
        "layer '1'",
        "strict+numpy",
    ),
    _contained(
        "Sequential",
        "widths that do not fit",
        lambda b: Sequential(Linear(3, 4, backend=b), ReLU(backend=b), Linear(5, 2, backend=b)),
        "layer '2' does not fit after ReLU(): Linear(5 -> 2): expected input (N, ..., 5), got (1, 4)",
        error=ShapeError,
    ),
    _contained(
        "Sequential",
        "widths that do not fit in nested models",
        lambda b: Sequential(Sequential(Linear(3, 4, backend=b)), Linear(5, 1, backend=b)),
        "layer '1' does not fit",
        error=ShapeError,
    ),
    Bad(
        "Sequential",
        "sizes that join to another width",
        lambda place: call_with(
            lambda b: Sequential(
                Linear(4, 3, backend=b), Softmax(2, backend=b), Flatten(backend=b), Linear(6, 1, backend=b)
            ),
            (5, 3, 4),
            place,
        ),
        ("Linear(6 -> 1): expected input (N, ..., 6), got (5, 9)",),
        ShapeError,
    ),
    misfit(
        lambda b: Residual(Linear(3, 4, backend=b)),
        (2, 3),
        f"Residual: expected layers that give the input's shape (2, 3), got (2, 4); {ADD}",
    ),
    misfit(
        lambda b: Residual(Linear(3, 1, backend=b)),
        (2, 3),
        f"Residual: expected layers that give the input's shape (2, 3), got (2, 1); {ADD}",
    ),
    misfit(
        lambda b: Residual(Linear(3, 4, backend=b), shortcut=Linear(3, 5, backend=b)),
        (2, 3),
        "Residual: expected layers that give the shortcut's shape (2, 5), got (2, 4); give both the "
        "same shape",
    ),
    misfit(
        lambda b: Residual(Linear(5, 3, backend=b)),
        (2, 3),
        "Linear(5 -> 3): expected input (N, ..., 5), got (2, 3)",
    ),
    _contained(
        "Sequential",
        "a residual block of another width",
        lambda b: Sequential(Linear(2, 3, backend=b), Residual(Linear(3, 4, backend=b))),
        "layer '1' does not fit after Linear(2 -> 3): Residual: expected",
        error=ShapeError,
    ),
    *(
        _contained(
            "Residual",
            f"the shortcut {short(v)}",
            lambda b, v=v: Residual(Linear(3, 3, backend=b), shortcut=v),
            "shortcut to be a Module on",
            str(v),
        )
        for v in (3, "Linear", [], Linear)
    ),
    _contained(
        "Residual",
        "a shortcut of another dtype",
        lambda b: Residual(
            Linear(3, 3, backend=b), shortcut=Linear(3, 3, backend=get_backend("numpy", dtype="float64"))
        ),
        "shortcut",
        "Linear(3 -> 3) on <backend numpy float64>",
    ),
]

ROWS: tuple[Bad, ...] = (*CONTAINERS,)
