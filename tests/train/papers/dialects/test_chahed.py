"""Chahed's API computes the same as Lamina's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lamina import manual_seed
from lamina.backends import Backend, OptionError, ShapeError, StateError
from lamina.layers import BCELoss, Constant, MSELoss, XavierUniform
from lamina.layers import LeakyReLU as RealLeakyReLU
from lamina.layers import Linear as RealLinear
from lamina.layers import ReLU as RealReLU
from lamina.layers import Sequential as RealSequential
from lamina.layers import Sigmoid as RealSigmoid
from lamina.layers import Tanh as RealTanh
from lamina.train import optimizers
from lamina.train.papers.dialects import chahed


def networks(b: Backend) -> tuple[chahed.Sequential, RealSequential]:
    manual_seed(3)
    spoken = chahed.Sequential(
        chahed.Linear(2, 8, backend=b),
        chahed.ReLU(backend=b),
        chahed.Linear(8, 8, backend=b),
        chahed.LeakyReLU(0.1, backend=b),
        chahed.Linear(8, 8, backend=b),
        chahed.Tanh(b),
        chahed.Linear(8, 2, backend=b),
        chahed.Sigmoid(b),
    )
    manual_seed(3)
    init: Any = {"weight_init": XavierUniform(), "bias_init": Constant(0.0), "backend": b}
    real = RealSequential(
        RealLinear(2, 8, **init),
        RealReLU(b),
        RealLinear(8, 8, **init),
        RealLeakyReLU(0.1, backend=b),
        RealLinear(8, 8, **init),
        RealTanh(b),
        RealLinear(8, 2, **init),
        RealSigmoid(b),
    )
    return spoken, real


OPTIMIZERS: dict[str, tuple[Any, Any]] = {
    "SGD": (lambda p: chahed.SGD(p, 0.1), lambda p: optimizers.SGD(p, 0.1)),
    "momentum": (
        lambda p: chahed.Momentum(p, 0.1, 0.8),
        lambda p: optimizers.SGD(p, 0.1, momentum=0.8, momentum_form="lr_inside"),
    ),
    "RMSprop": (
        lambda p: chahed.RMSprop(p, 0.01, 0.8, 1e-3),
        lambda p: optimizers.RMSprop(p, 0.01, alpha=0.8, eps=1e-3, eps_inside_root=True),
    ),
    "Adam": (lambda p: chahed.Adam(p, 0.01), lambda p: optimizers.Adam(p, 0.01)),
}
LOSSES: dict[str, tuple[Any, Any, str]] = {
    "MSE": (chahed.MSE, MSELoss, "batchmean"),
    "BCE": (chahed.BCE, BCELoss, "mean"),
}


@pytest.mark.parametrize("gradient", ["mean", "sum"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_steps_equal_laminas(
    optimizer: str, loss: str, gradient: Any, backend64: Backend, points: Any, same_weights: Any
) -> None:
    b = backend64
    network, real = networks(b)
    spoken_loss, real_loss, reduction = LOSSES[loss]
    make, make_real = OPTIMIZERS[optimizer]
    criterion, mine = spoken_loss(network, gradient=gradient), make(network.param())
    value, slope = (real_loss(reduction=r, backend=b) for r in (reduction, "sum"))
    theirs = make_real(real.parameters())
    x, y = b.from_host(points.x), b.from_host(points.y)
    for _ in range(5):
        shown = criterion(network(points.x), points.y)
        assert criterion.backward() is None
        mine.step()

        theirs.zero_grad()
        prediction = real(x)
        right = value(prediction, y)
        slope(prediction, y)
        real.backward((slope if gradient == "sum" else value).backward())
        theirs.step()
        assert b.item(shown) == pytest.approx(b.item(right), rel=1e-12)
    same_weights(network, real)


def test_momentum_and_rmsprop_follow_their_equations(backend64: Backend) -> None:
    b = backend64
    layer = chahed.Linear(3, 1, backend=b)
    w, g = b.to_host(layer.weight.data).astype(np.float64), np.array([[0.5, -1.0, 2.0]])
    v = s = np.zeros_like(w)
    for make in (chahed.Momentum(layer.param(), 0.1, 0.9), chahed.RMSprop(layer.param(), 0.1, 0.9, 1e-2)):
        for _ in range(3):
            make.zero_grad()
            layer.weight.accumulate(b.from_host(g))
            make.step()
            if isinstance(make, chahed.Momentum):
                v = 0.9 * v + 0.1 * g
                w = w - v
            else:
                s = 0.9 * s + 0.1 * g**2
                w = w - 0.1 / np.sqrt(s + 1e-2) * g
    np.testing.assert_allclose(b.to_host(layer.weight.data), w, rtol=1e-12)


def test_gradients_replace_earlier_ones(backend64: Backend, points: Any) -> None:
    network, _ = networks(backend64)
    loss = chahed.MSE(network)
    gradients = []
    for _ in range(2):
        loss.forward(network(points.x), points.y)
        loss.backward()
        gradient: Any = network.param()[0].grad
        gradients.append(backend64.to_host(gradient))
    np.testing.assert_array_equal(*gradients)


def test_the_derivative_of_relu_at_zero(backend64: Backend) -> None:
    b = backend64
    for at_zero, expected in ((1, [0.0, 1.0, 1.0]), (0, [0.0, 0.0, 1.0])):
        relu = chahed.ReLU(at_zero, backend=b)  # type: ignore[arg-type]
        relu([-1.0, 0.0, 2.0])
        assert b.to_host(relu.backward(b.from_host(np.ones(3)))).tolist() == expected


def test_errors(backend64: Backend, points: Any) -> None:
    network, _ = networks(backend64)
    loss = chahed.MSE(network)
    with pytest.raises(StateError, match="backward needs a call with prediction and target"):
        loss.backward()
    with pytest.raises(ShapeError, match=r"target of the prediction's shape \(40, 2\), got \(40, 1\)"):
        loss(network(points.x), points.column)
    with pytest.raises(ShapeError, match=r"Linear\(2 -> 8\): expected input \(N, \.\.\., 2\), got \(40, 3\)"):
        network(np.ones((40, 3)))
    with pytest.raises(OptionError, match="MSE: expected a network, got 'mean'"):
        chahed.MSE("mean")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="expected gradient 'mean' or 'sum', got 'max'"):
        chahed.BCE(network, gradient="max")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="expected at_zero 0 or 1, got 2"):
        chahed.ReLU(2, backend=backend64)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"expected model.parameters\(\) or groups"):
        chahed.SGD(network)
