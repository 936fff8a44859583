"""The conformance suite: cases that every backend must pass.

    from lamina.backends.conformance import run
    print(run(MyBackend()))

It needs numpy only.
"""

from __future__ import annotations

from .case import Case, T
from .cases import all_cases
from .suite import Item, Report, Result, attempt, items, run

__all__ = ["Case", "Item", "Report", "Result", "T", "all_cases", "attempt", "items", "run"]
