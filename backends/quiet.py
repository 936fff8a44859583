"""numpy without warnings: overflow and NaN pass silently, as on every other backend.

Entering `np.errstate` takes as long as two small ops. Its state is an object in a context variable, so it is
made once here, and set; where numpy does not expose the two, `np.errstate` itself serves.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

try:
    from numpy._core import umath as _umath

    _state: Any = _umath._extobj_contextvar
    _QUIET: Any = _umath._make_extobj(all="ignore")
except (ImportError, AttributeError):
    _state = _QUIET = None


class _Quiet:
    """Sets the state, inside a `with`."""

    __slots__ = ("token",)

    def __enter__(self) -> None:
        self.token = _state.set(_QUIET)

    def __exit__(self, *error: object) -> None:
        _state.reset(self.token)


def quiet() -> AbstractContextManager[None]:
    """Run numpy without warnings, inside a `with`."""
    return _Quiet() if _QUIET is not None else np.errstate(all="ignore")


def silenced(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of numpy that raises no warning."""

    def call(*args: Any, **options: Any) -> Any:
        if _QUIET is not None and _state.get() is _QUIET:
            return function(*args, **options)
        with quiet():
            return function(*args, **options)

    return call
