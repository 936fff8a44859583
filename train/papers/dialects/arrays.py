"""Inputs of the dialects: arrays and lists, as in the papers' code, or a backend's handles."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....backends import Backend, Tensor


def tensor(b: Backend, x: Any) -> Tensor:
    """Return an array, nested lists or a number as a float tensor; a handle unchanged."""
    if not isinstance(x, np.ndarray) and type(x) not in (list, tuple, int, float):
        return x  # type: ignore[no-any-return]  # an opaque handle
    values = np.asarray(x)
    return b.from_host(values.astype(np.float64) if values.dtype.kind in "iub" else values)


def column(y: Any) -> Any:
    """Return an array or list of targets (N,) as (N, 1); anything else unchanged."""
    if isinstance(y, np.ndarray | list | tuple) and np.ndim(y) == 1:
        return np.asarray(y).reshape(-1, 1)
    return y
