"""Bad options of every layer: each is refused when the layer is made."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from lamina import layers
from lamina.backends import BackendError, OptionError
from lamina.backends.options import shown
from lamina.layers import Constant, TorchDefault

from . import Bad, Place
from .values import ESCAPES, HUGE, NOT_FLAGS, NOT_INTEGERS, NOT_NAMES, NOT_NUMBERS, short

# By the kind of option: what the message says is expected, and bad values. 10**30 is no size of anything.
NOT_SIZES = [0, -1, -(10**30), 2.0, np.float32(2), np.int64(0), np.array([2, 2]), *NOT_INTEGERS]
TOO_LARGE = [10**30, HUGE]
NOT_FINITE = [v for v in NOT_NUMBERS if not (isinstance(v, float) and math.isinf(v))]
BEYOND = [1e39, -1e39, 1e300]
"""Numbers beyond float32."""
INITIALIZER = "an initializer such as Constant(0.5)"
TOO_MANY = "a shape of at most 68,719,476,736 elements"
BOUND = "3.4e+38, the largest float32"
ORDER = "min_val below max_val"

Values = Iterable[Any]
Rule = tuple[str, Values]

LARGE: Rule = (TOO_MANY, [2**37, 2**62])
SIZE: list[Rule] = [("an integer of at least 1", NOT_SIZES), ("an integer below 2**63", TOO_LARGE)]
AXIS: list[Rule] = [("an integer", [1.0, np.float32(1), *NOT_INTEGERS]), ("below 2**63", TOO_LARGE)]
FLAG: list[Rule] = [("True or False", NOT_FLAGS)]
REAL: list[Rule] = [("a finite number", NOT_NUMBERS), (BOUND, BEYOND)]
POSITIVE: list[Rule] = [("a finite number, at least 0", [-1, -1e-30, *NOT_NUMBERS]), (BOUND, [1e39, 1e300])]
LIMIT: list[Rule] = [("a number", NOT_FINITE), (BOUND, BEYOND)]
SHARE: list[Rule] = [("a finite number, at least 0 and at most 1", [-0.01, 1.01, 2, 10**30, *NOT_NUMBERS])]
MAKER: list[Rule] = [(INITIALIZER, [0.5, 0, "", "uniform", [], Constant, TorchDefault, True])]


def names_of(*known: str) -> list[Rule]:
    return [(f"one of {', '.join(known)}", [known[0].upper(), "x", *NOT_NAMES])]


def _sizes(rank: int, least: int = 1) -> list[Rule]:
    """Return the rules of one integer, or one for each axis."""
    wanted = f"an integer of at least {least}" + (f", or {rank} of them" if rank > 1 else "")
    one = [least - 1, -(10**30), 2.0, np.float32(2), np.int64(least - 1), "2", "", None, math.nan, True]
    several = [(2.0,), ("2",), (True,), (None,), (least - 1,), (-(10**30),), (math.nan,)]
    each = [v * rank for v in several] + [(2,) * (rank - 1) + v for v in several]
    others = [
        1j,
        math.inf,
        {},
        object,
        "2" * rank,
        (2,) * (rank + 1),
        (2,) * (rank - 1),
        np.array([2.0] * rank),
    ]
    return [(wanted, [*one, *each, *others]), ("at most 2147483647", [10**30, (10**30,) * rank, HUGE])]


def _sides(rank: int) -> list[Rule]:
    """Return the rules of padding in numbers."""
    wrong = [-1, 0.5, None, True, math.nan, math.inf, (1,) * (2 * rank + 1), ((0, -1),) * rank]
    wrong += [
        (-1,) * rank,
        (0.5,) * rank,
        ((0, "1"),) * rank,
        {},
        object(),
        ((0, True),) * rank,
        ((0, 1, 2),) * rank,
    ]
    return [("padding to be", wrong), ("at most 2147483647", [10**30, HUGE, ((0, 10**30),) * rank])]


def _convolution(rank: int) -> dict[str, list[Rule]]:
    whole = _sizes(rank)
    return {
        "in_channels": SIZE,
        "out_channels": SIZE,
        "kernel_size": [*whole, (TOO_MANY, [2**31 - 1] if rank > 1 else [])],
        "stride": whole,
        "dilation": whole,
        "groups": [*SIZE, ("groups that divide in_channels=4 and out_channels=6", [3, 4, 6, 2**40])],
        "bias": FLAG,
        "weight_init": MAKER,
        "bias_init": MAKER,
        "padding": _sides(rank),
    }


def _plain(rank: int) -> dict[str, list[Rule]]:
    sides = [*_sides(rank), ("padding to be", ["full", "SAME", "", ESCAPES])]
    return _convolution(rank) | {
        "padding": sides,
        "padding_mode": names_of("zeros", "reflect", "replicate", "circular"),
    }


def _transposed(rank: int) -> dict[str, list[Rule]]:
    beyond = ("output_padding below the larger of stride", [1, 2, (1,) * rank, 100])
    return _convolution(rank) | {
        "padding": [*_sides(rank), ("padding in numbers", ["same", "valid", "", ESCAPES])],
        "padding_mode": [("one of zeros", ["reflect", "circular", *NOT_NAMES])],
        "output_padding": [*_sizes(rank, least=0), beyond],
    }


def _pool(rank: int) -> dict[str, list[Rule]]:
    optional = [(wanted, [v for v in values if v is not None]) for wanted, values in _sizes(rank)]
    half = ("padding of at most half the kernel", [2, (2,) * rank, ((0, 2),) * rank])
    return {
        "kernel_size": _sizes(rank),
        "stride": optional,
        "padding": [*_sides(rank), half, ("padding in numbers", ["same", ESCAPES])],
        "dilation": _sizes(rank),
        "ceil_mode": FLAG,
        "wide_padding": FLAG,
    }


def _average(rank: int) -> dict[str, list[Rule]]:
    divisors = [0, 0.5, "2", True, math.nan, math.inf, 10**30, -(10**30), HUGE, [1], {}, np.float32(2)]
    return _pool(rank) | {
        "count_include_pad": FLAG,
        "divisor_override": [("divisor_override to be an integer other than 0", divisors)],
    }


def _adaptive(rank: int) -> dict[str, list[Rule]]:
    wrong = [0, -1, 2.0, "2", True, math.nan, math.inf, {}, (), (2,) * (rank + 1), (0,) * rank, (2.0,) * rank]
    return {"output_size": [("an integer of at least 1", wrong), ("at most 2147483647", [10**30, HUGE])]}


_NORM: dict[str, list[Rule]] = {"eps": POSITIVE, "affine": FLAG, "bias": FLAG}
_BATCH_NORM: dict[str, list[Rule]] = _NORM | {
    "num_features": [*SIZE, LARGE],
    "momentum": [(wanted, [v for v in values if v is not None]) for wanted, values in SHARE],
    "track_running_stats": FLAG,
    "momentum_of": names_of("new", "old"),
    "biased_running_variance": FLAG,
}
_SHAPE = [0, -1, 2.0, "3", None, True, (), (0,), (2, "3"), (2, 0), (2, None), math.nan, {}, np.array([2.0])]

OPTIONS: dict[str, tuple[tuple[Any, ...], dict[str, list[Rule]]]] = {
    "Linear": (
        (2, 3),
        {
            "in_features": [*SIZE, LARGE],
            "out_features": [*SIZE, LARGE],
            "bias": FLAG,
            "weight_init": MAKER,
            "bias_init": MAKER,
        },
    ),
    "Embedding": (
        (5, 3),
        {
            "num_embeddings": [*SIZE, LARGE],
            "embedding_dim": [*SIZE, LARGE],
            "padding_idx": [
                (
                    "padding_idx to be an integer of at least -5 and at most 4",
                    [5, -6, 10**30, *(v for v in NOT_INTEGERS if v is not None)],
                )
            ],
            "weight_init": MAKER,
        },
    ),
    "Conv1d": ((4, 6, 2), _plain(1)),
    "Conv2d": (
        (4, 6, 2),
        _plain(2)
        | {
            "algorithm": [
                *names_of("unfold", "winograd", "auto"),
                ("kernel_size=3 with algorithm", ["winograd"]),
            ]
        },
    ),
    "Conv3d": ((4, 6, 2), _plain(3)),
    "NaiveConv2d": ((4, 6, 2), _plain(2)),
    "ConvTranspose1d": ((4, 6, 2), _transposed(1)),
    "ConvTranspose2d": ((4, 6, 2), _transposed(2)),
    "ConvTranspose3d": ((4, 6, 2), _transposed(3)),
    "MaxPool1d": ((2,), _pool(1)),
    "MaxPool2d": ((2,), _pool(2)),
    "MaxPool3d": ((2,), _pool(3)),
    "AvgPool1d": ((2,), _average(1)),
    "AvgPool2d": ((2,), _average(2)),
    "AvgPool3d": ((2,), _average(3)),
    "AdaptiveAvgPool1d": ((2,), _adaptive(1)),
    "AdaptiveAvgPool2d": ((2,), _adaptive(2)),
    "AdaptiveAvgPool3d": ((2,), _adaptive(3)),
    "BatchNorm1d": ((3,), _BATCH_NORM),
    "BatchNorm2d": ((3,), _BATCH_NORM),
    "BatchNorm3d": ((3,), _BATCH_NORM),
    "GroupNorm": (
        (2, 4),
        _NORM
        | {
            "num_groups": [*SIZE, ("num_groups to divide num_channels=4", [3, 8, 2**40])],
            "num_channels": [*SIZE, ("num_groups to divide num_channels=3", [3]), LARGE],
        },
    ),
    "LayerNorm": (
        (3,),
        {
            "normalized_shape": [
                ("normalized_shape to be integers of at least 1", _SHAPE),
                (TOO_MANY, [10**30, HUGE, (2**20, 2**20)]),
            ],
            "eps": POSITIVE,
            "elementwise_affine": FLAG,
            "bias": FLAG,
        },
    ),
    "Dropout": ((), {"p": SHARE}),
    "Dropout2d": ((), {"p": SHARE}),
    "LeakyReLU": ((), {"negative_slope": REAL}),
    "ELU": ((), {"alpha": REAL}),
    "Hardtanh": (
        (),
        {
            "min_val": [*LIMIT, (ORDER, [1, 2.5, math.inf])],
            "max_val": [*LIMIT, (ORDER, [-1, -2.5, -math.inf])],
        },
    ),
    "Softplus": (
        (),
        {
            "beta": [("a finite number, above 0", [0, -1, *NOT_NUMBERS]), (BOUND, [1e39, 1e300])],
            "threshold": LIMIT,
        },
    ),
    "GELU": ((), {"approximate": names_of("none", "tanh")}),
    "Softmax": ((), {"dim": AXIS}),
    "LogSoftmax": ((), {"dim": AXIS}),
    "Flatten": ((), {"start_dim": AXIS, "end_dim": AXIS}),
    "ReLU": ((), {}),
    "ReLU6": ((), {}),
    "SELU": ((), {}),
    "SiLU": ((), {}),
    "Sigmoid": ((), {}),
    "Tanh": ((), {}),
    "Identity": ((), {}),
}
"""By layer: its required arguments, and the rules of each option. A new layer adds a row."""

_ORDER = {
    "Linear": ("in_features", "out_features"),
    "Embedding": ("num_embeddings", "embedding_dim"),
    "GroupNorm": ("num_groups", "num_channels"),
    "LayerNorm": ("normalized_shape",),
}


def _required(name: str) -> tuple[str, ...]:
    """Return the names of a layer's required arguments."""
    if name in _ORDER:
        return _ORDER[name]
    if "Conv" in name:
        return ("in_channels", "out_channels", "kernel_size")
    first = ("BatchNorm", "num_features"), ("Adaptive", "output_size"), ("Pool", "kernel_size")
    return next(((option,) for part, option in first if part in name), ())


def _make(name: str, options: dict[str, Any], place: Place) -> Any:
    """Make a layer with the table's required arguments, and some options."""
    given = dict(zip(_required(name), OPTIONS[name][0], strict=True))
    return getattr(layers, name)(**given | {"backend": place.backend} | options)


def _says(name: str, option: str, wanted: str, value: Any) -> tuple[str, ...]:
    """Return the layer, the option, what was expected and what came, where the message names them apart."""
    if wanted == INITIALIZER:
        return name, wanted, shown(value)
    if wanted == TOO_MANY:  # it shows the whole shape
        return name, wanted
    return name, option, wanted, f"{value:g}" if wanted in (BOUND, ORDER) else shown(value)


def _rows(name: str) -> Iterator[Bad]:
    seen = set()
    for option, rules in OPTIONS[name][1].items():
        for wanted, values in rules:
            for value in values:
                what = f"{option}={short(value)}"
                if what in seen:
                    continue
                seen.add(what)
                make = functools.partial(_make, name, {option: value})
                yield Bad(name, what, make, _says(name, option, wanted, value), OptionError, once=True)
    for value, says in (("numpi", "'numpi'"), ("", "''"), (3, "3"), ([], "[]"), ("strict+", "'strict+'")):
        make = functools.partial(_make, name, {"backend": value})
        yield Bad(name, f"backend={value!r}", make, (says,), BackendError, once=True)


ROWS: tuple[Bad, ...] = tuple(row for name in OPTIONS for row in _rows(name))
