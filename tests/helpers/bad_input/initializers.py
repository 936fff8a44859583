"""Bad options of every initializer, and initializers that do not give a parameter's value."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from lamina import layers
from lamina.backends import LaminaError, OptionError
from lamina.backends.options import shown
from lamina.layers import Initializer, Linear, Normal, Uniform, XavierUniform

from . import Bad, Place
from .layer_options import BOUND, LIMIT, POSITIVE, REAL, Rule, names_of
from .values import NOT_NUMBERS, short

OPTIONS: dict[str, dict[str, list[Rule]]] = {
    "Constant": {"value": LIMIT},
    "Uniform": {
        "a": [*REAL, ("b to be a finite number, at least 2", [2])],
        "b": [
            ("b to be a finite number", [*NOT_NUMBERS, -1e39]),
            (BOUND, [1e39, 1e300]),
            ("b to be a finite number, at least 0", [-1, -1e-30]),
        ],
    },
    "Normal": {"mean": REAL, "std": POSITIVE},
    "XavierUniform": {"gain": REAL},
    "XavierNormal": {"gain": REAL},
    "KaimingUniform": {"negative_slope": REAL, "mode": names_of("fan_in", "fan_out")},
    "KaimingNormal": {"negative_slope": REAL, "mode": names_of("fan_in", "fan_out")},
    "TorchDefault": {},
}
"""By initializer: the rules of each option. A new one adds a row."""


def _make(name: str, option: str, value: Any, place: Place) -> Any:
    return getattr(layers, name)(**{option: value})


def _rows(name: str) -> Iterator[Bad]:
    for option, rules in OPTIONS[name].items():
        for wanted, values in rules:
            for value in values:
                make = functools.partial(_make, name, option, value)
                got = f"{value:g}" if wanted == BOUND else "" if wanted.startswith("b to") else shown(value)
                yield Bad(
                    name, f"{option}={short(value)}", make, (f"{name}: ", wanted, got), OptionError, once=True
                )


class _Wrong(Initializer):
    """An initializer of one's own that gives what a row says."""

    def __init__(self, make: Any) -> None:
        self.make = make

    def __call__(self, backend: Any, shape: Any, fan: Any, seed: int, stream: int | str) -> Any:
        return self.make(backend, shape)


def _layer(initializer: Any, place: Place) -> object:
    return Linear(3, 2, weight_init=initializer, backend=place.backend)


def _given(subject: str, what: str, initializer: Any, *says: str, error: Any = LaminaError) -> Bad:
    return Bad(subject, what, functools.partial(_layer, initializer), ("Linear: ", *says), error)


GIVEN = [
    _given("Initializer", "None", _Wrong(lambda b, s: None), "None"),
    _given("Initializer", "a number", _Wrong(lambda b, s: 0.5), "float"),
    _given("Initializer", "a list", _Wrong(lambda b, s: [[0.5] * 3] * 2), "list"),
    _given("Initializer", "another shape", _Wrong(lambda b, s: b.full((3, 2), 0.0)), "(2, 3)", "(3, 2)"),
    _given("Initializer", "one row", _Wrong(lambda b, s: b.full((1, 3), 0.0)), "(2, 3)", "(1, 3)"),
    _given("Initializer", "another dtype", _Wrong(lambda b, s: b.full(s, 0.0, dtype="float64")), "float64"),
    _given("Initializer", "integers", _Wrong(lambda b, s: b.full(s, 0, dtype="int64")), "int64"),
    _given("XavierUniform", "a width beyond float32", XavierUniform(3e38), "at most 3.4e+38"),
    Bad("Uniform", "a width beyond float32", lambda place: Uniform(-3e38, 3e38),
        ("Uniform: expected b - a to be at most 3.4e+38", "6e+38"), OptionError, once=True),
    Bad("Uniform", "b below a", lambda place: Uniform(2, 1),
        ("Uniform: expected b to be a finite number, at least 2, got 1",), OptionError, once=True),
    Bad("Normal", "a negative std", lambda place: Normal(0, -1),
        ("Normal: expected std to be a finite number, at least 0, got -1",), OptionError, once=True),
]  # fmt: skip

ROWS: tuple[Bad, ...] = (*(row for name in OPTIONS for row in _rows(name)), *GIVEN)
