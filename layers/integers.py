"""Whole numbers among a layer's arguments, of whatever library."""

from __future__ import annotations

import operator
from typing import Any

from ..backends import OptionError


def integer(value: Any) -> int | None:
    """Return what is an integer to Python (has `__index__`) as an int; None for all else, and for True."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def positive(layer: str, option: str, value: Any) -> int:
    """Return an integer of at least 1 as an int; OptionError, in the name of the layer, for all else."""
    found = integer(value)
    if found is None or found < 1:
        raise OptionError(f"{layer}: {option} must be an integer of at least 1, got {value!r}")
    return found
