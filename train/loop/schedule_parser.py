"""`parse_schedule`: schedules as the command line writes them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from ...backends.errors import OptionError, did_you_mean
from ...backends.options import integer, number, shown
from .schedules import (
    ChainedScheduler,
    Constant,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    Schedule,
    SequentialLR,
    StepLR,
    warmup,
)


def parse_schedule(text: str, epochs: int) -> Schedule:
    """Return the schedule that a command line names, for a run of `epochs` epochs.

    ::

        schedule    = product ("+" product)*      "+" is "then": the product on its left must have an end
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
    integer("parse_schedule", "epochs", epochs)
    if not isinstance(text, str):
        raise OptionError(f"parse_schedule: expected a schedule such as 'cosine', got {shown(text)}")
    schedules: list[Schedule] = []
    milestones: list[float] = []
    start = 0.0
    products = text.split("+")
    for product in products:
        parts = [_parse_part(part, text, epochs - start) for part in product.split("*")]
        factors = [schedule for schedule, _ in parts]
        schedules.append(factors[0] if len(factors) == 1 else ChainedScheduler(factors))
        if len(schedules) == len(products):
            break
        ends = [end for _, end in parts if end is not None]
        if not ends:
            raise OptionError(
                f"Schedule {shown(text)}: expected a part with an end before '+', "
                f"got {shown(product.strip())}, which has none; give it a number of epochs "
                "(constant:10, cosine:50), or join with '*' for both at once"
            )
        start += max(ends)
        milestones.append(start)
    return SequentialLR(schedules, milestones) if milestones else schedules[0]


class _Part(NamedTuple):
    usage: str
    least: int
    """How many numbers follow the name, at least and at most."""
    most: float
    build: Callable[[list[float], float], Schedule]
    """(the numbers, the epochs left) -> the schedule."""
    end: int | None = None
    """The number that says after how many epochs the part ends."""


def _constant(numbers: list[float], left: float) -> Schedule:
    for epochs in numbers:
        number("constant", "EPOCHS", epochs, above=0.0)
    return Constant()


def _cosine(numbers: list[float], left: float) -> Schedule:
    if not numbers and left <= 0:
        raise OptionError(
            "expected epochs that are left for it, got none; train for more, or shorten the parts before it"
        )
    return CosineAnnealingLR(*(numbers or [left]))


_PARTS = {
    "none": _Part("none", 0, 0, _constant),
    "constant": _Part("constant or constant:EPOCHS", 0, 1, _constant, end=0),
    "exponential": _Part("exponential:GAMMA, such as exponential:0.9", 1, 1, lambda n, _: ExponentialLR(*n)),
    "step": _Part("step:EPOCHS[,GAMMA], such as step:30,0.1", 1, 2, lambda n, _: StepLR(*n)),
    "multistep": _Part(
        "multistep:GAMMA,EPOCH[,EPOCH...], such as multistep:0.1,30,60",
        2,
        math.inf,
        lambda n, _: MultiStepLR(n[1:], n[0]),
    ),
    "linear": _Part("linear:START,STOP,EPOCHS, such as linear:1,0.1,20", 3, 3, lambda n, _: LinearLR(*n), 2),
    "warmup": _Part("warmup:EPOCHS, such as warmup:5", 1, 1, lambda n, _: warmup(*n), 0),
    "cosine": _Part("cosine or cosine:EPOCHS[,MINIMUM]", 0, 2, _cosine, 0),
}


def _parse_part(part: str, text: str, left: float) -> tuple[Schedule, float | None]:
    """Return a part's schedule and its end, if it has one."""
    name, colon, tail = part.strip().partition(":")
    name = name.strip().lower()
    if name not in _PARTS:
        raise OptionError(
            f"Schedule {shown(text)}: expected one of {', '.join(_PARTS)}, got {shown(name)}."
            + did_you_mean(name, _PARTS)
        )
    kind = _PARTS[name]
    try:
        numbers = [float(word) for word in tail.split(",")] if colon else []
    except ValueError:
        numbers = [math.nan]
    if not kind.least <= len(numbers) <= kind.most or not all(map(math.isfinite, numbers)):
        raise OptionError(f"Schedule {shown(text)}: expected {kind.usage}, got {shown(part.strip())}")
    try:
        schedule = kind.build(numbers, left)
    except OptionError as error:
        raise OptionError(f"Schedule {shown(text)}, part {shown(part.strip())}: {error}") from error
    return schedule, numbers[kind.end] if kind.end is not None and numbers else None
