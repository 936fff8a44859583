"""Options of layers, losses and initializers: numbers of any library, and refusals of everything else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lamina.backends import OptionError
from lamina.layers import (
    ELU,
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Constant,
    Conv2d,
    ConvTranspose2d,
    CrossEntropyLoss,
    Dropout,
    Dropout2d,
    Embedding,
    Flatten,
    GroupNorm,
    Hardtanh,
    KaimingNormal,
    L2Penalty,
    LayerNorm,
    LeakyReLU,
    Linear,
    MaxPool2d,
    Module,
    Normal,
    Softmax,
    Softplus,
    Uniform,
    XavierNormal,
    manual_seed,
)

# A layer, of a function that makes its integers.
MAKE: dict[str, Callable[[Any], Module]] = {
    "Linear": lambda n: Linear(n(4), n(2), backend="numpy"),
    "Embedding": lambda n: Embedding(n(5), n(2), n(-1), backend="numpy"),
    "Conv2d": lambda n: Conv2d(
        n(4), n(6), n(3), (n(2), n(1)), n(1), n(2), n(2), backend="numpy"
    ),  # kernel, stride, padding, dilation, groups
    "Conv2d, sides": lambda n: Conv2d(1, 2, 3, padding=((n(1), n(0)), (n(2), n(1))), backend="numpy"),
    "ConvTranspose2d": lambda n: ConvTranspose2d(n(2), n(3), n(3), n(2), n(1), n(1), backend="numpy"),
    "MaxPool2d": lambda n: MaxPool2d(n(3), n(2), n(1), n(1), backend="numpy"),
    "AvgPool2d": lambda n: AvgPool2d((n(2), n(3)), divisor_override=n(4), backend="numpy"),
    "AdaptiveAvgPool2d": lambda n: AdaptiveAvgPool2d((n(2), None), backend="numpy"),
    "BatchNorm1d": lambda n: BatchNorm1d(n(3), backend="numpy"),
    "GroupNorm": lambda n: GroupNorm(n(2), n(4), backend="numpy"),
    "LayerNorm": lambda n: LayerNorm(n(3), backend="numpy"),
    "LayerNorm, two axes": lambda n: LayerNorm((n(2), n(3)), backend="numpy"),
}


def integers(value: Any) -> list[Any]:
    """Return the numbers within, bools aside."""
    if isinstance(value, tuple):
        return [n for entry in value for n in integers(entry)]
    return [value] if isinstance(value, (int, np.integer)) and not isinstance(value, bool) else []


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.array])
def test_a_size_is_any_integer(kind: Any, make: Callable[[Any], Module]) -> None:
    signed = lambda n: np.int8(n) if n < 0 else kind(n)  # noqa: E731
    layers = []
    for number in (int, signed):
        manual_seed(number(3))
        layers.append(make(number))
    plain, layer = layers
    assert repr(layer) == repr(plain)
    kept = integers(tuple(vars(layer).values()))
    assert {type(n) for n in kept} == {int}
    for name, value in plain.state_dict().items():
        np.testing.assert_array_equal(layer.state_dict()[name], value)


ARRAYS: dict[str, Callable[[Any], Module]] = {
    "Conv2d": lambda a: Conv2d(2, 4, a((3, 2)), a((1, 2)), a(((1, 1), (1, 0))), a((2, 1)), backend="numpy"),
    "ConvTranspose2d": lambda a: ConvTranspose2d(
        2, 4, a((3, 2)), a((2, 2)), output_padding=a((1, 0)), backend="numpy"
    ),
    "MaxPool2d": lambda a: MaxPool2d(a((3, 2)), a((1, 2)), a((1, 1)), backend="numpy"),
    "AdaptiveAvgPool2d": lambda a: AdaptiveAvgPool2d(a((3, 2)), backend="numpy"),
    "LayerNorm": lambda a: LayerNorm(a((3, 2)), backend="numpy"),
}


@pytest.mark.parametrize("make", ARRAYS.values(), ids=ARRAYS)
def test_sizes_may_be_an_array(make: Callable[[Any], Module]) -> None:
    assert repr(make(np.array)) == repr(make(list)) == repr(make(tuple))


NUMBERS: dict[str, Callable[[Any], Any]] = {
    "Dropout": lambda n: Dropout(n(0.5), backend="numpy").p,
    "LeakyReLU": lambda n: LeakyReLU(n(0.5), backend="numpy").negative_slope,
    "ELU": lambda n: ELU(n(2), backend="numpy").alpha,
    "Hardtanh": lambda n: Hardtanh(n(-2), n(2), backend="numpy").min_val,
    "Softplus": lambda n: Softplus(n(2), n(8), backend="numpy").threshold,
    "BatchNorm": lambda n: BatchNorm1d(3, n(0.5), n(0.25), backend="numpy").momentum,
    "LayerNorm": lambda n: LayerNorm(3, n(0.5), backend="numpy").eps,
    "CrossEntropyLoss": lambda n: CrossEntropyLoss(label_smoothing=n(0.5), backend="numpy").label_smoothing,
    "L2Penalty": lambda n: L2Penalty(Linear(1, 1, backend="numpy").parameters(), n(2)).coefficient,
    "KaimingNormal": lambda n: KaimingNormal(n(0.5)).negative_slope,
}


@pytest.mark.parametrize("make", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.array])
def test_a_number_is_any_librarys(kind: Any, make: Callable[[Any], Any]) -> None:
    assert type(make(kind)) is float
    assert make(kind) == make(float)


SIZE = "an integer of at least 1"
SHARE = "a finite number, at least 0 and at most 1"
POSITIVE = "a finite number, at least 0"
SEED = f"an integer of at least 0 and at most {2**64 - 1}"
ROW = "an integer of at least -5 and at most 4"


@pytest.mark.parametrize(
    ("make", "expected", "values"),
    [
        (lambda v: Linear(v, 2), f"in_features to be {SIZE}", (0, -1, 2.0, "3", None, True, np.True_)),
        (
            lambda v: Linear(2, v),
            f"out_features to be {SIZE}",
            (np.float32(2), np.array([2]), np.int64(0)),
        ),
        (lambda v: Embedding(v, 3), f"num_embeddings to be {SIZE}", (0, True)),
        (lambda v: Embedding(5, v), f"embedding_dim to be {SIZE}", (2.0,)),
        (lambda v: Embedding(5, 3, v), f"padding_idx to be {ROW}", (5, -6, 1.5, True, "last")),
        (BatchNorm1d, f"num_features to be {SIZE}", (0, 2.0)),
        (lambda v: BatchNorm2d(2, eps=v), f"eps to be {POSITIVE}", (-1, "small", np.inf)),
        (lambda v: BatchNorm2d(2, momentum=v), f"momentum to be {SHARE}", (1.5, True)),
        (lambda v: BatchNorm2d(2, momentum_of=v), "momentum_of to be 'new' or 'old'", ("all",)),
        (LayerNorm, "normalized_shape to be integers of at least 1", ((), 0, 2.0, (2, "3"))),
        (lambda v: LayerNorm(3, eps=v), f"eps to be {POSITIVE}", ("small",)),
        (lambda v: GroupNorm(v, 3), "num_groups to divide num_channels=3", (2,)),
        (Dropout, f"p to be {SHARE}", (-0.1, 1.1, float("nan"), "half", None, True)),
        (Dropout2d, f"p to be {SHARE}", (2,)),
        (LeakyReLU, "negative_slope to be a finite number", ("a", None, np.nan)),
        (ELU, "alpha to be a finite number", (True,)),
        (Hardtanh, "min_val to be a number", ("low",)),
        (Softplus, "beta to be a finite number, above 0", (0, -1)),
        (Softmax, "dim to be an integer", (1.0, None)),
        (Flatten, "start_dim to be an integer", ("1",)),
        (lambda v: CrossEntropyLoss(ignore_index=v), "ignore_index to be an integer", (0.5,)),
        (lambda v: CrossEntropyLoss(label_smoothing=v), f"label_smoothing to be {SHARE}", (-0.1, 1.1)),
        (
            lambda v: L2Penalty([], v),
            f"coefficient to be {POSITIVE}",
            (-0.1, np.nan, np.inf, "1", None, True),
        ),
        (Constant, "value to be a number", ("1", np.nan)),
        (lambda v: Uniform(2, v), "b to be a finite number, at least 2", (1,)),
        (lambda v: Normal(0, v), f"std to be {POSITIVE}", (-1,)),
        (XavierNormal, "gain to be a finite number", (None,)),
        (lambda v: KaimingNormal(mode=v), "mode to be 'fan_in' or 'fan_out'", ("fan",)),
        (
            manual_seed,
            "seed to be an integer of at least 0 and at most 18446744073709551615",
            (-1, 2**64, 1.5, "0"),
        ),
    ],
)
def test_other_values_are_refused(make: Callable[[Any], Any], expected: str, values: tuple[Any, ...]) -> None:
    for value in values:
        got = value if "to divide" in expected else repr(value)
        with pytest.raises(OptionError, match=rf"^\w+: expected {re.escape(f'{expected}, got {got}')}$"):
            make(value)
