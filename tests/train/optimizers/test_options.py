"""Options of optimizers: refused values, changes between steps, and saved states."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from lamina.backends import LaminaError, OptionError, ShapeError, StateError, get_backend
from lamina.layers import Linear, Sequential
from lamina.layers.initializers import Constant
from lamina.layers.parameter import Parameter
from lamina.train.optimizers import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Optimizer,
    RMSprop,
    clip_grad_norm,
    clip_grad_value,
)


def one() -> list[Parameter]:
    return [Parameter((2,), Constant(0.0), get_backend("numpy"))]


def take_steps(optimizer: Optimizer, count: int = 1) -> None:
    for group in optimizer.groups:
        for parameter in group.parameters:
            parameter.accumulate(parameter.backend.full(parameter.shape, 1.0))
    for _ in range(count):
        optimizer.step()


NOT_NEGATIVE = "to be a finite number, at least 0, got"
FRACTION = "to be a finite number, at least 0 and below 1, got"


NUMBERS = {
    SGD: ("lr", "momentum", "dampening", "weight_decay"),
    Adam: ("lr", "eps", "weight_decay"),
    AdamW: ("lr", "eps", "weight_decay"),
    RMSprop: ("lr", "alpha", "eps", "momentum", "weight_decay"),
    Adagrad: ("lr", "lr_decay", "eps", "weight_decay", "initial_accumulator_value"),
}
NAN = float("nan")
BAD = [
    None,
    "fast",
    NAN,
    float("inf"),
    True,
    1j,
    [0.1, 0.2],
    (0.9, 0.9),
    {},
    np.ones(2),
    np.float64(NAN),
    10**400,
]


def ways_to_set(kind: Any, name: str, value: Any) -> list[Any]:
    """Return every way to give an option: to all groups, to one, by assignment, by a saved state."""
    optimizer = kind(one())
    (group,), state = optimizer.groups, optimizer.state_dict()
    state["groups"][0]["options"][name] = value
    return [
        lambda: kind(one(), **{name: value}),
        lambda: kind([{"params": one(), name: value}]),
        lambda: group.options.__setitem__(name, value),
        lambda: group.options.update({name: value}),
        lambda: optimizer.load_state_dict(state),
    ]


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in NUMBERS.items() for name in names]
)
def test_what_is_no_number_is_refused_when_it_is_given(kind: Any, name: str) -> None:
    for bad in (*BAD, *(() if name == "dampening" else (-1.0, np.float32(-1)))):
        for refuse in ways_to_set(kind, name, bad):
            with pytest.raises(OptionError, match=f"{kind.__name__}: expected {name} to be a finite number"):
                refuse()


@pytest.mark.parametrize(
    ("kind", "name", "bad"),
    [
        *(
            (kind, "betas", bad)
            for kind in (Adam, AdamW)
            for bad in ((0.9, NAN), 0.9, "ab", None, (0.9, [0.9]), (1, 0))
        ),
        *((SGD, "nesterov", bad) for bad in ("yes", 1, None, NAN, [True], np.ones(2, bool))),
        *((RMSprop, "centered", bad) for bad in ("yes", 1, None, NAN, [True], np.ones(2, bool))),
        *((SGD, "momentum_form", bad) for bad in ("heavy", 1, None, [], np.ones(2, bool))),
    ],
)
def test_other_options_are_refused_when_they_are_given(kind: Any, name: str, bad: Any) -> None:
    for refuse in ways_to_set(kind, name, bad):
        with pytest.raises(OptionError, match=rf"{kind.__name__}: expected {name}(\[\d\])? to be "):
            refuse()


def test_flags_and_numbers_of_numpy() -> None:
    optimizer = SGD(one(), lr=np.float32(0.5), momentum=np.float64(0.5), nesterov=np.bool_(True))
    assert {type(value) for value in optimizer.groups[0].options.values()} == {float, bool, str}


@pytest.mark.parametrize("bad", [-1.0, None, "fast", NAN, float("inf"), True])
def test_the_rate_is_the_option_times_the_schedules_factor(bad: Any) -> None:
    optimizer = SGD(one(), lr=0.5)
    with pytest.raises(OptionError, match=f"SGD: expected lr_factor {NOT_NEGATIVE} "):
        optimizer.lr_factor = bad
    with pytest.raises(StateError, match=r"expected groups\[0\].options\['lr'\] to be set"):
        optimizer.lr = 0.1
    assert optimizer.lr == 0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: SGD(p, momentum=-0.1), f"SGD: expected momentum {NOT_NEGATIVE} -0.1"),
        (lambda p: SGD(p, momentum=(0.9, 0.99)), rf"SGD: expected momentum {NOT_NEGATIVE} \(0.9"),
        (lambda p: SGD(p, weight_decay=-0.1), f"SGD: expected weight_decay {NOT_NEGATIVE} -0.1"),
        (lambda p: SGD(p, dampening=None), "SGD: expected dampening to be a finite number, got None"),
        (lambda p: SGD(p, nesterov="yes"), "SGD: expected nesterov to be True or False, got 'yes'"),
        (lambda p: SGD(p, nesterov=True), "SGD: expected a momentum above 0 and a dampening of 0 with nes"),
        (lambda p: SGD(p, momentum=0.9, dampening=0.1, nesterov=True), "got 0.9 and 0.1"),
        (lambda p: SGD(p, momentum_form="heavy"), "SGD: expected momentum_form to be one of heavy_ball, ema"),
        (lambda p: SGD(p, momentum=0.9, nesterov=True, momentum_form="ema"), "expected neither nesterov"),
        (lambda p: RMSprop(p, alpha=1.0), f"RMSprop: expected alpha {FRACTION} 1.0"),
        (lambda p: RMSprop(p, eps=-1e-8), f"RMSprop: expected eps {NOT_NEGATIVE} -1e-08"),
        (lambda p: Adagrad(p, lr_decay=-1), f"Adagrad: expected lr_decay {NOT_NEGATIVE} -1"),
        (lambda p: Adagrad(p, initial_accumulator_value=-1), "expected initial_accumulator_value to be"),
        (lambda p: Adam(p, betas=(0.9, 1.0)), rf"Adam: expected betas\[1\] {FRACTION} 1.0"),
        (lambda p: Adam(p, betas=0.9), "Adam: expected betas to be two numbers, got 0.9"),
        (lambda p: AdamW(p, betas=(0.9,)), r"AdamW: expected betas to be two numbers, got \(0.9,\)"),
        (lambda p: SGD([{"params": p, "momentun": 0.9}]), "expected the options.*mean 'momentum'"),
        (lambda p: SGD([{"lr": 1.0}]), "SGD: expected a group with 'params', got lr"),
        (lambda p: SGD([{"params": []}]), "SGD: expected a group of at least one parameter, got none"),
        (lambda p: SGD([{"params": p}, p[0]]), "SGD: expected groups only or parameters only"),
        (lambda p: SGD([*p, {"params": p}]), "SGD: expected parameters, got"),
        (lambda p: SGD([]), "SGD: expected at least one parameter, got none"),
        (lambda p: SGD([*p, *p]), r"SGD: expected each parameter once, got Parameter\(2,\) twice"),
        (lambda p: SGD([{"params": p}, {"params": p}]), "twice"),
        (lambda p: SGD(["weight"]), "SGD: expected parameters, got 'weight'"),
        (lambda p: SGD(p[0]), "SGD: expected model.parameters"),
        (lambda p: SGD(Linear(2, 2, backend="numpy")), "SGD: expected model.parameters"),
        (lambda p: SGD(None), "SGD: expected model.parameters.* got None"),
        (lambda p: SGD({"params": p}), "SGD: expected a list of groups, got one group"),
        (lambda p: SGD([{"params": None}]), "SGD: expected a group's 'params' to be parameters, got None"),
        (lambda p: clip_grad_norm(SGD(p), 0.0), "clip_grad_norm: expected max_norm to be a number, above 0"),
        (lambda p: clip_grad_norm(SGD(p), None), "clip_grad_norm: expected max_norm"),
        (lambda p: clip_grad_value(SGD(p), -1.0), "clip_grad_value: expected clip_value"),
    ],
)  # fmt: skip
def test_refused_options(make: Any, message: str) -> None:
    parameters = one()
    with pytest.raises(OptionError, match=message):
        make(parameters)


def test_a_refused_group_packs_nothing() -> None:
    parameters = one()
    first = SGD(parameters)
    for last in ({"params": one(), "lr": -1.0}, {"params": parameters}):
        with pytest.raises(OptionError):
            SGD([{"params": [*parameters, *one()]}, last])
    first.step()


def test_a_group_may_complete_the_other_options() -> None:
    optimizer = SGD([{"params": one(), "momentum": 0.9}], nesterov=True)
    assert optimizer.groups[0].options["momentum"] == 0.9


def test_an_optimizer_must_define_its_update() -> None:
    with pytest.raises(TypeError, match="Optimizer must define update_group"):
        Optimizer(one(), {"lr": 0.1}).step()


# -- changes ---------------------------------------------------------------------------------------


def test_options_change_between_steps() -> None:
    optimizer = Adam(one())
    options = optimizer.groups[0].options
    options["lr"] = np.float32(0.5)
    options.update({"betas": [0.5, 0.25]}, eps=1)
    assert dict(options) == {"lr": 0.5, "betas": (0.5, 0.25), "eps": 1.0, "weight_decay": 0.0}
    assert type(options["lr"]) is type(options["eps"]) is float
    assert repr(optimizer) == "Adam(lr=0.5, betas=(0.5, 0.25), eps=1.0, weight_decay=0.0)"
    for name in ("lr_decay", "learning_rate"):
        with pytest.raises(OptionError, match=f"Adam: expected the options lr, .*, got '{name}'"):
            options[name] = 0.1
    with pytest.raises(OptionError, match="Adam: the option 'lr' cannot be removed"):
        del options["lr"]


@pytest.mark.parametrize(
    ("kind", "options", "change"),
    [
        (SGD, {}, {"momentum": 0.5}),
        (SGD, {"momentum": 0.5}, {"momentum": 0.0}),
        (RMSprop, {}, {"momentum": 0.5}),
        (RMSprop, {}, {"centered": True}),
        (RMSprop, {"centered": True, "momentum": 0.5}, {"centered": False}),
        (Adagrad, {}, {"initial_accumulator_value": 1.0}),
    ],
)
@pytest.mark.parametrize("twin_of", [lambda o: o, copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_options_that_decide_the_cells_are_fixed(kind: Any, options: Any, change: Any, twin_of: Any) -> None:
    optimizer = twin_of(kind(one(), **options))
    (group,) = optimizer.groups
    before = dict(group.options)
    (name,) = change
    with pytest.raises(StateError, match=rf"{kind.__name__}: expected {name} to stay .*make a new optimizer"):
        group.options.update(change, lr=0.5)
    assert group.options == before
    group.options[name] = before[name]
    take_steps(optimizer)


def test_contradictions_are_refused_when_set() -> None:
    (group,) = SGD(one(), momentum=0.9).groups
    group.options["nesterov"] = True
    with pytest.raises(OptionError, match="SGD: expected a momentum above 0 and a dampening of 0"):
        group.options["dampening"] = 0.1
    group.options.update(nesterov=False, dampening=0.1)


# -- states ----------------------------------------------------------------------------------------


def test_loading_a_state_that_does_not_fit_changes_nothing() -> None:
    optimizer = Adam(Sequential(Linear(3, 3, backend="numpy"), Linear(3, 3, backend="numpy")).parameters())
    take_steps(optimizer)
    good = optimizer.state_dict()
    (group,) = good["groups"]
    cells, options = group["cells"], group["options"]

    def with_group(**changes: Any) -> dict[str, Any]:
        return {**good, "steps": 99, "groups": [{**group, **changes}]}

    short = {**cells, "first_moment": np.zeros(3)}
    cases: list[tuple[dict[str, Any], type[LaminaError], str]] = [
        ({**good, "groups": []}, StateError, "Adam: expected the state of 1 groups, got 0"),
        ({"groups": good["groups"]}, StateError, "Adam: the state lacks steps, lr_factor"),
        ({**good, "steps": -1}, OptionError, "Adam: expected steps to be an integer of at least 0, got -1"),
        ({**good, "lr_factor": np.nan}, OptionError, "Adam: expected lr_factor"),
        (with_group(cells={"first_moment": cells["first_moment"]}), StateError, "expected the cells"),
        (with_group(cells=short), ShapeError, r"expected first_moment of shape \(24,\), got \(3,\)"),
        (with_group(options={**options, "lr": -1.0}), OptionError, f"expected lr {NOT_NEGATIVE}"),
        (with_group(options={"lr": 1.0}), StateError, "expected the options"),
        (with_group(cells=None), StateError, "expected the cells"),
        (
            with_group(cells={**cells, "first_moment": "a"}),
            StateError,
            "expected first_moment to be an array",
        ),
        ({**good, "groups": [None]}, StateError, "expected the options"),
        ({**good, "groups": None}, StateError, "expected the state of 1 groups, got 0"),
        ([], StateError, "expected a state_dict, got list"),  # type: ignore[list-item]
    ]
    for state, kind, message in cases:
        with pytest.raises(kind, match=message):
            optimizer.load_state_dict(state)
        now = optimizer.state_dict()
        assert (now["steps"], now["lr_factor"]) == (1, 1.0)
        assert now["groups"][0]["options"] == options
        assert all(now["groups"][0]["cells"][k].tobytes() == cells[k].tobytes() for k in cells)


@pytest.mark.parametrize(
    ("kind", "options", "cell"),
    [
        (SGD, {"momentum": 0.5}, "momentum"),
        (RMSprop, {"momentum": 0.5}, "momentum"),
        (RMSprop, {"centered": True}, "average"),
    ],
)
def test_a_state_with_options_that_need_other_cells_is_refused(kind: Any, options: Any, cell: str) -> None:
    optimizer = kind(one())
    state = optimizer.state_dict()
    state["groups"][0]["options"].update(options)
    with pytest.raises(StateError, match=rf"{kind.__name__}: .*got options that need .*'{cell}'"):
        optimizer.load_state_dict(state)
    take_steps(optimizer)


def test_a_state_from_another_initial_sum_is_loaded() -> None:
    first, second = Adagrad(one(), initial_accumulator_value=0.5), Adagrad(one())
    take_steps(first)
    second.load_state_dict(first.state_dict())
    assert second.groups[0].options == first.groups[0].options
    assert second.state_dict()["groups"][0]["cells"]["sum"].tolist() == [1.5, 1.5]
