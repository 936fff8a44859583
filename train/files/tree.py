"""Values with arrays in them as JSON beside named arrays: what a sealed file holds of a `state_dict`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...backends import DataError, OptionError
from ...backends.host import Host
from ...backends.options import shown

# The keys of JSON objects that stand for what JSON lacks.
_ARRAY, _TUPLE, _FLOAT = "$array", "$tuple", "$float"
_SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def take_apart(value: Any, name: str, arrays: dict[str, Host], *, copy: bool = True) -> Any:
    """Return a value as JSON can hold it; copies of its arrays go into `arrays`, under names that begin so.

    copy: whether the arrays are copied. Those that nobody else has need not be.

    Values are dicts with texts as keys, lists, tuples, texts, numbers, bools, None and numpy arrays.

    Raises
    ------
    OptionError
        If there is anything else in it; it names the place.

    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        if value.dtype.kind not in "biuf":
            raise OptionError(f"{name}: expected an array of numbers, got {value.dtype}")
        if isinstance(value, np.generic):
            return take_apart(value.item(), name, arrays)
        arrays[name] = np.array(value, order="C", copy=copy or None)
        return {_ARRAY: name}
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {_FLOAT: str(float(value))}
    if isinstance(value, (list, tuple)):
        items = [take_apart(item, f"{name}.{i}", arrays, copy=copy) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {_TUPLE: items}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key.startswith("$"):
                raise OptionError(f"{name}: expected keys that are texts without '$', got {shown(key)}")
        return {key: take_apart(item, f"{name}.{key}", arrays, copy=copy) for key, item in value.items()}
    raise OptionError(
        f"{name}: expected dicts, lists, tuples, texts, numbers, None and numpy arrays, got {shown(value)}"
    )


def put_together(value: Any, arrays: dict[str, Host]) -> Any:
    """Return the value of `take_apart`; it removes from `arrays` what it uses.

    Raises
    ------
    DataError
        If `take_apart` makes no such JSON and arrays.

    """
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(f"expected finite numbers, got {value}")
    if isinstance(value, list):
        return [put_together(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if not any(key.startswith("$") for key in value):
        return {key: put_together(item, arrays) for key, item in value.items()}
    ((key, item), *more) = value.items()
    if not more and key == _TUPLE and isinstance(item, list):
        return tuple(put_together(one, arrays) for one in item)
    if not more and key == _FLOAT and isinstance(item, str) and item in _SPECIAL:
        return _SPECIAL[item]
    if not more and key == _ARRAY and isinstance(item, str):
        if item not in arrays:
            raise DataError(f"expected the array {shown(item)}, got none")
        return arrays.pop(item)
    raise DataError(f"expected a value, got {shown(value)}")
