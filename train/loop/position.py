"""`Position`: where a fit stands."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from ...backends import OptionError, Tensor


@dataclass
class Position:
    """The plan of a fit, and where it stands between two steps."""

    first: int
    """The finished epochs of earlier fits."""
    epochs: int
    """How many epochs the fit has."""
    batch_size: int
    shuffle: bool
    drop_last: bool
    samples: int
    """Samples of the training set."""
    validation: int
    """Samples of the validation set, 0 without one."""
    steps: int
    """Steps of an epoch."""
    step: int = 0
    """Steps of the running epoch that are done; 0 between epochs."""
    learning_rate: float = math.nan
    """The learning rate at the start of the running epoch."""
    seconds: float = 0.0
    """Seconds of the running epoch before this process."""
    ended: bool = False
    """Whether the fit stopped before its last epoch."""
    data: str = ""
    """A digest of the samples; "" until it is needed."""
    results: list[tuple[Tensor, ...]] = field(default_factory=list)
    """What the steps of the running epoch returned."""
    scoring: bool = False
    """Whether the steps of the epoch are done and its scores are computed."""

    def check_continues(self, saved: Position, done: int) -> None:
        """Raise OptionError unless this plan is that of a saved fit, except for its epochs.

        done: the finished epochs of the saved fit.
        """
        for name in ("batch_size", "shuffle", "drop_last", "samples", "validation"):
            mine, theirs = getattr(self, name), getattr(saved, name)
            if mine != theirs:
                what = {"samples": "training samples", "validation": "validation samples"}.get(name, name)
                raise OptionError(
                    f"fit: expected {what} of {theirs}, as in the fit that was resumed, got {mine}"
                )
        if self.epochs < done:
            raise OptionError(
                f"fit: expected epochs of at least {done}, which the fit that was resumed has done, "
                f"got {self.epochs}"
            )

    def total(self, finished: int) -> int:
        """Return the steps of this fit that are done. finished: the epochs that all fits finished."""
        return (finished - self.first) * self.steps + self.step


PLAN: dict[str, Any] = {
    "first": int,
    "epochs": int,
    "batch_size": int,
    "shuffle": bool,
    "drop_last": bool,
    "samples": int,
    "validation": int,
    "steps": int,
    "step": int,
    "learning_rate": float,
    "seconds": float,
    "ended": bool,
    "data": str,
}
"""The fields that a checkpoint holds beside the results, and their types."""
