"""`OptimizerCase`: a row of the table of optimizers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ....layers import Parameter
from ..optimizer import Optimizer


@dataclass(frozen=True)
class OptimizerCase:
    """An optimizer with its options, and the torch optimizer that must agree over 1,000 steps.

    Parameters
    ----------
    name
        Unique in the table; its first word is the class.
    make
        Makes the optimizer for parameters (or groups).
    torch
        Makes torch's optimizer for torch parameters; None if torch lacks it.

    """

    name: str
    make: Callable[[Iterable[Parameter]], Optimizer]
    torch: Callable[[Any], Any] | None = field(default=None, repr=False)
