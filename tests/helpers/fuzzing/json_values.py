"""JSON values, changed at a place inside."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from random import Random
from typing import Any

from .mutations import number

Path = tuple[Any, ...]
DEEP: Any = 1
for _ in range(300):
    DEEP = [DEEP]
ODD: tuple[Any, ...] = (
    None, True, False, "", "x" * 5000, "\x1b[2J", "\ud800", [], {}, [None], [[1, [2]]], {"a": {}},
    0.5, -0.0, 1e308, DEEP,
    float("nan"), float("inf"), 10**400, [1] * 3000, "relu", "1", "numpy", {"mean": [0, 0, 0], "scale": [0,
    1, 1]},
    {"mean": [], "scale": []}, {"mean": 1, "scale": 2}, ["a", "a"], "__class__",
)  # fmt: skip
KEYS = ("kind", "shape", "more", "", "format", "__metadata__", "dtype", "data_offsets")


def odd(r: Random) -> Any:
    """Draw a value that few expect."""
    return r.choice((r.choice(ODD), number(r)))


def altered(r: Random, value: Any, most: int = 3) -> Any:
    """Draw the value with entries replaced, removed, added or exchanged."""
    value = copy.deepcopy(value)
    for _ in range(r.randint(0, most)):
        known = list(_places(value))
        if not known:
            return odd(r)
        *outer, last = r.choice(known)
        place = _at(value, outer)
        match r.randrange(4):
            case 0:
                del place[last]
            case 1 if isinstance(place, dict):
                place[r.choice(KEYS)] = odd(r)
            case 2:
                place[last] = copy.deepcopy(_at(value, r.choice(known)))
            case _:
                place[last] = odd(r)
    return value


def _places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every value inside, but for long and deep ones."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    pairs = list(items) if len(path) < 8 else []
    for key, inner in pairs if len(pairs) < 99 else ():
        yield (*path, key)
        yield from _places(inner, (*path, key))


def _at(value: Any, path: Any) -> Any:
    for key in path:
        value = value[key]
    return value
