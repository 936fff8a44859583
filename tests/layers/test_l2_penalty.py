"""The L2 penalty: torch's value and gradients, weight decay under SGD, and what a Trainer does with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend
from lamina.layers import Linear, MSELoss, ReLU, Sequential, manual_seed
from lamina.layers.losses import L2Penalty
from lamina.train import Trainer
from lamina.train.optimizers import SGD

Host = np.ndarray[Any, Any]


def model(b: Backend) -> Sequential:
    manual_seed(2)
    return Sequential(Linear(3, 5, backend=b), ReLU(backend=b), Linear(5, 2, backend=b))


def batch(seed: int = 0) -> tuple[Host, Host]:
    source = np.random.default_rng(seed)
    return source.standard_normal((6, 3)), source.standard_normal((6, 2))


def test_value_and_gradients_are_torchs(backend64: Backend) -> None:
    torch = pytest.importorskip("torch", reason="the oracle is torch.autograd")
    b, net, coefficient = backend64, model(backend64), 0.3
    x, t = batch()
    twin = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2)).double()
    twin.load_state_dict({name: torch.tensor(value) for name, value in net.state_dict().items()})
    theirs = coefficient / 2 * sum((w**2).sum() for w in twin.parameters())
    (torch.nn.functional.mse_loss(twin(torch.tensor(x)), torch.tensor(t)) + theirs).backward()

    criterion, penalty = MSELoss(backend=b), L2Penalty(net.parameters(), coefficient)
    criterion(net(b.from_host(x)), b.from_host(t))
    net.backward(criterion.backward())
    penalty.backward()
    np.testing.assert_allclose(b.item(penalty()), theirs.item(), rtol=1e-9)
    for (name, p), other in zip(net.named_parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(b.to_host(p.grad), other.grad.numpy(), rtol=1e-9, err_msg=name)


def steps(net: Sequential, optimizer: SGD, penalty: L2Penalty | None, number: int = 8) -> dict[str, Host]:
    b = net.backend
    criterion = MSELoss(backend=b)
    for i in range(number):
        x, t = batch(i)
        optimizer.zero_grad()
        criterion(net(b.from_host(x)), b.from_host(t))
        net.backward(criterion.backward())
        if penalty is not None:
            penalty.backward()
        optimizer.step()
    return net.state_dict()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_under_sgd_it_is_weight_decay(momentum: float, backend64: Backend) -> None:
    one, two, bare = (model(backend64) for _ in range(3))
    optimizer = SGD(one.parameters(), lr=0.1, momentum=momentum)
    penalised = steps(one, optimizer, L2Penalty(one.parameters(), 0.05))
    decayed = steps(two, SGD(two.parameters(), lr=0.1, momentum=momentum, weight_decay=0.05), None)
    without = steps(bare, SGD(bare.parameters(), lr=0.1, momentum=momentum), None)
    for name, value in decayed.items():
        np.testing.assert_allclose(penalised[name], value, rtol=1e-9, atol=1e-12, err_msg=name)
        assert not np.allclose(without[name], value, rtol=1e-3)


def test_a_coefficient_of_0_penalises_nothing(backend: Backend) -> None:
    """Not even weights whose squares are infinite."""
    layer = Linear(2, 1, backend=backend)
    layer.load_state_dict({"weight": np.array([[1e30, 1.0]]), "bias": np.zeros(1)})
    penalty = L2Penalty(layer.parameters(), 0.0)
    assert backend.item(penalty()) == 0.0
    layer.zero_grad()
    penalty.backward()
    assert layer.weight.grad is None


def test_weights_alone_can_be_penalised(backend64: Backend) -> None:
    b, net = backend64, model(backend64)
    penalty = L2Penalty([p for name, p in net.named_parameters() if name.endswith("weight")], 2.0)
    net.zero_grad()
    penalty.backward()
    for name, p in net.named_parameters():
        if name.endswith("weight"):
            np.testing.assert_allclose(b.to_host(p.grad), 2.0 * net.state_dict()[name], rtol=1e-12)
        else:
            assert p.grad is None
    weights = [value for name, value in net.state_dict().items() if name.endswith("weight")]
    np.testing.assert_allclose(b.item(penalty()), sum((w**2).sum() for w in weights), rtol=1e-12)


def test_a_trainer_adds_it_at_each_step(backend64: Backend) -> None:
    data = batch()
    one, two = model(backend64), model(backend64)
    criterion = MSELoss(backend=backend64)
    penalty = L2Penalty(one.parameters(), 0.05)
    trainer = Trainer(one, criterion, SGD(one.parameters(), lr=0.1), penalty=penalty)
    history = trainer.fit(data, epochs=3, batch_size=4)
    decayed = Trainer(two, MSELoss(backend=backend64), SGD(two.parameters(), lr=0.1, weight_decay=0.05)).fit(
        data, epochs=3, batch_size=4
    )
    for name, value in two.state_dict().items():
        np.testing.assert_allclose(one.state_dict()[name], value, rtol=1e-9, atol=1e-12, err_msg=name)
    # The loss that is shown is without the penalty.
    np.testing.assert_allclose(history.column("train_loss"), decayed.column("train_loss"), rtol=1e-9)
