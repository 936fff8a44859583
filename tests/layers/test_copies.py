"""Copies and pickles: what comes back trains, alone or with its optimizer, or says why it cannot."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend, StateError, get_backend
from lamina.layers import Linear, MSELoss, Sequential, Tanh
from lamina.train.optimizers import SGD, Adam, Optimizer, RMSprop, clip_grad_norm, clip_grad_value

Pair = tuple[Sequential, Optimizer]
X = np.random.default_rng(0).standard_normal((16, 3))


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


copied = pytest.mark.parametrize("twin_of", [copy.deepcopy, pickled], ids=["deepcopy", "pickle"])


def stack(b: Backend) -> Sequential:
    return Sequential(Linear(3, 4, backend=b), Tanh(backend=b), Linear(4, 2, backend=b))


def train(model: Sequential, optimizer: Optimizer, steps: int = 3) -> None:
    b = model.backend
    loss = MSELoss(backend=b)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model(b.from_host(X)), b.from_host(X[:, :2]))
        model.backward(loss.backward())
        optimizer.step()


def output(model: Sequential) -> bytes:
    return bytes(model.backend.to_host(model(model.backend.from_host(X))).tobytes())


def bits(model: Sequential) -> list[bytes]:
    return [value.tobytes() for value in model.state_dict().values()]


@copied
@pytest.mark.parametrize("packed", [False, True])
def test_a_model_alone(backend: Backend, packed: bool, twin_of: Callable[[Any], Any]) -> None:
    model = stack(backend)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.5)
    if packed:
        train(model, optimizer)
    before = bits(model)
    twin = twin_of(model)
    assert bits(twin) == before
    assert output(twin) == output(model)
    assert twin.backend.spec == backend.spec
    assert all(p.backend is twin.backend and p.grad is None for p in twin.parameters())
    train(twin, SGD(twin.parameters(), lr=0.1))
    assert all(one != two for one, two in zip(bits(twin), before, strict=True))
    assert output(twin) != output(model)
    assert bits(model) == before
    twin.load_state_dict(model.state_dict())
    assert output(twin) == output(model)
    train(model, optimizer)
    assert bits(model) != before


def test_the_dtype_survives(backend64: Backend) -> None:
    model = pickled(stack(backend64))
    assert {value.dtype.name for value in model.state_dict().values()} == {"float64"}
    train(model, SGD(model.parameters()))


@copied
def test_what_is_shared_stays_shared(backend: Backend, twin_of: Callable[[Any], Any]) -> None:
    model = Sequential(Linear(3, 3, backend=backend), Linear(3, 3, backend=backend))
    model[1].weight = model[0].weight
    twin = twin_of(model)
    assert twin[1].weight is twin[0].weight
    assert len(twin.parameters()) == 3


MAKERS: dict[str, Callable[[Any], Optimizer]] = {
    "SGD": lambda p: SGD(p, lr=0.1, momentum=0.9),
    "Adam": lambda p: Adam(p, lr=0.1),
    "RMSprop": lambda p: RMSprop(p, centered=True, momentum=0.5),
    "groups": lambda p: SGD([{"params": p[:2], "lr": 0.01}, {"params": p[2:]}], lr=0.1, momentum=0.9),
}


@copied
@pytest.mark.parametrize("first", ["model", "optimizer"])
@pytest.mark.parametrize("name", MAKERS)
def test_a_model_and_its_optimizer(
    name: str, first: str, backend: Backend, twin_of: Callable[[Any], Any]
) -> None:
    model = stack(backend)
    optimizer = MAKERS[name](model.parameters())
    train(model, optimizer)
    if first == "model":
        model2, optimizer2 = twin_of((model, optimizer))
    else:
        optimizer2, model2 = twin_of((optimizer, model))
    before = bits(model)
    train(model2, optimizer2)
    assert bits(model) == before
    train(model, optimizer)
    assert bits(model) == bits(model2)
    assert optimizer.steps == optimizer2.steps == 6
    assert output(model) == output(model2)
    assert optimizer2.groups[0].storage is not optimizer.groups[0].storage
    model2.append(Linear(2, 1, backend=model2.backend))
    if name != "groups":
        with pytest.raises(StateError, match="appeared after"):
            optimizer2.check_parameters()


@copied
def test_two_optimizers_of_one_model(backend: Backend, twin_of: Callable[[Any], Any]) -> None:
    model = stack(backend)
    optimizers = SGD(model.parameters(), lr=0.1), Adam(model.parameters())
    model2, one, two = twin_of((model, *optimizers))
    assert one.groups[0].storage is two.groups[0].storage
    for optimizer in (one, two):
        before = bits(model2)
        train(model2, optimizer)
        assert bits(model2) != before


@copied
def test_an_optimizer_alone_says_that_it_trains_nothing(
    backend: Backend, twin_of: Callable[[Any], Any]
) -> None:
    model = stack(backend)
    optimizer = Adam(model.parameters())
    train(model, optimizer)
    twin = twin_of(optimizer)
    for call in (twin.step, lambda: clip_grad_norm(twin, 1.0), lambda: clip_grad_value(twin, 1.0)):
        with pytest.raises(
            StateError, match="Adam: this is a copy, and none of its parameters has a gradient"
        ):
            call()
    other = Adam(model.parameters())
    other.load_state_dict(twin.state_dict())
    assert other.steps == 3
    train(model, other)


@copied
def test_an_optimizer_that_is_out_of_date_is_not_copied(twin_of: Callable[[Any], Any]) -> None:
    model = stack(get_backend("numpy"))
    old = SGD(model.parameters())
    new = SGD(list(reversed(model.parameters())))
    with pytest.raises(StateError, match="out of date"):
        twin_of((model, old))
    before = bits(model)
    train(model, new)
    assert bits(model) != before
