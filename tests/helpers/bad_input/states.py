"""Bad states: none is loaded, not even in part."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.backends import (
    Backend,
    LaminaError,
    OptionError,
    ShapeError,
    StateError,
)
from lamina.layers import (
    BatchNorm1d,
    Linear,
    Sequential,
)

from . import Bad, Place
from .values import short


class _Unequal(dict[str, Any]):
    """A state that has names and no values."""

    def __getitem__(self, key: str) -> Any:
        raise KeyError(key)


def _model(b: Backend) -> Sequential:
    return Sequential(Linear(3, 4, backend=b), BatchNorm1d(4, backend=b), Linear(4, 2, backend=b))


def _load(change: Callable[[dict[str, Any]], Any], place: Place) -> object:
    model = _model(place.backend)
    state = {name: np.ones_like(value) for name, value in model.state_dict().items()}
    return place.watch(model).load_state_dict(change(state))


def _state(what: str, change: Callable[[dict[str, Any]], Any], *says: str, error: Any = LaminaError) -> Bad:
    call = functools.partial(_load, change)
    return Bad("Module.load_state_dict", what, call, ("load_state_dict", *says), error)


def _value(name: str, value: Any, *says: str, error: Any = LaminaError) -> Bad:
    return _state(
        f"{name}={short(value)}", lambda state: {**state, name: value}, f"'{name}'", *says, error=error
    )


MASKED = np.ma.masked_array(np.ones(2), [False, True])
STATES = [
    _state(
        "no 2.bias",
        lambda s: {k: v for k, v in s.items() if k != "2.bias"},
        "missing 2.bias",
        error=StateError,
    ),
    _state(
        "no statistics",
        lambda s: {k: v for k, v in s.items() if "running" not in k},
        "missing 1.running_mean, 1.running_var",
        error=StateError,
    ),
    _state(
        "another name",
        lambda s: {**s, "2.biass": s["2.bias"]},
        "unknown '2.biass'. Did you mean '2.bias'?",
        error=StateError,
    ),
    _state("the name 3", lambda s: {**s, 3: s["2.bias"]}, "unknown 3", error=StateError),
    _state("nothing", lambda s: {}, "missing 0.weight, 0.bias", error=StateError),
    *(
        _state(
            f"the state {short(v)}",
            lambda s, v=v: v,
            "a mapping of names to arrays",
            repr(v),
            error=OptionError,
        )
        for v in (None, 3, "x", [1.0], np.ones(2))
    ),
    _value("2.bias", np.zeros(3), "expected shape (2,), got (3,)", error=ShapeError),
    _value("2.bias", np.zeros((2, 1)), "expected shape (2,), got (2, 1)", error=ShapeError),
    _value("2.bias", 0.0, "expected shape (2,), got ()", error=ShapeError),
    _value("2.bias", [], "expected shape (2,), got (0,)", error=ShapeError),
    _value("2.weight", np.zeros((4, 2)), "expected shape (2, 4), got (4, 2)", error=ShapeError),
    _value("1.running_mean", np.zeros(1), "expected shape (4,), got (1,)", error=ShapeError),
    _value("1.num_batches_tracked", np.zeros(1, int), "expected shape (), got (1,)", error=ShapeError),
    _value("2.bias", ["a", "b"], "expected"),
    _value("2.bias", None, "expected"),
    _value("2.bias", [None, 1.0], "None"),
    _value("2.bias", [[1.0], [1.0, 2.0]], "expected"),
    _value("2.bias", np.array([1j, 2.0]), "complex"),
    _value("2.bias", np.array(["1", "2"]), "<U1"),
    _value("2.bias", np.array([object(), 1.0]), "object"),
    _value("2.bias", np.array(["2020", "2021"], "datetime64[Y]"), "datetime64"),
    _value("2.bias", MASKED, "a masked array without a value at [1]"),
    _value("2.bias", np.array([1.0, 1e39]), "float32 holds, got 1e+39 at [1]"),
    _value("2.bias", np.array([2**63, 0], np.uint64) * np.float64(1e30), "float32 holds"),
    _value("2.bias", [10**400, 0], "expected"),
    _value("2.bias", {"a": 1}, "expected"),
    _value("2.bias", object(), "expected"),
    _value("1.num_batches_tracked", np.array(np.nan), "int64 holds, got nan"),
    _value("1.num_batches_tracked", np.array(np.inf), "int64 holds, got inf"),
    _value("1.num_batches_tracked", np.array(0.5), "int64 holds, got 0.5"),
    _value("1.num_batches_tracked", np.array(2**63, np.uint64), "int64 holds, got 9223372036854775808"),
    _value("1.num_batches_tracked", np.array("many"), "expected"),
    _value("1.num_batches_tracked", 1j, "complex"),
]

ROWS: tuple[Bad, ...] = (*STATES,)
