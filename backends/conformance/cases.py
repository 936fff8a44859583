"""All conformance cases, by op."""

from __future__ import annotations

import functools
import itertools

from . import derived_cases, elementwise_cases, index_cases, move_cases, reduce_cases
from .case import Case


@functools.cache
def all_cases() -> dict[str, tuple[Case, ...]]:
    """Return every op's cases. Ops that are all effect (`assign`, `scope`, ...) have checks only."""
    found: dict[str, list[Case]] = {}
    for one in itertools.chain(
        elementwise_cases.cases(),
        reduce_cases.cases(),
        move_cases.cases(),
        index_cases.cases(),
        derived_cases.cases(),
    ):
        found.setdefault(one.op, []).append(one)
    return {op: tuple(cases) for op, cases in found.items()}
