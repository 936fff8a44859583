"""How a crosscheck compares; its backend and its ledger share one `Settings`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, get_args

from ...errors import OptionError
from ...options import number

Mode = Literal["lockstep", "drift"]


@dataclass(frozen=True)
class Settings:
    """The options of a crosscheck; OptionError if a value is wrong."""

    mode: Mode = "lockstep"
    """"lockstep" or "drift"; to be set before the first tensor is made."""
    tolerance: float = 1.0
    """A factor on every tolerance; exact ops stay exact."""
    keep_going: bool = False
    """Whether to count divergences and continue with the primary's results."""
    folder: str | os.PathLike[str] | None = "."
    """The folder for repro files; None writes none."""

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise OptionError(f"crosscheck: expected mode to be 'lockstep' or 'drift', got {self.mode!r}")
        tolerance = number("crosscheck", "tolerance", self.tolerance, above=0.0, infinite=True)
        object.__setattr__(self, "tolerance", tolerance)
