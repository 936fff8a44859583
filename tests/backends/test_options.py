"""Numbers in options: which values are accepted, and what the refusals say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lamina.backends.errors import OptionError
from lamina.backends.options import as_integer, as_number, integer, number


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_integers_of_any_library(value: Any) -> None:
    assert integer("Linear", "in_features", value) == 3
    assert type(as_integer(value)) is int
    assert number("SGD", "lr", value) == 3.0


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.float64(0.5), np.array(0.5)])
def test_numbers_of_any_library(value: Any) -> None:
    assert as_integer(value) is None
    assert type(as_number(value)) is float
    assert number("SGD", "lr", value, least=0, below=1) == 0.5


def test_torch_scalars() -> None:
    torch = pytest.importorskip("torch", reason="its scalars are the subject")
    assert as_integer(torch.tensor(3)) == 3
    assert as_number(torch.tensor(2.5)) == 2.5
    assert as_integer(torch.tensor(True)) is None
    assert as_number(torch.tensor([2.5])) is None


@pytest.mark.parametrize(
    "value", [True, np.True_, "1", b"1", None, float("nan"), [1], (1, 2), np.array([1.0]), 1j, object()]
)
def test_other_values_are_neither(value: Any) -> None:
    assert as_integer(value) is None
    assert as_number(value) is None


def test_refusals_name_owner_option_bounds_and_value() -> None:
    with pytest.raises(OptionError, match="Linear: expected in_features to be an integer of at least 1, got"):
        integer("Linear", "in_features", 0)
    with pytest.raises(OptionError, match="fit: expected seed to be an integer, got 'x'"):
        integer("fit", "seed", "x", least=None)
    with pytest.raises(OptionError, match="SGD: expected lr to be a finite number, at least 0, got -1"):
        number("SGD", "lr", -1, least=0)
    message = r"Adam: expected betas\[0\] to be a finite number, at least 0 and below 1, got 1"
    with pytest.raises(OptionError, match=message):
        number("Adam", "betas[0]", 1, least=0, below=1)
    with pytest.raises(OptionError, match="SGD: expected lr to be a finite number, got inf"):
        number("SGD", "lr", float("inf"))
    assert number("clip", "norm", float("inf"), above=0, infinite=True) == float("inf")
    assert integer("fit", "seed", -3, least=None) == -3


def test_a_flag_of_the_command_line_is_its_own_owner() -> None:
    with pytest.raises(OptionError, match="--seed: expected an integer of at least 0 and at most 9, got 10"):
        integer("--seed", "", 10, least=0, most=9)
    with pytest.raises(OptionError, match=r"^--lr: expected a finite number, above 0, got 0$"):
        number("--lr", "", 0, above=0)
