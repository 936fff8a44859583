"""Options of layers, losses and initializers: numbers of any library, and refusals of everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lamina.layers import (
    ELU,
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm1d,
    Conv2d,
    ConvTranspose2d,
    CrossEntropyLoss,
    Dropout,
    Embedding,
    GroupNorm,
    Hardtanh,
    KaimingNormal,
    L2Penalty,
    LayerNorm,
    LeakyReLU,
    Linear,
    MaxPool2d,
    Module,
    Softplus,
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
