"""Values that an option may not take, by what the option wants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina.backends.options import shown

HUGE = 10**5000
ESCAPES = "\x1b]0;title\x07\x1b[2J\x9b1A\u202egpj.exe"
"""Text that moves a terminal's cursor, changes its title and reverses its direction."""
LONG = "x" * 300
"""A name of more than 255 bytes."""
NOT_NUMBERS: list[Any] = [
    None, "fast", "", math.nan, math.inf, -math.inf, True, 1j, [0.1, 0.2], (0.9, 0.9), {}, np.ones(2),
    np.ones((9, 9)), np.float64(math.nan), np.array(["1"]), 10**400, HUGE, object,
]  # fmt: skip
NOT_INTEGERS: list[Any] = [1.5, *NOT_NUMBERS[:15]]
NOT_FLAGS: list[Any] = [None, "yes", "", 0, 1, 2.0, math.nan, [True], np.ones(2, bool)]
NOT_NAMES: list[Any] = [None, "", 0, True, math.nan, [], ["a"], {}, np.array(["a", "b"]), ESCAPES, LONG]


def short(value: Any) -> str:
    """Return a value's text for the name of a row."""
    kind = type(value).__name__
    text = shown(value)
    return text if type(value) in (int, float, str, bool, list, tuple, type(None)) else f"{kind} {text}"
