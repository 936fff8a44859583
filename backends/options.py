"""Numbers in options: checked once, and returned as Python's own.

numpy's and torch's scalars are accepted wherever a Python number is. bool, text, None and NaN are refused.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from .errors import DtypeError, OptionError, did_you_mean
from .number import Number


def as_integer(value: Any) -> int | None:
    """Return an integer of any library (whatever has `__index__`) as an int; None for anything else."""
    if _is_bool(value):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def as_number(value: Any) -> float | None:
    """Return a real number of any library as a float; None for anything else, NaN included."""
    if _is_bool(value) or isinstance(value, (str, bytes)):
        return None
    if getattr(value, "shape", ()) != ():
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return None if math.isnan(number) else number


def entries(value: Any, count: int) -> list[Any]:
    """Return the entries of a sequence or of an array with an axis, or anything else `count` times."""
    if isinstance(value, Sequence):
        return list(value)
    if getattr(value, "shape", ()) != () and hasattr(value, "tolist"):
        return list(value.tolist())
    return [value] * count


def digits(text: str) -> tuple[int, ...] | None:
    """Return "128, 64" as (128, 64); None for text other than integers of at least 0 with commas."""
    parts = [part.strip() for part in text.split(",")]
    # Python reads no integer of thousands of digits.
    return tuple(map(int, parts)) if all(p.isdecimal() and len(p) < 20 for p in parts) else None


def integer(owner: str, option: str, value: Any, *, least: int | None = 1, most: int | None = None) -> int:
    """Return an option's value as an int.

    Raises OptionError, naming the owner (a layer, a call), unless it is an integer from `least` to `most`;
    without `most`, below 2**63.
    A flag of the command line is its own owner: its `option` is "".
    """
    found = as_integer(value)
    if found is not None and most is None and found >= 2**63:
        raise OptionError(f"{owner}: expected {_subject(option)}an integer below 2**63, got {shown(value)}")
    if found is None or (least is not None and found < least) or (most is not None and found > most):
        ends = [f"at {word} {end}" for word, end in (("least", least), ("most", most)) if end is not None]
        bounds = f" of {' and '.join(ends)}" if ends else ""
        raise OptionError(f"{owner}: expected {_subject(option)}an integer{bounds}, got {shown(value)}")
    return found


def number(
    owner: str,
    option: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    infinite: bool = False,
) -> float:
    """Return an option's value as a float.

    Raises OptionError, naming the owner, unless it is a number within the bounds. `least` and `most` include
    their end, `above` and `below` do not. Infinities need `infinite=True`; other numbers must fit float32.
    """
    found = as_number(value)
    fits = (
        found is not None
        and (infinite or math.isfinite(found))
        and (least is None or found >= least)
        and (above is None or found > above)
        and (most is None or found <= most)
        and (below is None or found < below)
    )
    if found is None or not fits:
        ends = (("at least", least), ("above", above), ("at most", most), ("below", below))
        bounds = " and ".join(f"{word} {end:g}" for word, end in ends if end is not None)
        kind = "a number" if infinite else "a finite number"
        wanted = f"{kind}, {bounds}" if bounds else kind
        raise OptionError(f"{owner}: expected {_subject(option)}{wanted}, got {shown(value)}")
    return held(owner, option, found)


LARGEST = (2.0 - 2.0**-23) * 2.0**127
"""The largest float32: a larger number would become infinite in a tensor."""


def held(owner: str, option: str, value: float) -> float:
    """Return a number that float32 holds, or an infinity; OptionError for a larger one."""
    if LARGEST < abs(value) < math.inf:
        end = f"at most {LARGEST:.2g}" if value > 0 else f"at least -{LARGEST:.2g}"
        raise OptionError(f"{owner}: expected {_subject(option)}{end}, the largest float32, got {value:g}")
    return value


def flag(owner: str, option: str, value: Any) -> bool:
    """Return an option's value as a bool; OptionError unless it is a boolean, of any library."""
    if not _is_bool(value) or getattr(value, "shape", ()) != ():
        raise OptionError(f"{owner}: expected {_subject(option)}True or False, got {shown(value)}")
    return bool(value)


def choice(owner: str, option: str, value: Any, known: Iterable[str]) -> str:
    """Return an option's value; OptionError, which suggests the nearest name, unless it is a known one."""
    names = tuple(known)
    if not isinstance(value, str) or value not in names:
        raise OptionError(
            f"{owner}: expected {_subject(option)}one of {', '.join(names)}, got {shown(value)}."
            f"{did_you_mean(value, names)}"
        )
    return value


def real(op: str, option: str, value: Any) -> float:
    """Return a factor of an op as a float, NaN and infinities included; DtypeError for anything else.

    A `Number` stays as it is: it stands for a float while a step is traced.
    """
    kind = type(value)
    if kind is float or kind is int or isinstance(value, float):
        return float(value)
    if kind is Number:
        return value  # type: ignore[no-any-return]
    number = as_number(value)
    if number is None:
        raise DtypeError(f"{op}: expected {option} to be a number, got {shown(value)}")
    return number


def shown(value: Any) -> str:
    """Return a value's text for an error: one line of at most 80 characters, whatever the value is."""
    if type(value) in (list, tuple, str, bytes) and len(value) > _ENOUGH:
        value = value[:_ENOUGH]
    try:
        text = " ".join(repr(value).split())
    except Exception:  # an integer of more than 4,300 digits, or a __repr__ that fails
        text = f"a value of type {type(value).__qualname__} that has no text"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."


def listed(names: Iterable[str]) -> str:
    """Return names for an error, with commas: at most 20 of them, and 300 characters."""
    first = list(islice(names, 21))
    text = ", ".join([*first[:20], *["..."] * (len(first) > 20)])
    return text if len(text) <= _LONGEST_LIST else f"{text[: _LONGEST_LIST - 4]} ..."


_LONGEST, _LONGEST_LIST = 80, 300
_ENOUGH = 10_000
"""How much of a long list or text is looked at: its text may take more memory than the list."""


def _subject(option: str) -> str:
    return f"{option} to be " if option else ""


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")
