"""A proof's report: the worst element of each tensor that it compared, and its error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ...backends import LaminaError
from ...backends.host import Host
from ...backends.notebook import Shown

RTOL = 1e-9
ATOL = 1e-12


class FaultError(LaminaError):
    """A fault other than two numbers that differ: NaN, or an overwritten input."""


@dataclass(frozen=True)
class Difference:
    """The worst element of one tensor: `error` is |ours - theirs| over the bar, and above 1 fails."""

    name: str
    index: tuple[int, ...]
    ours: float
    theirs: float
    error: float

    def __str__(self) -> str:
        place = f"{self.name}[{', '.join(map(str, self.index))}]"
        return f"{place}: {self.ours:.9g}, expected {self.theirs:.9g} ({self.error:.3g} of the bar)"


@dataclass(repr=False)
class Report(Shown):
    """The worst element of each tensor, against one oracle: the output and every gradient, by name."""

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
    """Return the element with the largest error, as a share of the bar.

    Parameters
    ----------
    name
        The tensor's name.
    ours, theirs
        The values under test and the oracle's. A different shape or dtype is an infinite error.
    bar
        The largest |ours - theirs| allowed, above 0: one number, or one per element.
    same
        Whether NaN equals NaN, and an infinity itself; if not, each is an infinite error.

    """
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        title = f"{name} {ours.dtype}{ours.shape} for {theirs.dtype}{theirs.shape}"
        return Difference(title, (), np.nan, np.nan, np.inf)
    if ours.size == 0:
        return Difference(name, (), 0.0, 0.0, 0.0)
    with np.errstate(all="ignore"):
        errors = np.abs(ours.astype(np.float64) - theirs.astype(np.float64)) / bar
    errors = np.where(np.isfinite(errors), errors, np.inf)
    if same:
        errors = np.where((ours == theirs) | ((ours != ours) & (theirs != theirs)), 0.0, errors)
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(errors)), errors.shape))
    return Difference(name, index, float(ours[index]), float(theirs[index]), float(errors[index]))


def close(name: str, theirs: Host) -> Host:
    """Return the bar of a comparison in float64, for each element."""
    return ATOL + RTOL * np.abs(theirs, dtype=np.float64)


def compare(
    ours: Mapping[str, Host],
    theirs: Mapping[str, Host],
    bar: Callable[[str, Host], Host | float],
    *,
    same: bool = False,
) -> list[Difference]:
    """Return the worst element of each tensor; a tensor on one side only is an infinite error.

    `bar(name, theirs)` gives the largest |ours - theirs| allowed; `same` is that of `worst`.
    """
    differences = [
        worst(name, ours[name], right, bar(name, right), same=same)
        for name, right in theirs.items()
        if name in ours
    ]
    lone = [name for name in (*ours, *theirs) if (name in ours) != (name in theirs)]
    return [
        *differences,
        *(Difference(f"{name}, on one side only", (), np.nan, np.nan, np.inf) for name in lone),
    ]
