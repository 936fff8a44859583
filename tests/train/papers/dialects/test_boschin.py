"""Boschin's API computes the same as Lamina's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lamina import manual_seed
from lamina.backends import Backend, LaminaError, OptionError, ShapeError, StateError
from lamina.layers import Linear as RealLinear
from lamina.layers import Module, MSELoss, Uniform
from lamina.layers import ReLU as RealReLU
from lamina.layers import Sequential as RealSequential
from lamina.layers import Tanh as RealTanh
from lamina.train import SGD, ExponentialLR, Trainer
from lamina.train.papers.dialects.boschin import MSE, Linear, ReLU, Sequential, Tanh


def network(b: Backend) -> Sequential:
    manual_seed(3)
    model = Sequential(backend=b)
    for layer in (
        Linear(2, 6, backend=b),
        ReLU(b),
        Linear(6, 6, backend=b),
        Tanh(b),
        Linear(6, 2, backend=b),
    ):
        model.add_layer(layer)
    return model


def real(b: Backend) -> RealSequential:
    manual_seed(3)

    def linear(inputs: int, outputs: int) -> Module:
        one = Uniform(-1.0, 1.0)
        return RealLinear(inputs, outputs, weight_init=one, bias_init=one, backend=b)

    return RealSequential(linear(2, 6), RealReLU(b), linear(6, 6), RealTanh(b), linear(6, 2))


@pytest.mark.parametrize(("batch_size", "momentum"), [(None, None), (None, 0.5), (16, None), (16, 0.9)])
def test_fit_is_the_trainer(
    batch_size: Any, momentum: Any, backend64: Backend, points: Any, held_out: Any, same_weights: Any
) -> None:
    b = backend64
    model, other = network(b), real(b)
    same_weights(model, other)
    history = model.fit(
        points.x,
        points.y,
        held_out.x,
        held_out.y,
        epochs=3,
        step_size=0.02,
        batch_size=batch_size,
        momentum=momentum,
    )
    trainer = Trainer(
        other,
        MSELoss("batchmean", backend=b),
        SGD(other.parameters(), 0.02, momentum=momentum or 0.0, momentum_form="ema"),
        schedule=ExponentialLR(0.9),
    )
    trainer.fit((points.x, points.y), (held_out.x, held_out.y), epochs=3, batch_size=batch_size or 1)
    same_weights(model, other)
    np.testing.assert_allclose(history.column("learning_rate"), [0.02, 0.018, 0.0162])
    np.testing.assert_allclose(history.column("train_loss"), trainer.history.column("train_loss"), rtol=1e-12)
    np.testing.assert_allclose(
        history.column("validation_loss"), trainer.history.column("validation_loss"), rtol=1e-12
    )
    outputs, loss, accuracy = model.predict(held_out.x, held_out.y)
    assert outputs.shape == (30, 2)
    np.testing.assert_array_equal(outputs, model.predict(held_out.x))
    assert loss == pytest.approx(history.column("validation_loss")[-1], rel=1e-12)
    assert accuracy == pytest.approx(history.column("validation_accuracy")[-1])


def test_single_methods_equal_fit_with_one_batch(backend64: Backend, points: Any, same_weights: Any) -> None:
    b = backend64
    model, other = network(b), network(b)
    model.fit(points.x, points.y, epochs=3, step_size=0.02, batch_size=len(points.x))
    for epoch in range(3):
        predictions = other.forward(points.x)
        other.backward(MSE.compute_grad(predictions, points.y, backend=b))
        other.gradient_step(0.02 * 0.9**epoch)
    same_weights(model, other)


def test_the_loss_sums_over_outputs(backend64: Backend) -> None:
    b, p, t = backend64, np.array([[1.0, 2.0], [0.0, 1.0]]), np.zeros((2, 2))
    assert b.item(MSE.compute_loss(p, t, backend=b)) == pytest.approx((1 + 4 + 0 + 1) / 2)
    np.testing.assert_allclose(b.to_host(MSE.compute_grad(p, t, backend=b)), p)


def test_initial_weights_are_within_one(backend64: Backend) -> None:
    layer = Linear(50, 40, backend=backend64)
    weight, bias = layer.state_dict().values()
    assert -1 <= weight.min() < -0.99 < 0.99 < weight.max() < 1
    assert 0.8 < np.abs(bias).max() <= 1


def test_summaries_are_printed(capsys: pytest.CaptureFixture[str], backend64: Backend) -> None:
    network(backend64).summary()
    ReLU(backend64).summary()
    printed = capsys.readouterr().out
    assert "Linear(2 -> 6)" in printed
    assert "74" in printed  # parameters: 18 + 42 + 14
    assert printed.count("ReLU()") == 2


def test_targets_without_classes_have_no_accuracy(backend64: Backend, points: Any) -> None:
    history = network(backend64).fit(points.x, points.x, epochs=1, step_size=0.01)
    assert "train_loss" in history.names
    assert "train_accuracy" not in history.names


def test_errors(backend64: Backend, points: Any) -> None:
    b = backend64
    model = Sequential(backend=b)
    model.add_layer(Linear(2, 25, backend=b))
    with pytest.raises(ShapeError, match=r"after Linear\(2 -> 25\): Linear\(20 -> 2\): expected .*, 20"):
        model.add_layer(Linear(20, 2, backend=b))
    with pytest.raises(OptionError, match="to be a Module, got 'ReLU'"):
        model.add_layer("ReLU")  # type: ignore[arg-type]
    assert len(model) == 1
    with pytest.raises(StateError, match=r"0\.weight has no gradient; call backward"):
        model.gradient_step(0.1)
    with pytest.raises(StateError, match=r"Linear\(2 -> 25\): backward needs a forward pass"):
        model.backward(points.y)
    with pytest.raises(ShapeError, match=r"expected a target of the prediction's shape"):
        MSE.compute_loss(points.y, points.column, backend=b)
    with pytest.raises(LaminaError, match="expected epochs to be"):
        model.fit(points.x, points.y, epochs=0)
    with pytest.raises(ShapeError, match=r"target of the prediction's shape \(1, 25\)"):
        model.fit(points.x, points.y)
    with pytest.raises(LaminaError, match="equally many samples"):
        model.fit(points.x, points.y[:5])
