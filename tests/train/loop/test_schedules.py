"""Schedules against torch's, by hand, and as the command line writes them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lamina.train.loop.schedule_parser import parse_schedule
from lamina.train.loop.schedules import (
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

BASE, EPOCHS = 0.3, 100

# ours, torch's: a function of torch.optim.lr_scheduler and an optimizer
CASES: dict[str, tuple[Schedule, Callable[[Any, Any], Any]]] = {
    "constant": (Constant(), lambda s, o: s.ConstantLR(o, factor=1.0)),
    "exponential": (ExponentialLR(0.93), lambda s, o: s.ExponentialLR(o, 0.93)),
    "step": (StepLR(30), lambda s, o: s.StepLR(o, 30)),
    "step-gamma": (StepLR(7, 0.8), lambda s, o: s.StepLR(o, 7, 0.8)),
    "multistep": (MultiStepLR([10, 11, 80], 0.5), lambda s, o: s.MultiStepLR(o, [10, 11, 80], 0.5)),
    "cosine": (CosineAnnealingLR(100), lambda s, o: s.CosineAnnealingLR(o, 100)),
    "cosine-rises": (CosineAnnealingLR(30, 0.1), lambda s, o: s.CosineAnnealingLR(o, 30, 0.1 * BASE)),
    "linear": (LinearLR(), lambda s, o: s.LinearLR(o)),
    "linear-down": (LinearLR(0.9, 0.2, 40), lambda s, o: s.LinearLR(o, 0.9, 0.2, 40)),
    "sequential": (
        SequentialLR([LinearLR(0.1, 1.0, 5), StepLR(10), ExponentialLR(0.9)], [5, 50]),
        lambda s, o: s.SequentialLR(
            o, [s.LinearLR(o, 0.1, 1.0, 5), s.StepLR(o, 10), s.ExponentialLR(o, 0.9)], [5, 50]
        ),
    ),
    "warmup+cosine": (
        SequentialLR([LinearLR(0.2, 1.0, 5), CosineAnnealingLR(95)], [5]),
        lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.2, 1.0, 5), s.CosineAnnealingLR(o, 95)], [5]),
    ),
    "chained": (
        ChainedScheduler([LinearLR(0.5, 1.0, 8), ExponentialLR(0.95)]),
        lambda s, o: s.ChainedScheduler([s.LinearLR(o, 0.5, 1.0, 8), s.ExponentialLR(o, 0.95)]),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_torch_over_100_epochs(name: str) -> None:
    torch = pytest.importorskip("torch")
    ours, make = CASES[name]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)
    theirs = make(torch.optim.lr_scheduler, optimizer)
    rates = []
    for _ in range(EPOCHS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    mine = [BASE * ours(t) for t in range(EPOCHS)]
    # torch multiplies step by step, so near 0 it keeps the rounding of the larger rates before.
    np.testing.assert_allclose(mine, rates, rtol=1e-12, atol=1e-16)


def test_fractions_of_an_epoch() -> None:
    assert ExponentialLR(0.25)(0.5) == 0.5
    assert LinearLR(0.0, 1.0, 4)(1.5) == 0.375
    assert CosineAnnealingLR(4)(1.0) == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert [StepLR(2, 0.5)(t) for t in (1.9, 2.0, 3.9)] == [1.0, 0.5, 0.5]
    assert [MultiStepLR([2.5], 0.5)(t) for t in (2.4, 2.5)] == [1.0, 0.5]
    assert SequentialLR([Constant(), ExponentialLR(0.25)], [1.5])(2.0) == 0.5


def test_any_order_gives_the_same() -> None:
    schedule = parse_schedule("warmup:3+cosine", 20)
    forward = [schedule(t) for t in range(20)]
    assert [schedule(t) for t in reversed(range(20))] == forward[::-1]


def test_warmup_rises_in_equal_steps_and_never_from_zero() -> None:
    assert [warmup(4)(t) for t in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_repr_builds_the_same_schedule() -> None:
    schedule = SequentialLR([LinearLR(0.5, 1.0, 2), ChainedScheduler([StepLR(3), Constant()])], [2])
    assert repr(ExponentialLR(0.9)) == "ExponentialLR(gamma=0.9)"
    assert eval(repr(schedule)) == schedule


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", Constant()),
        ("constant", Constant()),
        ("exponential:0.9", ExponentialLR(0.9)),
        ("step:30", StepLR(30)),
        ("step:30,0.5", StepLR(30, 0.5)),
        ("multistep:0.5,10,20", MultiStepLR([10, 20], 0.5)),
        ("linear:1,0.1,20", LinearLR(1, 0.1, 20)),
        ("cosine", CosineAnnealingLR(100)),
        ("cosine:50", CosineAnnealingLR(50)),
        ("cosine:50,0.1", CosineAnnealingLR(50, 0.1)),
        ("warmup:4", LinearLR(0.2, 1.0, 4)),
        ("warmup:4+cosine", SequentialLR([LinearLR(0.2, 1.0, 4), CosineAnnealingLR(96)], [4])),
        (
            " Warmup: 4 + constant:10 + Exponential: 0.9 ",
            SequentialLR([warmup(4), Constant(), ExponentialLR(0.9)], [4, 14]),
        ),
        ("warmup:4*exponential:0.9", ChainedScheduler([warmup(4), ExponentialLR(0.9)])),
        (
            "warmup:4*exponential:0.9*constant:9+cosine",
            SequentialLR(
                [ChainedScheduler([warmup(4), ExponentialLR(0.9), Constant()]), CosineAnnealingLR(91)], [9]
            ),
        ),
    ],
)
def test_parse(text: str, expected: Schedule) -> None:
    assert parse_schedule(text, 100) == expected
