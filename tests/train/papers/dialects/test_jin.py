"""Jin's API computes the same as Lamina's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lamina import manual_seed
from lamina.backends import Backend, LaminaError, OptionError, ShapeError, StateError
from lamina.layers import (
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    L2Penalty,
    Linear,
    MSELoss,
    ReLU,
    Sigmoid,
    Tanh,
)
from lamina.layers import Sequential as RealSequential
from lamina.train import SGD, Trainer
from lamina.train.data import cubes
from lamina.train.papers.dialects.jin import Module, NeuralNet

NORM: Any = {"momentum": 0.8, "momentum_of": "old", "biased_running_variance": True}


def dense(b: Backend, **options: Any) -> tuple[NeuralNet, RealSequential]:
    manual_seed(3)
    net = NeuralNet(backend=b, **options)
    net.append(Module((2, 10), batch_norm=True, activation="relu", rho=0.8, backend=b))
    net.append(Module((10, 5), activation="tanh", backend=b))
    net.append(Module((5, 1), activation="sigmoid", backend=b))
    manual_seed(3)
    layers = (
        Linear(2, 10, backend=b),
        BatchNorm1d(10, **NORM, backend=b),
        ReLU(b),
        Linear(10, 5, backend=b),
        Tanh(b),
        Linear(5, 1, backend=b),
        Sigmoid(b),
    )
    return net, RealSequential(*layers)


@pytest.mark.parametrize("naive", [False, True])
def test_steps_of_convolutions_equal_laminas(naive: bool, backend64: Backend, same_weights: Any) -> None:
    b = backend64
    manual_seed(3)
    net = Module(backend=b)
    options: Any = {"batch_norm": True, "activation": "relu", "padding": 1, "rho": 0.8, "naive": naive}
    net.append(Module((5, 3, 3, 3), **options, backend=b))
    net.append(Module((1, 5, 3, 3), **options, backend=b))
    net.append(Module((16, 10), activation="relu", backend=b))
    net.append(Module((10, 1), backend=b))
    manual_seed(3)
    real = RealSequential(
        Conv2d(3, 5, 3, padding=1, backend=b),
        BatchNorm2d(5, **NORM, backend=b),
        ReLU(b),
        Conv2d(5, 1, 3, padding=1, backend=b),
        BatchNorm2d(1, **NORM, backend=b),
        ReLU(b),
        Flatten(backend=b),
        Linear(16, 10, backend=b),
        ReLU(b),
        Linear(10, 1, backend=b),
    )
    data = cubes(6, seed=1)
    loss, sgd = MSELoss(backend=b), SGD(real.parameters(), 0.05)
    penalty = L2Penalty(real.parameters(), 0.1)
    x, y = b.from_host(data.inputs), b.from_host(data.targets.reshape(-1, 1).astype(float))
    for _ in range(3):
        shown = net.loss(net.forward(data.inputs), data.targets)
        to_input = net.backward()
        net.update_params(0.05, 0.1)

        sgd.zero_grad()
        right = loss(real(x), y)
        to_x = real.backward(loss.backward())
        penalty.backward()
        sgd.step()
        assert b.item(shown) == pytest.approx(b.item(right), rel=1e-12)
        np.testing.assert_allclose(b.to_host(to_input), b.to_host(to_x), rtol=1e-10, atol=1e-13)
    same_weights(net.net, real)


def test_train_equals_the_trainer(backend64: Backend, points: Any, held_out: Any, same_weights: Any) -> None:
    b = backend64
    net, real = dense(b, lr=0.05, reg=0.01, epochs=3, batch_size=16, seed=4)
    same_weights(net.net, real)
    history = net.train(points.x, points.labels, held_out.x, held_out.labels)
    penalty = L2Penalty(real.parameters(), 0.01)
    sgd = SGD(real.parameters(), 0.05)
    trainer = Trainer(real, MSELoss(backend=b), sgd, penalty=penalty, seed=4)
    trainer.fit((points.x, points.column), (held_out.x, held_out.column), epochs=3, batch_size=16)
    same_weights(net.net, real)
    np.testing.assert_allclose(
        history.column("validation_loss"), trainer.history.column("validation_loss"), rtol=1e-11
    )
    outputs = trainer.predict(held_out.x)
    np.testing.assert_allclose(net.predict(held_out.x), outputs, rtol=1e-12)
    right = (outputs[:, 0] > 0.5) == held_out.labels
    assert net.accuracy(held_out.x, held_out.labels) == pytest.approx(right.mean())


def test_running_statistics_keep_rho_of_the_old(backend64: Backend, points: Any) -> None:
    b = backend64
    module = Module((2, 3), batch_norm=True, rho=0.75, backend=b)
    module.forward(points.x)
    y = points.x @ b.to_host(module.W) + b.to_host(module.b)
    state = module.net.state_dict()
    np.testing.assert_allclose(state["1.running_mean"], 0.25 * y.mean(0), rtol=1e-12)
    np.testing.assert_allclose(state["1.running_var"], 0.75 + 0.25 * y.var(0), rtol=1e-12)
    normal = (y - state["1.running_mean"]) / np.sqrt(state["1.running_var"] + 1e-5)
    np.testing.assert_allclose(b.to_host(module.forward(points.x, test=True)), normal, rtol=1e-11)


def test_weights_are_in_by_out(backend64: Backend) -> None:
    b = backend64
    flat, images = Module((2, 3), backend=b), Module((5, 3, 2, 4), backend=b)
    assert (b.shape(flat.W), b.shape(flat.b)) == ((2, 3), (3,))
    assert (b.shape(images.W), b.shape(images.b)) == ((5, 3, 2, 4), (5,))
    assert (repr(flat), repr(images)) == ("Module(2 x 3)", "Module(5 x 3 x 2 x 4)")


def test_a_sequence_in_a_sequence_and_a_layer_after_training(backend64: Backend, points: Any) -> None:
    b = backend64
    inner = Module(backend=b)
    inner.append(Module((2, 4), activation="relu", backend=b))
    net = NeuralNet(epochs=1, backend=b)
    net.append(inner)
    net.train(points.x, points.x[:, :1] @ np.ones((1, 4)))
    net.append(Module((4, 1), backend=b))  # needs a new optimizer
    net.train(points.x, points.column)
    assert net.predict(points.x).shape == (40, 1)


def test_errors(backend64: Backend, points: Any) -> None:
    b = backend64
    net, _ = dense(b)
    with pytest.raises(ShapeError, match=r"append: Module\(3 x 1\) does not fit after Module\(5 x 1\): "):
        net.append(Module((3, 1), backend=b))
    with pytest.raises(OptionError, match=r"expected a Module.* got Linear\(1 -> 2\) for NeuralNet\(\)"):
        net.append(Linear(1, 2, backend=b))  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"expected a Module.* got Module\(2 x 3\) for Module\(1 x 2\)"):
        Module((1, 2), backend=b).append(Module((2, 3), backend=b))
    with pytest.raises(StateError, match="backward needs"):
        net.backward()
    with pytest.raises(
        ShapeError, match=r"Linear\(2 -> 10\): expected input \(N, \.\.\., 2\), got \(40, 1\)"
    ):
        net.forward(points.column)
    with pytest.raises(OptionError, match=r"expected shape \(in, out\) or"):
        Module((1, 2, 3), backend=b)
    with pytest.raises(OptionError, match="need the shape"):
        Module(activation="relu", backend=b)
    with pytest.raises(
        OptionError, match=r"activation: expected one of relu, sigmoid, tanh, got 'rleu'.*relu"
    ):
        Module((1, 2), activation="rleu", backend=b)
    with pytest.raises(OptionError, match=r"NeuralNet\(\) is a sequence without weights"):
        _ = net.W
    with pytest.raises(LaminaError, match="expected lr to be a finite number, at least 0"):
        Module((1, 2), backend=b).update_params(-1.0)
    with pytest.raises(StateError, match=r"update_params: there is no gradient; call backward\(\) first"):
        Module((1, 2), backend=b).update_params(0.1)
