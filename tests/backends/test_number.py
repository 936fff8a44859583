"""`Number`: arithmetic as Python's, and no value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.backends.errors import TraceError
from lamina.backends.number import Number
from lamina.backends.options import real

pytestmark = pytest.mark.without_torch
EXPRESSIONS: tuple[Callable[[Any, Any], Any], ...] = (
    lambda a, b: a + b - 2.5,
    lambda a, b: 1 - a * b,
    lambda a, b: -a / b,
    lambda a, b: b**0.5 + 2.0**a,
    lambda a, b: abs(-a) * 3 + (+b),
    lambda a, b: 2 / b - (1.0 + a) * 2,
)
finite = st.floats(0.1, 10.0)


@settings(deadline=None)
@given(finite, finite, st.sampled_from(EXPRESSIONS))
def test_an_expression_has_the_bits_of_pythons(a: float, b: float, expression: Any) -> None:
    number = expression(Number.named("a"), Number.named("b"))
    assert number.value({"a": a, "b": b}) == expression(a, b)
    assert number.names() == {"a", "b"}


def test_keys_tell_expressions_apart() -> None:
    a, b = Number.named("a"), Number.named("b")
    keys = {x.key for x in (a, b, a + b, b + a, a + 1, a + 1.0, a - 1, -a, abs(a), a**2, 2**a)}
    assert len(keys) == 11
    assert (a * 2 + b).key == (Number.named("a") * 2 + Number.named("b")).key


def test_it_prints_as_written() -> None:
    lr, c = Number.named("lr"), Number.named("correction1")
    assert repr(-lr / c) == "((-lr) / correction1)"
    assert repr(abs(lr) ** 2) == "(abs(lr) ** 2)"


USES: tuple[Callable[[Any], Any], ...] = (
    bool,
    float,
    int,
    round,
    math.floor,
    math.sqrt,
    range,
    lambda a: a == 1,
    lambda a: a < 1.0,
    lambda a: a // 2,
    lambda a: 5 % a,
    lambda a: [1, 2][a],
)


@pytest.mark.parametrize("use", USES)
def test_its_value_is_refused_and_reported(use: Callable[[Any], Any]) -> None:
    seen: list[TraceError] = []
    number = Number.named("lr", seen.append) * 2
    with pytest.raises(
        TraceError, match=r"arithmetic .* on \(lr \* 2\), .* choose outside the step"
    ) as error:
        use(number)
    assert seen == [error.value]


def test_it_mixes_with_numbers_only() -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        Number.named("a") + "1"


def test_a_factor_may_be_a_number() -> None:
    lr = Number.named("lr")
    assert real("add_scaled", "scale", lr) is lr
