"""Strict JSON: NaN and infinity become null, and a file with them is refused."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from ...backends import DataError


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Return a value of dicts, lists, strings and numbers as JSON text."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def from_json(text: str | bytes, where: str) -> Any:
    """Return the value of JSON text; DataError, which begins with `where`, for other text."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        got = f"other text at line {error.lineno}, column {error.colno}"
    except UnicodeDecodeError as error:
        got = f"a byte that is not UTF-8 at {error.start}"
    except _BareError as error:
        got = f'a bare {error}, which is the string "{error}" in strict JSON'
    except RecursionError:
        got = "brackets that are nested too deep"
    except ValueError:  # an integer of more than 4,300 digits
        got = "a number that is too long"
    raise DataError(f"{where}: expected JSON, got {got}; the file is damaged, or another program wrote it")


class _BareError(Exception):
    """NaN, Infinity or -Infinity: no JSON."""


def _refuse(word: str) -> NoReturn:
    raise _BareError(word)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
