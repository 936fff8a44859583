"""What parameters hold at first: bounds, moments and bits of every initializer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend, get_backend
from lamina.layers import (
    Constant,
    Initializer,
    KaimingNormal,
    KaimingUniform,
    Linear,
    Normal,
    TorchDefault,
    Uniform,
    XavierNormal,
    XavierUniform,
    manual_seed,
)
from lamina.layers.initializers import fans


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Let no test depend on how many parameters those before it have drawn."""
    manual_seed(0)


SHAPE = (64, 48, 3, 3)  # a convolution's weight: fans 432 and 576
FAN_IN, FAN_OUT = 48 * 9, 64 * 9
SLOPE = 0.2
INITIALIZERS: list[tuple[Initializer, float, float, float | None]] = [
    # the initializer, mean, standard deviation, bound
    (Uniform(-2.0, 4.0), 1.0, 6.0 / math.sqrt(12.0), None),
    (Normal(1.0, 0.5), 1.0, 0.5, None),
    (
        XavierUniform(2.0),
        0.0,
        2.0 * math.sqrt(2.0 / (FAN_IN + FAN_OUT)),
        2.0 * math.sqrt(6.0 / (FAN_IN + FAN_OUT)),
    ),
    (XavierNormal(0.5), 0.0, 0.5 * math.sqrt(2.0 / (FAN_IN + FAN_OUT)), None),
    (KaimingUniform(), 0.0, math.sqrt(2.0 / FAN_IN), math.sqrt(6.0 / FAN_IN)),
    (
        KaimingUniform(SLOPE, "fan_out"),
        0.0,
        math.sqrt(2.0 / (1.0 + SLOPE**2) / FAN_OUT),
        math.sqrt(6.0 / (1.0 + SLOPE**2) / FAN_OUT),
    ),
    (KaimingNormal(SLOPE), 0.0, math.sqrt(2.0 / (1.0 + SLOPE**2) / FAN_IN), None),
    (TorchDefault(), 0.0, 1.0 / math.sqrt(3.0 * FAN_IN), 1.0 / math.sqrt(FAN_IN)),
]


@pytest.mark.parametrize(("init", "mean", "std", "bound"), INITIALIZERS, ids=lambda v: repr(v))
def test_initializers_by_their_statistics(
    init: Initializer, mean: float, std: float, bound: float | None, backend: Backend
) -> None:
    value = backend.to_host(init(backend, SHAPE, SHAPE, 3, "stream"))
    assert value.shape == SHAPE
    assert value.dtype == np.float32
    n = value.size
    assert abs(value.mean(dtype=np.float64) - mean) < 5.0 * std / math.sqrt(n)
    assert abs(value.std(dtype=np.float64) / std - 1.0) < 5.0 / math.sqrt(2.0 * n)
    if bound is not None:
        assert 0.999 * bound < np.abs(value).max() <= bound * (1.0 + 1e-6)
    reference = init(get_backend("numpy"), SHAPE, SHAPE, 3, "stream")
    assert value.tobytes() == np.asarray(reference).tobytes()


def test_initializers_against_torch() -> None:
    torch = pytest.importorskip("torch", reason="the formulas are torch's")
    weight = torch.empty(SHAPE, dtype=torch.float64)
    pairs: list[tuple[Initializer, Any]] = [
        (XavierUniform(2.0), lambda: torch.nn.init.xavier_uniform_(weight, 2.0)),
        (XavierNormal(0.5), lambda: torch.nn.init.xavier_normal_(weight, 0.5)),
        (KaimingUniform(), lambda: torch.nn.init.kaiming_uniform_(weight, nonlinearity="relu")),
        (KaimingUniform(SLOPE, "fan_out"), lambda: torch.nn.init.kaiming_uniform_(weight, SLOPE, "fan_out")),
        (KaimingNormal(SLOPE), lambda: torch.nn.init.kaiming_normal_(weight, SLOPE)),
        (TorchDefault(), lambda: torch.nn.init.kaiming_uniform_(weight, math.sqrt(5.0))),
    ]
    b = get_backend("numpy", dtype="float64")
    torch.manual_seed(0)
    for init, theirs in pairs:
        ours = init(b, SHAPE, SHAPE, 0, 0)
        theirs()
        assert abs(float(np.std(ours)) / float(weight.std()) - 1.0) < 0.02, init
        if "Normal" not in repr(init):
            assert abs(float(np.abs(ours).max()) / float(weight.abs().max()) - 1.0) < 0.005, init
    assert torch.nn.init._calculate_fan_in_and_fan_out(weight) == fans(SHAPE)
    assert torch.nn.init._calculate_fan_in_and_fan_out(weight[:, :, 0, 0]) == fans((64, 48))


def test_linear_is_drawn_as_torch_draws_it() -> None:
    layer = Linear(100, 4000, backend="numpy")
    for value in layer.state_dict().values():
        assert 0.099 < np.abs(value).max() <= 0.1
    layer = Linear(4, 4, weight_init=Constant(2.0), bias_init=Constant(-1.0), backend="numpy")
    assert (layer.state_dict()["weight"] == 2.0).all()
    assert (layer.state_dict()["bias"] == -1.0).all()


def test_fans() -> None:
    assert fans((5, 7)) == (7, 5)
    assert fans((5, 7, 3)) == (21, 15)
    assert fans((5,)) == (5, 5)
    assert fans(()) == (1, 1)
