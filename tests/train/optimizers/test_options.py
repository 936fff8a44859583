"""Options of optimizers: values of numpy, changes between steps, and saved states."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from lamina.backends import StateError, get_backend
from lamina.layers.initializers import Constant
from lamina.layers.parameter import Parameter
from lamina.train.optimizers import (
    SGD,
    Adagrad,
    Adam,
    Optimizer,
)


def one() -> list[Parameter]:
    return [Parameter((2,), Constant(0.0), get_backend("numpy"))]


def take_steps(optimizer: Optimizer, count: int = 1) -> None:
    for group in optimizer.groups:
        for parameter in group.parameters:
            parameter.accumulate(parameter.backend.full(parameter.shape, 1.0))
    for _ in range(count):
        optimizer.step()


def test_flags_and_numbers_of_numpy() -> None:
    optimizer = SGD(one(), lr=np.float32(0.5), momentum=np.float64(0.5), nesterov=np.bool_(True))
    assert {type(value) for value in optimizer.groups[0].options.values()} == {float, bool, str}


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


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_options_that_decide_the_cells_are_fixed_in_a_copy(twin_of: Any) -> None:
    optimizer = twin_of(SGD(one(), momentum=0.5))
    (group,) = optimizer.groups
    before = dict(group.options)
    with pytest.raises(StateError, match=r"SGD: expected momentum to stay .*make a new optimizer"):
        group.options.update(momentum=0.0, lr=0.5)
    assert group.options == before
    group.options["momentum"] = 0.5
    take_steps(optimizer)


def test_a_combination_changes_in_one_call() -> None:
    (group,) = SGD(one(), momentum=0.9, nesterov=True).groups
    group.options.update(nesterov=False, dampening=0.1)
    assert group.options["dampening"] == 0.1


# -- states ----------------------------------------------------------------------------------------


def test_a_state_from_another_initial_sum_is_loaded() -> None:
    first, second = Adagrad(one(), initial_accumulator_value=0.5), Adagrad(one())
    take_steps(first)
    second.load_state_dict(first.state_dict())
    assert second.groups[0].options == first.groups[0].options
    assert second.state_dict()["groups"][0]["cells"]["sum"].tolist() == [1.5, 1.5]
