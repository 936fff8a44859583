"""What the dialects take: arrays and lists, as the papers' code hands them over, or a backend's handles."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....backends import Backend, Tensor

Host = np.ndarray[Any, Any]


def tensor(b: Backend, x: Any) -> Tensor:
    """Return an array, nested lists or a number (*) on a backend as reals (*); a handle as it is."""
    if not isinstance(x, np.ndarray) and type(x) not in (list, tuple, int, float):
        return x  # type: ignore[no-any-return]  # a handle, which is opaque
    values = np.asarray(x)
    return b.from_host(values.astype(np.float64) if values.dtype.kind in "iub" else values)


def column(y: Any) -> Any:
    """Return an array or list of targets (N,) as (N, 1); anything else as it is."""
    if isinstance(y, np.ndarray | list | tuple) and np.ndim(y) == 1:
        return np.asarray(y).reshape(-1, 1)
    return y
