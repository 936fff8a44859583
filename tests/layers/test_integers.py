"""Sizes are integers of any library: what a layer keeps of them are Python's."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lamina.backends import OptionError
from lamina.layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm1d,
    Conv2d,
    ConvTranspose2d,
    Embedding,
    GroupNorm,
    LayerNorm,
    Linear,
    MaxPool2d,
    Module,
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


@pytest.mark.parametrize("size", [np.True_, np.float32(2.0), np.array([2, 3]), np.int64(0)], ids=repr)
def test_what_is_no_size(size: Any) -> None:
    said = f"Linear: in_features must be an integer of at least 1, got {size!r}"
    with pytest.raises(OptionError, match=re.escape(said)):
        Linear(size, 2, backend="numpy")
    for make in (Conv2d, MaxPool2d, AdaptiveAvgPool2d, LayerNorm):
        with pytest.raises(OptionError, match="must be"):
            make(*(2, 2) if make is Conv2d else (), size, backend="numpy")
