"""Between the user's arrays and a backend: what `from_host` accepts, and threads."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import threadpoolctl

from .errors import DataError, DtypeError, scalar_dtype_error
from .options import shown

FLOAT_DTYPES = ("float32", "float64")
DTYPES = (*FLOAT_DTYPES, "int64", "bool")
Host = np.ndarray[Any, Any]
"""An array on the host: numpy's, of any dtype."""


def is_floating(dtype: str) -> bool:
    """Whether a dtype is "float32" or "float64"."""
    return dtype in FLOAT_DTYPES


def host_array(array: Any, dtype: str | None, default: str) -> Host:
    """Copy `array` into a new C-contiguous array of one of the four dtypes.

    Without `dtype`: floats take the default, integers become int64, bool stays. A value may be rounded to a
    float's digits and no more: DtypeError for what is no number, DataError for a number that would change.
    """
    if type(array) is np.ndarray and array.dtype.char in "fdl?" and array.dtype == (dtype or default):
        return np.array(array, order="C")
    value = numbers("from_host", array)
    if dtype is None:
        dtype = {"f": default, "i": "int64", "u": "int64", "b": "bool"}[value.dtype.kind]
    check_dtype("from_host", dtype)
    with np.errstate(all="ignore"):
        result = np.array(value, dtype=dtype, order="C")
        if value.dtype != result.dtype and not np.can_cast(value.dtype, result.dtype, "safe"):
            _check_kept(value, result)
    return result


def numbers(what: str, array: Any) -> Host:
    """Return an array, a torch tensor or nested lists as a numpy array of real numbers or booleans.

    Raises DtypeError, which begins with `what`, for anything else: numpy would drop masks and imaginary parts
    and make numbers of text, dates and None.
    """
    check_unmasked(what, array)
    value = _from_torch(what, array) if hasattr(array, "detach") else array
    try:
        found = np.asarray(value)
    except Exception as error:
        raise DtypeError(
            f"{what}: expected an array of numbers, got {type(array).__name__}: {error}"
        ) from error
    if found.dtype.kind not in "fiub":
        wrong = np.ones(found.shape, bool)
        if found.dtype.kind == "O":  # the first element that is at fault
            ordinary = [isinstance(v, (int, float)) and abs(v) < 2**63 for v in found.reshape(-1)]
            wrong = ~np.array(ordinary, bool).reshape(found.shape)
            wrong = wrong if wrong.any() else ~wrong
        value = _first(found, wrong) if found.size else None
        first = f" with {getattr(value, 'item', lambda: value)()!r}{_place(wrong)}" if found.size else ""
        raise DtypeError(f"{what}: expected numbers or booleans, got dtype {found.dtype}{first}")
    return found


def check_unmasked(what: str, array: Any) -> None:
    """Raise DtypeError if a masked array, or one in a list, has no value somewhere."""
    parts = array if isinstance(array, (list, tuple)) else [array]
    for i, part in enumerate(parts):
        if isinstance(part, np.ma.MaskedArray) and (mask := np.ma.getmaskarray(part)).any():
            place = _place(mask) if part is array else f"{_place(mask)} of part {i}"
            raise DtypeError(
                f"{what}: expected numbers, got a masked array without a value{place}; fill or drop it"
            )


def _from_torch(what: str, tensor: Any) -> Any:
    """Return a torch tensor as one that numpy takes: on the CPU, unrecorded; short floats as float32."""
    tensor = tensor.detach().cpu()
    name = str(tensor.dtype)
    if "bfloat16" in name or "float8" in name:
        return tensor.float()
    try:
        return tensor.numpy()
    except (TypeError, RuntimeError) as error:
        raise DtypeError(f"{what}: expected a dense tensor of real numbers, got {name}: {error}") from error


def _check_kept(value: Host, result: Host) -> None:
    """Raise DataError if a conversion changed a value by more than a float's rounding."""
    if result.dtype.kind == "f":
        if value.dtype.kind != "f" or np.isfinite(result).all():
            return
        lost = np.isinf(result) & np.isfinite(value)
    elif result.dtype.kind == "b":
        lost = (value != 0) & (value != 1)
    elif value.dtype.kind == "f":
        lost = ~((value == np.trunc(value)) & (value >= -(2.0**63)) & (value < 2.0**63))
    else:
        lost = value > np.iinfo(np.int64).max
    if lost.any():
        raise DataError(
            f"from_host: expected values that {result.dtype} holds, got {_first(value, lost)}{_place(lost)} "
            f"in an array of {value.dtype}"
        )


def _first(values: Host, wrong: Host) -> Any:
    return values[tuple(np.argwhere(wrong)[0])]


def _place(wrong: Host) -> str:
    """Return " at [2, 0]", the first place where `wrong` is true; nothing for a number."""
    index = np.argwhere(wrong)[0]
    return f" at [{', '.join(map(str, index))}]" if len(index) else ""


def check_dtype(op: str, dtype: str) -> None:
    """Raise unless `dtype` is one that the protocol knows."""
    if dtype not in DTYPES:
        raise DtypeError(f"{op}: expected dtype to be one of {', '.join(DTYPES)}, got {shown(dtype)}")


def fill_value(op: str, value: Any, dtype: str) -> Any:
    """Return the scalar that fills a new tensor of a known dtype; DtypeError if the dtype would change it."""
    kind = type(value)
    if kind is float and dtype in FLOAT_DTYPES:
        return value
    if kind not in (int, float, bool) and getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()  # a scalar of numpy or torch
        kind = type(value)
    if kind is float:
        fits = is_floating(dtype)
    elif kind is int and dtype == "int64":
        fits = -(2**63) <= value < 2**63
    elif kind is int:
        fits = (is_floating(dtype) and abs(value) < 2**1023) or value in (0, 1)
    else:
        fits = kind is bool and dtype == "bool"
    if not fits:
        raise scalar_dtype_error(op, value, dtype)
    return float(value) if dtype in FLOAT_DTYPES else value


class NativeDtypes(dict[str, Any]):
    """A library's dtypes by our names; any other name is a DtypeError, and a known one costs nothing."""

    def __missing__(self, name: str) -> Any:
        check_dtype("dtype", name)
        raise KeyError(name)


def blas_threads() -> int:
    """Return how many threads numpy's matrix products use."""
    pools = [p["num_threads"] for p in _pools().info() if p["user_api"] == "blas"]
    return max(pools, default=1)


@functools.cache
def _pools() -> threadpoolctl.ThreadpoolController:
    """Return the libraries with threads, those that numpy loads among them. To find them takes 0.2 ms."""
    return threadpoolctl.ThreadpoolController()


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Pin them inside a `with`. Calls that overlap share the first one's limit; the last one lifts it."""
    torch = sys.modules.get("torch")
    with _limited_lock:
        if not _limited:
            before = None if torch is None else torch.get_num_threads()
            _limited.append((threadpoolctl.threadpool_limits(limits=threads, user_api="blas"), before))
            if torch is not None:
                torch.set_num_threads(threads)
        else:
            _limited.append(_limited[0])
    try:
        yield
    finally:
        with _limited_lock:
            limits, before = _limited.pop()
            if not _limited:
                limits.restore_original_limits()
                if before is not None:
                    sys.modules["torch"].set_num_threads(before)


_limited: list[tuple[Any, int | None]] = []
_limited_lock = threading.Lock()


def limit_threads(threads: int) -> None:
    """Pin the threads of numpy's matrix products, and of torch if loaded, for the rest of the process."""
    threadpoolctl.threadpool_limits(limits=threads, user_api="blas")
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(threads)
