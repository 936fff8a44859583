"""Félisaz' API computes the same as Lamina's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lamina import manual_seed
from lamina.backends import Backend, OptionError, ShapeError, StateError
from lamina.layers import Linear as RealLinear
from lamina.layers import MSELoss
from lamina.layers import ReLU as RealReLU
from lamina.layers import Sequential as RealSequential
from lamina.layers import Tanh as RealTanh
from lamina.train import SGD
from lamina.train.papers.dialects.felisaz import Linear, LossMSE, ReLU, Sequential, Tanh
from lamina.train.papers.runner.mean_error import MeanErrorLoss


def model(b: Backend, **options: Any) -> Sequential:
    manual_seed(3)
    layers = (Linear(2, 6, backend=b), ReLU(b), Linear(6, 6, backend=b), Tanh(b), Linear(6, 2, backend=b))
    return Sequential(*layers, **options)


def real(b: Backend) -> RealSequential:
    manual_seed(3)
    return RealSequential(
        RealLinear(2, 6, backend=b),
        RealReLU(b),
        RealLinear(6, 6, backend=b),
        RealTanh(b),
        RealLinear(6, 2, backend=b),
    )


@pytest.mark.parametrize(
    ("gradient", "reduction"), [("sum", "sum"), ("mean", "batchmean"), ("mean_error", "")]
)
def test_steps_equal_laminas(
    gradient: str, reduction: str, backend64: Backend, points: Any, same_weights: Any
) -> None:
    b = backend64
    spoken, other = model(b, gradient=gradient), real(b)
    criterion, shown = LossMSE(backend=b), MSELoss("batchmean", backend=b)
    loss = MSELoss(reduction, backend=b) if reduction else MeanErrorLoss("sum", backend=b)
    sgd = SGD(other.parameters())
    for step in range(6):
        eta = 0.01 / (1 + step)
        x, y = points.x[4 * step :][:8], points.y[4 * step :][:8]
        spoken.optimizer["eta"] = eta
        prediction = spoken(x[:, :, None])
        assert b.shape(prediction) == (8, 2, 1)
        spoken.grad(y[:, :, None])
        spoken.backward()

        sgd.groups[0].options["lr"] = eta
        sgd.zero_grad()
        right = other(b.from_host(x))
        loss(right, b.from_host(y))
        other.backward(loss.backward())
        sgd.step()
        np.testing.assert_allclose(b.to_host(prediction)[:, :, 0], b.to_host(right), rtol=1e-12, atol=1e-12)
        assert b.item(criterion(prediction, y[:, :, None])) == pytest.approx(
            b.item(shown(right, b.from_host(y))), rel=1e-12
        )
    same_weights(spoken.network, other)


def test_layers_and_gradients_have_names(backend64: Backend, points: Any) -> None:
    b, spoken = backend64, model(backend64)
    assert list(spoken.layers) == ["fc_1", "act_1", "fc_2", "act_2", "fc_3"]
    assert repr(spoken.layers).startswith(
        "{'fc_1': Fully-connected layer: in_features:2, out_features:6, 'act_1': ReLU activation, "
        "'fc_2': Fully-connected layer: in_features:6, out_features:6, 'act_2': Tanh activation, "
    )
    first: Any = spoken.layers["fc_1"]
    before = b.to_host(first._weights), b.to_host(first._bias)
    with pytest.raises(StateError, match=r"_d_weights: there is no gradient yet; call model\.grad"):
        _ = first._d_weights
    spoken(points.x[:, :, None])
    spoken.grad(points.y[:, :, None])
    slopes = b.to_host(first._d_weights), b.to_host(first._d_bias)
    spoken.optimizer["eta"] = 0.01
    spoken.backward()
    for old, slope, now in zip(before, slopes, (first._weights, first._bias), strict=True):
        np.testing.assert_allclose(b.to_host(now), old - 0.01 * slope, rtol=1e-12)


def test_sum_is_the_mean_times_the_batch_size(backend64: Backend, points: Any) -> None:
    gradients = []
    for gradient in ("sum", "mean"):
        spoken = model(backend64, gradient=gradient)
        spoken(points.x[:, :, None])
        spoken.grad(points.y[:, :, None])
        first: Any = spoken.layers["fc_1"]
        gradients.append(backend64.to_host(first._d_weights))
    np.testing.assert_allclose(gradients[0], 40 * gradients[1], rtol=1e-11)


def test_the_loss_of_a_constant_prediction(backend64: Backend) -> None:
    """With class shares .66 and .34 the paper's loss is Σ p (1 - p) = .449 over both outputs."""
    b = backend64
    y = np.zeros((100, 2, 1))
    y[:66, 0], y[66:, 1] = 1, 1
    constant = np.broadcast_to([[0.66], [0.34]], (100, 2, 1)).copy()
    assert b.item(LossMSE(backend=b)(constant, y)) == pytest.approx(0.449, abs=5e-4)


def test_errors(backend64: Backend, points: Any) -> None:
    spoken = model(backend64)
    x, y = points.x[:, :, None], points.y[:, :, None]
    with pytest.raises(OptionError, match="expected the key 'eta', got 'lr'"):
        spoken.optimizer["lr"] = 1e-3
    with pytest.raises(OptionError, match=r"got 'etta'.* Did you mean 'eta'"):
        spoken.optimizer.update(etta=1e-3)
    with pytest.raises(OptionError, match="expected eta to be a finite number, at least 0, got -1"):
        spoken.optimizer["eta"] = -1
    with pytest.raises(OptionError, match="cannot be deleted"):
        del spoken.optimizer["eta"]
    with pytest.raises(StateError, match="grad needs the outputs of a batch"):
        spoken.grad(y)
    with pytest.raises(StateError, match=r"backward needs gradients; call model\.grad"):
        spoken.backward()
    with pytest.raises(ShapeError, match=r"the input as columns \(B, F, 1\), got \(40, 2\); add the axis"):
        spoken(points.x)
    with pytest.raises(
        ShapeError, match=r"in_features:2, out_features:6: expected input \(N, \.\.\., 2\), got"
    ):
        spoken(np.ones((40, 3, 1)))
    spoken(x)
    with pytest.raises(ShapeError, match=r"the target as columns \(B, F, 1\), got \(40, 2\)"):
        spoken.grad(points.y)
    with pytest.raises(ShapeError, match=r"target of the prediction's shape \(40, 2\), got \(39, 2\)"):
        spoken.grad(y[:39])
    spoken.grad(y)
    spoken.backward()
    with pytest.raises(StateError, match="once per step"):
        spoken.backward()
    with pytest.raises(OptionError, match="gradient to be one of 'sum', 'mean', 'mean_error', got 'max'"):
        model(backend64, gradient="max")
    with pytest.raises(ShapeError, match="does not fit after Fully-connected layer: in_features:2"):
        Sequential(Linear(2, 3, backend=backend64), Linear(4, 2, backend=backend64))
