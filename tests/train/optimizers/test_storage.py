"""Flat storage, the check of an optimizer's parameters, and the ops of a step."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend, StateError, get_backend
from lamina.backends.ops import OPS
from lamina.backends.wrapper import Wrapper
from lamina.layers import Linear, MSELoss, ReLU, Sequential
from lamina.train import Trainer
from lamina.train.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop, clip_grad_norm, clip_grad_value


def stack(b: Backend, depth: int = 2) -> Sequential:
    layers = [Linear(3, 3, backend=b) for _ in range(depth)]
    return Sequential(*layers)


def fill(model: Any, value: float = 1.0) -> None:
    for parameter in model.parameters():
        parameter.accumulate(parameter.backend.full(parameter.shape, value))


# -- one buffer -----------------------------------------------------------------------------------


def test_parameters_are_views_of_one_buffer(backend: Backend) -> None:
    b = backend
    model = stack(b)
    before = model.state_dict()
    optimizer = SGD(model.parameters(), lr=0.5)
    (group,) = optimizer.groups
    assert b.shape(group.data) == b.shape(group.grad) == (24,)
    assert all(before[k].tobytes() == v.tobytes() for k, v in model.state_dict().items())
    flat = np.concatenate([v.ravel() for v in before.values()])
    assert np.array_equal(b.to_host(group.data), flat)
    b.assign(group.data, b.full((24,), 7.0))
    assert all((v == 7.0).all() for v in model.state_dict().values())
    fill(model)
    assert (b.to_host(group.grad) == 1.0).all()
    optimizer.step()
    assert (b.to_host(group.data) == 6.5).all()
    assert all((v == 6.5).all() for v in model.state_dict().values())
    model.load_state_dict(before)
    assert np.array_equal(b.to_host(group.data), flat)


def test_gradients_from_before_the_optimizer_are_kept(backend: Backend) -> None:
    b = backend
    model = stack(b)
    fill(model, 2.0)
    before = model.state_dict()
    SGD(model.parameters(), lr=1.0).step()
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(before[name] - value, 2.0, atol=1e-6)


def test_a_parameter_without_a_gradient_has_a_gradient_of_zero(backend: Backend) -> None:
    b = backend
    model = stack(b)
    optimizer = SGD(model.parameters(), lr=1.0, momentum=0.5)
    fill(model)
    optimizer.step()
    optimizer.zero_grad()
    model[0].weight.accumulate(b.full((3, 3), 1.0))
    before = model.state_dict()
    optimizer.step()
    moved = {name: before[name] - value for name, value in model.state_dict().items()}
    np.testing.assert_allclose(moved["0.weight"], 1.5, atol=1e-6)
    np.testing.assert_allclose(moved["1.weight"], 0.5, atol=1e-6)  # from momentum alone


def test_a_second_optimizer_shares_the_storage(backend: Backend) -> None:
    b = backend
    model = stack(b)
    first, second = SGD(model.parameters(), lr=1.0), SGD(model.parameters(), lr=10.0)
    assert first.groups[0].storage is second.groups[0].storage
    b.assign(first.groups[0].data, b.full((24,), 100.0))
    fill(model)
    first.step()
    second.step()
    assert all((v == 89.0).all() for v in model.state_dict().values())


def test_another_packing_retires_the_older_optimizer(backend: Backend) -> None:
    b = backend
    model = stack(b)
    old = SGD(model.parameters(), lr=1.0)
    new = SGD(list(reversed(model.parameters())), lr=1.0)
    fill(model)
    before = model.state_dict()
    for call in (old.step, lambda: clip_grad_norm(old, 1.0), lambda: clip_grad_value(old, 1.0)):
        with pytest.raises(StateError, match=r"out of date.*packed again by a later optimizer"):
            call()
    assert all(before[k].tobytes() == v.tobytes() for k, v in model.state_dict().items())
    new.step()
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(before[name] - value, 1.0, atol=1e-6)


def test_packing_a_part_retires_the_whole() -> None:
    model = stack(get_backend("numpy"))
    old = SGD(model.parameters())
    SGD(model[0].parameters())
    with pytest.raises(StateError, match=r"SGD is out of date.*\(0\.weight, 0\.bias\); make a new optimizer"):
        old.step()
    SGD(model.parameters()).step()


def test_moving_the_model_retires_the_optimizer() -> None:
    model = stack(get_backend("numpy"))
    optimizer = SGD(model.parameters())
    model.to("strict+numpy")
    with pytest.raises(
        StateError, match=r"the parameters were moved to another backend \(0\.weight, 0\.bias, "
    ):
        optimizer.step()


def test_a_copy_of_the_model_is_in_no_optimizer(backend: Backend) -> None:
    model = stack(backend)
    optimizer = SGD(model.parameters(), lr=1.0)
    twin = copy.deepcopy(model)
    before = twin.state_dict()
    fill(model)
    optimizer.step()
    assert all(before[k].tobytes() == v.tobytes() for k, v in twin.state_dict().items())
    assert all(p.storage is None for p in twin.parameters())


# -- parameters that appear later -----------------------------------------------------------------


def append(model: Sequential, late: Linear) -> None:
    model.append(late)


def replace_bias(model: Sequential, late: Linear) -> None:
    model[1].bias = late.bias


def set_parameter(model: Sequential, late: Linear) -> None:
    model.append(ReLU(backend=model.backend))
    model[0].extra = late.bias


def set_layer(model: Sequential, late: Linear) -> None:
    model.extra = late


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize(
    ("change", "names"),
    [
        (append, "2.weight, 2.bias"),
        (replace_bias, "1.bias"),
        (set_parameter, "0.extra"),
        (set_layer, "extra.weight, extra.bias"),
    ],
)
def test_parameters_that_appear_later_are_named(change: Any, names: str, grouped: bool) -> None:
    b = get_backend("numpy")
    model, late = stack(b), Linear(3, 3, backend=b)
    parameters = model.parameters()
    optimizer = SGD([{"params": parameters}] if grouped else parameters)
    change(model, late)
    before = model.state_dict()
    message = f"SGD: the parameters {re.escape(names)} appeared after"
    for call in (optimizer.step, lambda: clip_grad_norm(optimizer, 1.0), optimizer.check_parameters):
        with pytest.raises(StateError, match=message):
            call()
    assert optimizer.steps == 0
    assert all(before[k].tobytes() == v.tobytes() for k, v in model.state_dict().items())
    SGD(model.parameters()).step()


def test_steps_after_the_first_check_nothing_but_a_fit_does() -> None:
    b = get_backend("numpy")
    model = stack(b)
    optimizer = SGD(model.parameters())
    optimizer.step()
    model.append(Linear(3, 1, backend=b))
    for _ in range(8):
        optimizer.step()
    trainer = Trainer(model, MSELoss(backend=b), optimizer)
    with pytest.raises(StateError, match=r"2\.weight, 2\.bias appeared"):
        trainer.fit((np.zeros((2, 3)), np.zeros((2, 1))))


def test_other_models_and_frozen_parameters_are_ignored() -> None:
    b = get_backend("numpy")
    model = stack(b)
    head = SGD(model[0].parameters())
    parameters = model[1].parameters()
    del parameters[0]
    rest = SGD(parameters)
    model.append(Linear(3, 1, backend=b))
    stack(b)
    head.step()
    rest.step()


# -- a step is a handful of ops -------------------------------------------------------------------


class Counting(Wrapper):
    name = "counting"

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.calls: list[str] = []

    def around(self, op: Any, args: Any, kwargs: Any) -> Any:
        self.calls.append(op.name)
        return super().around(op, args, kwargs)


MAKERS = {
    "SGD": lambda p: SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
    "RMSprop": lambda p: RMSprop(p, momentum=0.9, centered=True, weight_decay=0.1),
    "Adagrad": lambda p: Adagrad(p, lr_decay=0.1),
    "Adam": lambda p: Adam(p, weight_decay=0.1),
    "AdamW": lambda p: AdamW(p),
}


@pytest.mark.parametrize("name", MAKERS)
def test_the_number_of_ops_does_not_depend_on_the_number_of_layers(name: str, backend: Backend) -> None:
    counts = []
    for depth in (1, 7):
        b = Counting(backend)
        model = stack(b, depth)
        optimizer = MAKERS[name](model.parameters())
        fill(model)
        scalars = optimizer.scalars(1)
        b.calls.clear()
        optimizer.update(scalars)
        counts.append(list(b.calls))
        assert set(b.calls) <= set(OPS)
        assert not {"to_host", "from_host", "item"} & set(b.calls)
        optimizer.zero_grad()
        fill(model)
        b.calls.clear()
        optimizer.step()
        # The checks in a step run no op.
        assert b.calls == counts[-1]
    assert counts[0] == counts[1]
    assert len(counts[0]) <= 20
