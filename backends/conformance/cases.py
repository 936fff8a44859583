"""All conformance cases, by op."""

from __future__ import annotations

import functools
import itertools

from . import derived_cases, elementwise_cases, index_cases, move_cases, reduce_cases
from .case import Case


@functools.cache
def all_cases() -> dict[str, tuple[Case, ...]]:
    """Return every op's cases. Ops without a value (`assign`, `scope`, ...) have checks only."""
    by_op: dict[str, list[Case]] = {}
    for case in itertools.chain(
        elementwise_cases.cases(),
        reduce_cases.cases(),
        move_cases.cases(),
        index_cases.cases(),
        derived_cases.cases(),
    ):
        by_op.setdefault(case.op, []).append(case)
    return {op: tuple(cases) for op, cases in by_op.items()}
