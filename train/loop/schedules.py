"""Learning-rate schedules: pure functions of time that give a factor for the base learning rate.

They have torch's names and meaning, without an optimizer and without state: `schedule(t)` is the factor at
epoch t, 0 for the first. t may be fractional and come in any order, so a resumed run restores nothing.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from typing_extensions import override

from ...backends.errors import OptionError
from ...backends.options import number, shown


class Schedule:
    """Base of all schedules: a subclass defines `factor(t)`; schedules are immutable and compare by value."""

    def __call__(self, t: float) -> float:
        """Return the factor of the base learning rate at epoch `t` >= 0."""
        name = type(self).__name__
        t = number(name, "t", t, least=0.0)
        try:
            return number(name, f"the factor at epoch {t:g}", self.factor(t), least=0.0)
        except OverflowError:
            raise OptionError(
                f"{name}: expected a finite factor at epoch {t:g}, got more than a float holds"
            ) from None

    def factor(self, t: float) -> float:
        """Return the factor at a valid `t`."""
        raise TypeError(f"{type(self).__name__} must define factor(t).")

    def _number(self, option: str, **bounds: Any) -> None:
        """Check one of the fields and make it a float."""
        self._set(option, number(type(self).__name__, option, getattr(self, option), **bounds))

    def _milestones(self, milestones: object) -> None:
        name = type(self).__name__
        if isinstance(milestones, str) or not isinstance(milestones, Iterable):
            raise OptionError(f"{name}: expected milestones to be a list of epochs, got {shown(milestones)}")
        values = tuple(number(name, f"milestones[{i}]", m, above=0.0) for i, m in enumerate(milestones))
        if any(a >= b for a, b in pairwise(values)):
            raise OptionError(f"{name}: expected milestones to be increasing epochs, got {list(values)}")
        self._set("milestones", values)

    def _schedules(self, schedules: Sequence[Schedule]) -> None:
        given = tuple(schedules) if isinstance(schedules, Iterable) else ()
        if not given or not all(isinstance(schedule, Schedule) for schedule in given):
            raise OptionError(
                f"{type(self).__name__}: expected schedules to be one or more Schedule objects, "
                f"got {shown(schedules)}"
            )
        self._set("schedules", given)

    def _set(self, option: str, value: Any) -> None:
        object.__setattr__(self, option, value)


@dataclass(frozen=True)
class Constant(Schedule):
    """The base learning rate throughout: the factor is 1."""

    @override
    def factor(self, t: float) -> float:
        return 1.0


@dataclass(frozen=True)
class ExponentialLR(Schedule):
    """gamma ** t: the rate is multiplied by gamma every epoch."""

    gamma: float

    def __post_init__(self) -> None:
        self._number("gamma", above=0.0)

    @override
    def factor(self, t: float) -> float:
        return float(self.gamma**t)


@dataclass(frozen=True)
class StepLR(Schedule):
    """gamma ** floor(t / step_size): multiplied by gamma once every `step_size` epochs."""

    step_size: float
    gamma: float = 0.1

    def __post_init__(self) -> None:
        self._number("step_size", above=0.0)
        self._number("gamma", above=0.0)

    @override
    def factor(self, t: float) -> float:
        return float(self.gamma ** (t // self.step_size))


@dataclass(frozen=True)
class MultiStepLR(Schedule):
    """Multiplied by gamma at each milestone (increasing epochs)."""

    milestones: Sequence[float]
    gamma: float = 0.1

    def __post_init__(self) -> None:
        self._milestones(self.milestones)
        self._number("gamma", above=0.0)

    @override
    def factor(self, t: float) -> float:
        return float(self.gamma ** bisect_right(self.milestones, t))


@dataclass(frozen=True)
class CosineAnnealingLR(Schedule):
    """minimum + (1 - minimum) (1 + cos(π t / T_max)) / 2: half a cosine, 1 to `minimum` in T_max epochs.

    As in torch, it rises again after that. `minimum` is torch's `eta_min` divided by the base learning rate.
    """

    T_max: float
    minimum: float = 0.0

    def __post_init__(self) -> None:
        self._number("T_max", above=0.0)
        self._number("minimum", least=0.0, most=1.0)

    @override
    def factor(self, t: float) -> float:
        return self.minimum + (1 - self.minimum) * (1 + math.cos(math.pi * t / self.T_max)) / 2


@dataclass(frozen=True)
class LinearLR(Schedule):
    """From `start_factor` to `end_factor` in a straight line over `total_iters` epochs, then level."""

    start_factor: float = 1 / 3
    end_factor: float = 1.0
    total_iters: float = 5

    def __post_init__(self) -> None:
        self._number("start_factor", least=0.0)
        self._number("end_factor", least=0.0)
        self._number("total_iters", above=0.0)

    @override
    def factor(self, t: float) -> float:
        return self.start_factor + (self.end_factor - self.start_factor) * min(1.0, t / self.total_iters)


@dataclass(frozen=True)
class SequentialLR(Schedule):
    """One schedule after the other: number i + 1 starts, at its own t = 0, at milestone i."""

    schedules: Sequence[Schedule]
    milestones: Sequence[float]

    def __post_init__(self) -> None:
        self._schedules(self.schedules)
        self._milestones(self.milestones)
        wanted = len(self.schedules) - 1
        if len(self.milestones) != wanted:
            raise OptionError(
                f"SequentialLR: expected {wanted} milestones (one fewer than schedules), "
                f"got {len(self.milestones)}"
            )

    @override
    def factor(self, t: float) -> float:
        turn = bisect_right(self.milestones, t)
        return self.schedules[turn](t - self.milestones[turn - 1] if turn else t)


@dataclass(frozen=True)
class ChainedScheduler(Schedule):
    """Several schedules at once: the product of their factors."""

    schedules: Sequence[Schedule]

    def __post_init__(self) -> None:
        self._schedules(self.schedules)

    @override
    def factor(self, t: float) -> float:
        return math.prod(schedule(t) for schedule in self.schedules)


def warmup(epochs: float) -> LinearLR:
    """Return a warm-up to the full rate: (t + 1) / (epochs + 1) for t < epochs, then 1.

    No epoch has rate 0, which would learn nothing.
    """
    epochs = number("warmup", "epochs", epochs, above=0.0)
    return LinearLR(1 / (epochs + 1), 1.0, epochs)
