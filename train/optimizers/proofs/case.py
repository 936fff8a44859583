"""What a row of the table of optimizers is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ....layers import Parameter
from ..optimizer import Optimizer


@dataclass(frozen=True)
class OptimizerCase:
    """An optimizer with its options, and the torch one that must agree over 1,000 steps.

    Parameters
    ----------
    name
        Unique in the table; it begins with the class that it is about.
    make
        Makes the optimizer for parameters (or groups).
    torch
        Makes torch's for torch parameters; None for what torch does not have.

    """

    name: str
    make: Callable[[Iterable[Parameter]], Optimizer]
    torch: Callable[[Any], Any] | None = field(default=None, repr=False)
