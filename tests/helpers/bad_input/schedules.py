"""Bad inputs of schedules, and of the text that the command line makes them from."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from lamina.backends import OptionError
from lamina.train.loop.schedule_parser import parse_schedule
from lamina.train.loop.schedules import (
    ChainedScheduler,
    Constant,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    SequentialLR,
    StepLR,
    warmup,
)

from . import Bad
from .values import ESCAPES, NOT_NUMBERS, short

# A schedule, right arguments, and the argument that is wrong, with values that are numbers and yet too small.
NUMBERS: list[tuple[Callable[..., object], dict[str, Any], str, list[Any]]] = [
    (ExponentialLR, {}, "gamma", [0, -1.0]),
    (StepLR, {}, "step_size", [0, -3]),
    (StepLR, {"step_size": 3}, "gamma", [0, -0.1]),
    (MultiStepLR, {"milestones": [2]}, "gamma", [0]),
    (CosineAnnealingLR, {}, "T_max", [0, -1]),
    (CosineAnnealingLR, {"T_max": 5}, "minimum", [-0.1, 1.5]),
    (LinearLR, {}, "start_factor", [-0.1]),
    (LinearLR, {}, "end_factor", [-1]),
    (LinearLR, {}, "total_iters", [0, -5]),
    (warmup, {}, "epochs", [0, -1]),
]
NO_LIST: list[Any] = [None, 3, 0.5, "3,5", True]
NO_SCHEDULES: list[Any] = [None, 3, [], [0.9], "step", [None], [Constant(), 0.5], Constant(), Constant]


def _bad(kind: Callable[..., object], what: str, call: Callable[[], object], *says: str) -> Bad:
    name = kind.__name__
    return Bad(name, what, lambda place: call(), (name, *says), OptionError, once=True)


OPTIONS = [
    _bad(
        kind, f"{name}={short(value)}", lambda k=kind, o={**right, name: value}: k(**o),
        f"expected {name} to be a finite number",
    )
    for kind, right, name, small in NUMBERS
    for value in (*small, *NOT_NUMBERS)
]  # fmt: skip

LISTS = [
    *(
        _bad(MultiStepLR, f"milestones={short(v)}", lambda v=v: MultiStepLR(v),
            "expected milestones to be a list")
        for v in NO_LIST
    ),
    *(
        _bad(MultiStepLR, f"milestones=[3, {short(v)}]", lambda v=v: MultiStepLR([3, v]),
            "milestones[1] to be")
        for v in (0, -1, *NOT_NUMBERS)
    ),
    _bad(MultiStepLR, "equal milestones", lambda: MultiStepLR([5, 5]), "to be increasing epochs",
        "[5.0, 5.0]"),
    _bad(MultiStepLR, "milestone 0", lambda: MultiStepLR([0, 5]), "milestones[0] to be", "got 0"),
    *(
        _bad(
            SequentialLR, f"schedules={short(v)}", lambda v=v: SequentialLR(v, []),
            "schedules to be one or more Schedule objects",
        )
        for v in NO_SCHEDULES
    ),
    *(
        _bad(
            ChainedScheduler, f"schedules={short(v)}", lambda v=v: ChainedScheduler(v),
            "schedules to be one or more Schedule objects",
        )
        for v in NO_SCHEDULES
    ),
    *(
        _bad(
            SequentialLR, f"milestones={short(v)}", lambda v=v: SequentialLR([Constant()] * 2, v),
            "expected milestones to be a list",
        )
        for v in NO_LIST
    ),
    _bad(SequentialLR, "a milestone more", lambda: SequentialLR([Constant()], [5]), "0 milestones", "1"),
    _bad(SequentialLR, "a milestone less", lambda: SequentialLR([Constant()] * 3, [5]), "2 milestones", "1"),
    _bad(
        SequentialLR, "falling milestones", lambda: SequentialLR([Constant()] * 3, [5, 2]), "increasing",
        "[5.0, 2.0]"
    ),
]  # fmt: skip

TIMES = [
    *(
        _bad(Constant, f"t={short(value)}", lambda v=value: Constant()(v),
            "expected t to be a finite number, at least 0")
        for value in (-1, *NOT_NUMBERS)
    ),
    _bad(ExponentialLR, "gamma=10 at t=1000", lambda: ExponentialLR(10)(1000),
        "a finite factor at epoch 1000"),
    _bad(StepLR, "gamma=1e30 at t=19", lambda: StepLR(1, 1e30)(19), "a finite factor at epoch 19"),
    _bad(
        ChainedScheduler, "factors whose product overflows",
        lambda: ChainedScheduler([LinearLR(1e30, 1e30)] * 2)(0),
        "the factor at epoch 0 to be at most 3.4e+38", "1e+60",
    ),
]  # fmt: skip

TEXTS: list[tuple[Any, tuple[str, ...]]] = [
    ("cosin", ("one of none, constant", "'cosin'", "Did you mean 'cosine'?")),
    ("warmup:5+expo:0.9", ("Schedule 'warmup:5+expo:0.9'", "'expo'")),
    ("", ("one of none, constant", "''")),
    ("warmup:5+", ("one of none", "''")),
    ("*", ("one of none", "''")),
    (ESCAPES, ("one of none", r"\x1b")),
    ("x" * 9999, ("one of none", "xxx ...")),
    ("step", ("step:EPOCHS", "'step'")),
    ("step:", ("step:EPOCHS", "'step:'")),
    ("step:thirty", ("step:EPOCHS", "'step:thirty'")),
    ("step:30,0.1,2", ("step:EPOCHS", "'step:30,0.1,2'")),
    ("step:nan", ("step:EPOCHS", "'step:nan'")),
    ("step:inf", ("step:EPOCHS", "'step:inf'")),
    ("step:1e999", ("step:EPOCHS", "'step:1e999'")),
    (f"step:{'9' * 5000}", ("step:EPOCHS", "'step:999")),
    ("step:0,1", ("part 'step:0,1': StepLR: expected step_size to be", "above 0", "0.0")),
    ("none:3", ("none", "'none:3'")),
    ("constant:0", ("expected EPOCHS to be a finite number, above 0", "0.0")),
    ("exponential:-1", ("part 'exponential:-1': ExponentialLR: expected gamma to be a finite number, above 0",
        "-1.0")),
    ("multistep:0.1,5,5", ("milestones to be increasing", "[5.0, 5.0]")),
    ("linear:1,2", ("linear:START,STOP,EPOCHS", "'linear:1,2'")),
    ("warmup:-3", ("expected epochs to be", "-3.0")),
    ("cosine:50,3", ("expected minimum to be a finite number, at least 0 and at most 1", "3.0")),
    ("exponential:0.9+cosine", ("a part with an end", "'exponential:0.9'")),
    ("cosine+step:3", ("a part with an end", "'cosine'")),
    ("warmup:100+cosine", ("epochs that are left", "none")),
    (None, ("a schedule such as 'cosine'", "None")),
    (3, ("a schedule such as 'cosine'", "3")),
    (b"cosine", ("a schedule such as 'cosine'", "b'cosine'")),
    (Constant(), ("a schedule such as 'cosine'", "Constant()")),
]  # fmt: skip
PARSED = [
    *(
        Bad("parse_schedule", f"the text {short(text)}", lambda place, t=text: parse_schedule(t, 100), says,
            OptionError, once=True)
        for text, says in TEXTS
    ),
    *(
        Bad(
            "parse_schedule", f"epochs={short(value)}", lambda place, v=value: parse_schedule("cosine", v),
            ("parse_schedule: expected epochs to be an integer of at least 1",), OptionError, once=True,
        )
        for value in (0, -1, 1.5, math.nan, None, "3", True, [3])
    ),
]  # fmt: skip

ROWS: tuple[Bad, ...] = (*OPTIONS, *LISTS, *TIMES, *PARSED)
