"""What a proof says: for each tensor that it compared, the worst element and how far that is off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...backends import LaminaError

Host = np.ndarray[Any, Any]


class FaultError(LaminaError):
    """What a proof found where it is not two numbers that differ."""


@dataclass(frozen=True)
class Difference:
    """The worst index of one tensor.

    `error` is |ours - theirs| over the bar: above 1 is a failure.
    """

    name: str
    index: tuple[int, ...]
    ours: float
    theirs: float
    error: float

    def __str__(self) -> str:
        place = f"{self.name}[{', '.join(map(str, self.index))}]"
        return f"{place}: {self.ours:.9g}, expected {self.theirs:.9g} ({self.error:.3g} of the bar)"


@dataclass
class Report:
    """The worst index of each tensor: "output", "input" (its gradient), every parameter's gradient.

    `oracle` names what they were compared with.
    """

    subject: str
    oracle: str
    differences: list[Difference] = field(default_factory=list)

    @property
    def error(self) -> float:
        """The largest error as a share of the bar."""
        return max((d.error for d in self.differences), default=0.0)

    @property
    def passed(self) -> bool:
        """Whether something was compared and all of it is within the bar."""
        return bool(self.differences) and self.error <= 1.0

    def __str__(self) -> str:
        head = f"{self.subject} against {self.oracle}: worst {self.error:.3g} of the bar"
        return "\n".join([head, *map(str, self.differences)])


def worst(name: str, ours: Host, theirs: Host, bar: Host | float, *, same: bool = False) -> Difference:
    """Return the index with the largest error as a share of the bar.

    Parameters
    ----------
    name
        Of the tensor.
    ours, theirs
        What is judged, and what is right. Another shape or dtype is an infinite error.
    bar
        The largest |ours - theirs| that is allowed, above 0: for all, or for each element.
    same
        Whether NaN for NaN and an infinity for the same one are right; without, they are infinite errors.

    """
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        what = f"{name} {ours.dtype}{ours.shape} for {theirs.dtype}{theirs.shape}"
        return Difference(what, (), np.nan, np.nan, np.inf)
    if ours.size == 0:
        return Difference(name, (), 0.0, 0.0, 0.0)
    with np.errstate(all="ignore"):
        errors = np.abs(ours.astype(np.float64) - theirs.astype(np.float64)) / bar
    errors = np.where(np.isfinite(errors), errors, np.inf)
    if same:
        errors = np.where((ours == theirs) | ((ours != ours) & (theirs != theirs)), 0.0, errors)
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(errors)), errors.shape))
    return Difference(name, index, float(ours[index]), float(theirs[index]), float(errors[index]))


def compare(
    ours: Mapping[str, Host],
    theirs: Mapping[str, Host],
    bar: Callable[[str, Host], Host | float],
    *,
    same: bool = False,
) -> list[Difference]:
    """Return the worst index of each tensor, as `worst` does; one on one side only is an infinite error.

    `bar` is called with a tensor's name and what is right.
    """
    found = [
        worst(name, ours[name], right, bar(name, right), same=same)
        for name, right in theirs.items()
        if name in ours
    ]
    lone = [name for name in (*ours, *theirs) if (name in ours) != (name in theirs)]
    return [*found, *(Difference(f"{name}, on one side only", (), np.nan, np.nan, np.inf) for name in lone)]
