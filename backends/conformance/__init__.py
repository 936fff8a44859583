"""The conformance suite: what every backend must do, as cases to run on a backend of one's own.

    from lamina.backends.conformance import run
    print(run(MyBackend()))

It needs numpy and nothing else.
"""

from __future__ import annotations

from .case import Case, T
from .cases import all_cases
from .suite import Item, Report, Result, attempt, items, run

__all__ = ["Case", "Item", "Report", "Result", "T", "all_cases", "attempt", "items", "run"]
