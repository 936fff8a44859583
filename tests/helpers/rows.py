"""Tests over the rows of a table: one test for each, and a row by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def each(cases: Iterable[Any], name: Callable[[Any], str] = lambda case: case.name) -> Any:
    """Run a test once for each case, under its name."""
    rows = list(cases)
    return pytest.mark.parametrize("case", rows, ids=[name(case) for case in rows])


def row(cases: Iterable[Any], name: str) -> Any:
    """Return the case of that name."""
    return next(case for case in cases if case.name == name)
