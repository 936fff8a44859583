"""Learning-rate schedules: pure functions of time that give a factor for the base learning rate.

torch's names and meaning, without the optimizer and without state: `schedule(t)` is the factor at epoch t, 0
for the first. So a schedule can be asked about any epoch, or any fraction of one, in any order, and a run
that is resumed at epoch 40 asks for t = 40 and needs nothing restored.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real

from ...backends.errors import OptionError, did_you_mean


class Schedule:
    """Base of all schedules: a subclass gives `factor(t)`; schedules are immutable and compare by value."""

    def __call__(self, t: float) -> float:
        """Return the factor by which the base learning rate is multiplied at epoch `t` >= 0."""
        _check(_within(t, 0), self, "t", "a finite epoch >= 0", t)
        return self.factor(t)

    def factor(self, t: float) -> float:
        """Return the factor at a valid `t`."""
        raise TypeError(f"{type(self).__name__} must define factor(t).")


@dataclass(frozen=True)
class Constant(Schedule):
    """The base learning rate throughout: the factor is 1."""

    def factor(self, t: float) -> float:
        """Return 1."""
        return 1.0


@dataclass(frozen=True)
class ExponentialLR(Schedule):
    """gamma ** t: the rate is multiplied by gamma every epoch."""

    gamma: float

    def __post_init__(self) -> None:
        _check_positive(self, "gamma", self.gamma)

    def factor(self, t: float) -> float:
        """Return gamma ** t."""
        return float(self.gamma**t)


@dataclass(frozen=True)
class StepLR(Schedule):
    """gamma ** floor(t / step_size): multiplied by gamma once every `step_size` epochs."""

    step_size: float
    gamma: float = 0.1

    def __post_init__(self) -> None:
        _check_positive(self, "step_size", self.step_size)
        _check_positive(self, "gamma", self.gamma)

    def factor(self, t: float) -> float:
        """Return gamma ** floor(t / step_size)."""
        return float(self.gamma ** (t // self.step_size))


@dataclass(frozen=True)
class MultiStepLR(Schedule):
    """Multiplied by gamma at each milestone (increasing epochs)."""

    milestones: Sequence[float]
    gamma: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "milestones", tuple(self.milestones))
        _check_milestones(self, self.milestones)
        _check_positive(self, "gamma", self.gamma)

    def factor(self, t: float) -> float:
        """Return gamma ** (how many milestones have been reached)."""
        return float(self.gamma ** bisect_right(self.milestones, t))


@dataclass(frozen=True)
class CosineAnnealingLR(Schedule):
    """From 1 down to `minimum` over T_max epochs along half a cosine; as in torch, it rises again after that.

    `minimum` is a factor like all else here: torch's `eta_min` divided by the base learning rate.
    """

    T_max: float
    minimum: float = 0.0

    def __post_init__(self) -> None:
        _check_positive(self, "T_max", self.T_max)
        _check(_within(self.minimum, 0, 1), self, "minimum", "a factor from 0 to 1", self.minimum)

    def factor(self, t: float) -> float:
        """Return minimum + (1 - minimum) (1 + cos(pi t / T_max)) / 2."""
        return self.minimum + (1 - self.minimum) * (1 + math.cos(math.pi * t / self.T_max)) / 2


@dataclass(frozen=True)
class LinearLR(Schedule):
    """From `start_factor` to `end_factor` in a straight line over `total_iters` epochs, then level."""

    start_factor: float = 1 / 3
    end_factor: float = 1.0
    total_iters: float = 5

    def __post_init__(self) -> None:
        for name in ("start_factor", "end_factor"):
            value = getattr(self, name)
            _check(_within(value, 0), self, name, "a finite factor >= 0", value)
        _check_positive(self, "total_iters", self.total_iters)

    def factor(self, t: float) -> float:
        """Return the point on the line at min(t, total_iters)."""
        return self.start_factor + (self.end_factor - self.start_factor) * min(1.0, t / self.total_iters)


@dataclass(frozen=True)
class SequentialLR(Schedule):
    """One schedule after the other: number i + 1 starts, at its own t = 0, at milestone i."""

    schedules: Sequence[Schedule]
    milestones: Sequence[float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedules", tuple(self.schedules))
        object.__setattr__(self, "milestones", tuple(self.milestones))
        _check_schedules(self, self.schedules)
        expected = f"{len(self.schedules) - 1} (one fewer than schedules)"
        _check(
            len(self.milestones) == len(self.schedules) - 1,
            self,
            "milestones",
            expected,
            len(self.milestones),
        )
        _check_milestones(self, self.milestones)

    def factor(self, t: float) -> float:
        """Return the factor of the schedule whose turn it is, at the time since its start."""
        turn = bisect_right(self.milestones, t)
        return self.schedules[turn](t - self.milestones[turn - 1] if turn else t)


@dataclass(frozen=True)
class ChainedScheduler(Schedule):
    """Several schedules at once: the product of their factors."""

    schedules: Sequence[Schedule]

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedules", tuple(self.schedules))
        _check_schedules(self, self.schedules)

    def factor(self, t: float) -> float:
        """Return the product of all factors at t."""
        return math.prod(schedule(t) for schedule in self.schedules)


def warmup(epochs: float) -> LinearLR:
    """Return a warm-up that gives (t + 1) / (epochs + 1) for t < epochs, in equal steps up to 1.

    No epoch is run at rate 0 (it would learn nothing) and the full rate first comes after the warm-up.
    """
    _check_positive("warmup", "epochs", epochs)
    return LinearLR(1 / (epochs + 1), 1.0, epochs)


def parse_schedule(text: str, epochs: int) -> Schedule:
    """Return the schedule that a command line names, for a run of `epochs` epochs.

    ::

        schedule    = product ("+" product)*      "+" is "then": what stands left of it must have an end
        product     = part ("*" part)*            "*" is "times": both at once
        part        = name [":" number ("," number)*]

        none, constant[:EPOCHS]      factor 1                                     ends after EPOCHS
        exponential:GAMMA            gamma ** t                                   no end
        step:EPOCHS[,GAMMA]          times GAMMA (0.1) every EPOCHS               no end
        multistep:GAMMA,E1[,E2...]   times GAMMA at epochs E1, E2, ...            no end
        linear:START,STOP,EPOCHS     a straight line, then level                  ends after EPOCHS
        warmup:EPOCHS                in equal steps up to 1: (t + 1) / (EPOCHS + 1)  ends after EPOCHS
        cosine[:EPOCHS[,MINIMUM]]    half a cosine; without EPOCHS over all that are left

    A product ends when the last of its parts that have an end does. Quote "*" in a shell.

    Examples
    --------
    >>> parse_schedule("exponential:0.9", 100)
    ExponentialLR(gamma=0.9)
    >>> parse_schedule("warmup:4+cosine", 100).milestones
    (4.0,)
    >>> parse_schedule("warmup:4+cosine", 100)(52.0)
    0.5
    """
    _check(_within(epochs, 1), "parse_schedule", "epochs", "a whole number >= 1", epochs)
    schedules: list[Schedule] = []
    starts: list[float] = []
    start = 0.0
    products = text.split("+")
    for index, product in enumerate(products):
        parts = [_parse_part(part, text, epochs - start) for part in product.split("*")]
        factors = [schedule for schedule, _ in parts]
        schedules.append(factors[0] if len(factors) == 1 else ChainedScheduler(factors))
        if index < len(products) - 1:
            ends = [end for _, end in parts if end is not None]
            if not ends:
                raise OptionError(
                    f"Schedule {text!r}: {product.strip()!r} has no end, so nothing can come after it; "
                    "give it a number of epochs (constant:10, cosine:50), or join with '*' for both at once."
                )
            start += max(ends)
            starts.append(start)
    return schedules[0] if len(schedules) == 1 else SequentialLR(schedules, starts)


# A part is built from its numbers and the epochs that are left; it gives its schedule and its end, if any.
_Part = tuple[Schedule, float | None]
_Builder = Callable[[list[float], float], _Part]


def _constant(numbers: list[float], left: float) -> _Part:
    if numbers:
        _check_positive("constant", "EPOCHS", numbers[0])
    return Constant(), numbers[0] if numbers else None


def _cosine(numbers: list[float], left: float) -> _Part:
    if not numbers:
        if left <= 0:
            raise OptionError("no epochs are left for it; train for more, or shorten what comes before")
        return CosineAnnealingLR(left), None
    return CosineAnnealingLR(*numbers), numbers[0]


# name -> usage, how many numbers at least and at most, builder
_PARTS: dict[str, tuple[str, int, float, _Builder]] = {
    "none": ("none", 0, 0, _constant),
    "constant": ("constant or constant:EPOCHS", 0, 1, _constant),
    "exponential": (
        "exponential:GAMMA, such as exponential:0.9",
        1,
        1,
        lambda n, left: (ExponentialLR(*n), None),
    ),
    "step": ("step:EPOCHS[,GAMMA], such as step:30,0.1", 1, 2, lambda n, left: (StepLR(*n), None)),
    "multistep": (
        "multistep:GAMMA,EPOCH[,EPOCH...], such as multistep:0.1,30,60",
        2,
        math.inf,
        lambda n, left: (MultiStepLR(n[1:], n[0]), None),
    ),
    "linear": (
        "linear:START,STOP,EPOCHS, such as linear:1,0.1,20",
        3,
        3,
        lambda n, left: (LinearLR(*n), n[2]),
    ),
    "warmup": ("warmup:EPOCHS, such as warmup:5", 1, 1, lambda n, left: (warmup(*n), n[0])),
    "cosine": ("cosine or cosine:EPOCHS[,MINIMUM]", 0, 2, _cosine),
}


def _parse_part(part: str, text: str, left: float) -> _Part:
    name, colon, tail = part.strip().partition(":")
    name = name.strip().lower()
    if name not in _PARTS:
        raise OptionError(
            f"Schedule {text!r}: unknown part {name!r}; expected one of {', '.join(_PARTS)}."
            + did_you_mean(name, _PARTS)
        )
    usage, least, most, build = _PARTS[name]
    try:
        numbers = [float(word) for word in tail.split(",")] if colon else []
    except ValueError:
        numbers = [math.nan]
    if not least <= len(numbers) <= most or not all(map(math.isfinite, numbers)):
        raise OptionError(f"Schedule {text!r}: expected {usage}; came {part.strip()!r}.")
    try:
        return build(numbers, left)
    except OptionError as error:
        raise OptionError(f"Schedule {text!r}, part {part.strip()!r}: {error}") from error


def _check(good: bool, owner: object, option: str, expected: str, came: object) -> None:
    if not good:
        name = owner if isinstance(owner, str) else type(owner).__name__
        raise OptionError(f"{name}: {option}: expected {expected}, came {came!r}.")


def _within(value: object, low: float, high: float = math.inf) -> bool:
    """Whether this is a finite real number (numpy's too) from low to high."""
    return isinstance(value, Real) and math.isfinite(value) and low <= float(value) <= high


def _check_positive(owner: object, option: str, value: float) -> None:
    _check(_within(value, 0) and value > 0, owner, option, "a finite number > 0", value)


def _check_milestones(owner: object, milestones: Sequence[float]) -> None:
    good = all(_within(m, 0) for m in milestones) and all(a < b for a, b in pairwise((0, *milestones)))
    _check(good, owner, "milestones", "increasing epochs > 0", list(milestones))


def _check_schedules(owner: object, schedules: Sequence[object]) -> None:
    good = len(schedules) > 0 and all(isinstance(schedule, Schedule) for schedule in schedules)
    _check(good, owner, "schedules", "one or more Schedule objects", list(schedules))
