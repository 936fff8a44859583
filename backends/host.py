"""Between the user's arrays and a backend: what `from_host` accepts, and threads."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import threadpoolctl

from .errors import DtypeError

FLOAT_DTYPES = ("float32", "float64")
DTYPES = (*FLOAT_DTYPES, "int64", "bool")
Host = np.ndarray[Any, Any]
"""An array on the host: numpy's, of any dtype."""


def is_floating(dtype: str) -> bool:
    """Whether a dtype is "float32" or "float64"."""
    return dtype in FLOAT_DTYPES


def host_array(array: Any, dtype: str | None, default: str) -> Host:
    """Copy `array` into a new C-contiguous array of one of the four dtypes.

    Without `dtype`: floats take the default, integers become int64, bool stays.
    """
    value = np.asarray(array)
    if dtype is None:
        kinds = {"f": default, "i": "int64", "u": "int64", "b": "bool"}
        if value.dtype.kind not in kinds:
            raise DtypeError(f"from_host: expected numbers or booleans, got dtype {value.dtype}")
        dtype = kinds[value.dtype.kind]
    check_dtype("from_host", dtype)
    return np.array(value, dtype=dtype, order="C")


def check_dtype(op: str, dtype: str) -> None:
    """Raise unless `dtype` is one that the protocol knows."""
    if dtype not in DTYPES:
        raise DtypeError(f"{op}: dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")


class NativeDtypes(dict[str, Any]):
    """A library's dtypes by our names; any other name is a DtypeError, and a known one costs nothing."""

    def __missing__(self, name: str) -> Any:
        check_dtype("dtype", name)
        raise KeyError(name)


def blas_threads() -> int:
    """Return how many threads numpy's matrix products use."""
    pools = [p["num_threads"] for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"]
    return max(pools, default=1)


def limit_threads(threads: int) -> None:
    """Pin the threads of numpy's matrix products, and of torch if loaded, for the rest of the process."""
    threadpoolctl.threadpool_limits(limits=threads, user_api="blas")
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(threads)
