"""Models by name: on every backend, through JSON and files, and their mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend
from lamina.layers import BatchNorm2d, Conv2d, Linear, MaxPool2d, NaiveConv2d, Sequential, manual_seed
from lamina.layers.random import seeded
from lamina.train import CNN, Dense, Jin, LeNet, ResNet, load_model, save_model
from lamina.train.models import MODELS, Description, model_from_dict, models_for

RNG = np.random.default_rng(0)
EVERY: list[Description] = [
    Dense((2, 3), (5, 4), 3, ("tanh", "relu"), "softmax", "xavier_normal"),
    Dense((4,), (), 2),
    CNN((1, 8, 8), 10),
    CNN((3, 9, 5), 2, width=4, dropout=0.0, output="sigmoid", initializer="kaiming_normal"),
    LeNet((1, 28, 28), 10),
    LeNet((2, 12, 17), 3, output="log_softmax", initializer="uniform"),
    ResNet((2, 6, 5), 3, width=2),
    Jin((3, 4, 4), 1),
    Jin((1, 2, 3), 2, batch_norm=False, naive=True),
]
NAMES = [f"{network.kind} {network.input_shape}" for network in EVERY]


def made(network: Description, backend: str | Backend) -> Sequential:
    manual_seed(0)
    return network.build(backend)


def images(network: Description, n: int = 5) -> Any:
    return RNG.normal(size=(n, *network.input_shape))


def kinds(model: Sequential) -> list[str]:
    return [type(layer).__name__ for layer in model]


@pytest.mark.parametrize("network", EVERY, ids=NAMES)
def test_it_runs_forward_and_backward(network: Description, backend: Backend) -> None:
    model = made(network, backend)
    x = backend.from_host(images(network))
    y = model(x)
    assert backend.shape(y) == (5, network.outputs) == model.output_shape((5, *network.input_shape))
    gradient = model.backward(backend.full((5, network.outputs), 1.0, dtype="float32"))
    assert backend.shape(gradient) == (5, *network.input_shape)
    for name, parameter in model.named_parameters():
        assert np.isfinite(backend.to_host(parameter.grad)).all(), name


@pytest.mark.parametrize("network", EVERY, ids=NAMES)
def test_json_round_trip(network: Description) -> None:
    assert model_from_dict(json.loads(json.dumps(network.to_dict()))) == network


@pytest.mark.parametrize("network", EVERY, ids=NAMES)
def test_file_round_trip(network: Description, backend: Backend, tmp_path: Path) -> None:
    model = made(network, backend)
    x = backend.from_host(images(network))
    model(x)  # in training mode: changes the running statistics
    save_model(tmp_path / "m.safetensors", model, {"model": network.to_dict()})
    again, _ = load_model(tmp_path / "m.safetensors", backend)
    assert repr(again) == repr(model)
    np.testing.assert_array_equal(backend.to_host(again(x)), backend.to_host(model.eval()(x)))


def test_a_description_of_an_early_version() -> None:
    old = {
        "input_shape": [1, 8, 8],
        "hidden": [256, 128],
        "outputs": 10,
        "activation": ["relu"],
        "output": "",
        "initializer": "torch",
        "kind": "dense",
    }
    assert model_from_dict(old) == Dense((1, 8, 8), (256, 128), 10)


# -- the networks ----------------------------------------------------------------------------------------


def test_lenet_has_the_papers_weights() -> None:
    model = LeNet((1, 28, 28), 10).build("numpy")
    shapes = [value.shape for name, value in model.state_dict().items() if name.endswith("weight")]
    assert shapes == [(6, 1, 5, 5), (16, 6, 5, 5), (120, 400), (84, 120), (10, 84)]
    assert sum(p.size for p in model.parameters()) == 61_706


def test_lenet_agrees_with_torch(backend64: Backend) -> None:
    torch = pytest.importorskip("torch", reason="the twin is made of torch.nn")
    nn, b = torch.nn, backend64
    model = made(LeNet((1, 28, 28), 10), b)
    twin = nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    ).double()
    twin.load_state_dict({name: torch.from_numpy(value) for name, value in model.state_dict().items()})
    x, g = RNG.normal(size=(4, 1, 28, 28)), RNG.normal(size=(4, 10))
    y = twin(torch.from_numpy(x))
    np.testing.assert_allclose(b.to_host(model(b.from_host(x))), y.detach().numpy(), rtol=1e-10, atol=1e-12)
    y.backward(torch.from_numpy(g))
    model.backward(b.from_host(g))
    for (name, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(
            b.to_host(ours.grad), theirs.grad.numpy(), rtol=1e-9, atol=1e-12, err_msg=name
        )


def test_resnet_has_eight_layers_and_halves_the_image_twice() -> None:
    model = ResNet((3, 32, 32), 10).build("numpy")
    kernels = [value.shape for value in model.state_dict().values() if value.ndim == 4]
    blocks = [(16, 16), (16, 16), (32, 16), (32, 32), (64, 32), (64, 64)]
    assert [k for k in kernels if k[2:] == (3, 3)] == [(*pair, 3, 3) for pair in [(16, 3), *blocks]]
    assert [k for k in kernels if k[2:] == (1, 1)] == [(32, 16, 1, 1), (64, 32, 1, 1)]
    assert model.output_shape((4, 3, 32, 32)) == (4, 10)
    assert model.output_shape((4, 3, 1, 1)) == (4, 10)


@pytest.mark.parametrize(
    ("shape", "widths", "left"),
    [
        ((1, 4, 4), (8,), (2, 2)),
        ((1, 8, 8), (8, 16), (2, 2)),
        ((1, 28, 28), (8, 16, 32), (3, 3)),
        ((3, 32, 32), (8, 16, 32, 32), (2, 2)),
        ((3, 64, 5), (8,), (32, 2)),
        ((2, 100, 70), (8, 16, 32, 32, 32), (3, 2)),
    ],
)
def test_the_stages_of_a_cnn(shape: tuple[int, ...], widths: tuple[int, ...], left: tuple[int, ...]) -> None:
    model = CNN(shape, 10, width=8).build("numpy")
    pools = [layer for layer in model if isinstance(layer, MaxPool2d)]
    assert tuple(c.out_channels for c in model if isinstance(c, Conv2d)) == tuple(np.repeat(widths, 2))
    assert len(pools) == len(widths)
    assert model[-1].in_features == widths[-1] * left[0] * left[1]
    assert model.output_shape((1, *shape)) == (1, 10)


def test_jin_has_the_papers_weights() -> None:
    for network in (Jin((3, 4, 4), 1), Jin((3, 4, 4), 1, batch_norm=False, naive=True)):
        model = network.build("numpy")
        weights = [m.weight.shape for m in model if isinstance(m, (Conv2d, NaiveConv2d, Linear))]
        assert weights == [(5, 3, 3, 3), (1, 5, 3, 3), (10, 16), (1, 10)]  # torch's layout: out x in
    assert "BatchNorm2d" not in kinds(Jin((3, 4, 4), 1, batch_norm=False).build("numpy"))
    assert kinds(model)[-1] == "Linear"


def test_jins_loops_equal_the_unfolded_convolution(backend64: Backend) -> None:
    b = backend64
    fast, slow = (made(MODELS[name](input_shape=(3, 4, 4), outputs=1), b) for name in ("jin", "jin_naive"))
    assert kinds(slow) == [kind.replace("Conv2d", "NaiveConv2d") for kind in kinds(fast)]
    x, g = b.from_host(RNG.normal(size=(6, 3, 4, 4))), b.from_host(RNG.normal(size=(6, 1)))
    np.testing.assert_allclose(b.to_host(slow(x)), b.to_host(fast(x)), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        b.to_host(slow.backward(g)), b.to_host(fast.backward(g)), rtol=1e-9, atol=1e-12
    )
    for (name, one), (_, other) in zip(slow.named_parameters(), fast.named_parameters(), strict=True):
        np.testing.assert_allclose(
            b.to_host(one.grad), b.to_host(other.grad), rtol=1e-9, atol=1e-12, err_msg=name
        )


def test_the_initializer_reaches_every_layer() -> None:
    for network in (
        CNN((1, 8, 8), 10, initializer="uniform"),
        LeNet((1, 28, 28), 10, initializer="uniform"),
        Jin((3, 4, 4), 1, initializer="uniform"),
    ):
        for layer in network.build("numpy"):
            if isinstance(layer, (Conv2d, Linear)):
                weight = layer.backend.to_host(layer.weight.data)
                assert abs(weight).max() > 0.7, layer  # torch's default stays below 1 / sqrt(fan in)
            assert not isinstance(layer, BatchNorm2d) or (layer.backend.to_host(layer.weight.data) == 1).all()


def test_biases_by_name() -> None:
    def biases(name: str) -> np.ndarray:
        with seeded(0):
            first = Dense((2,), (400,), 2, initializer="xavier_normal", biases=name).build("numpy")[0]
        return np.asarray(first.backend.to_host(first.bias.data))

    assert not biases("zeros").any()
    assert biases("as_weights").std() == pytest.approx((2 / 402) ** 0.5, rel=0.15)
    np.testing.assert_array_equal(biases(""), biases("torch"))


def test_models_for_a_shape() -> None:
    assert models_for((2,)) == ["dense"]
    assert models_for((1, 3, 3)) == ["dense", "resnet", "jin", "jin_naive"]
    assert models_for((1, 8, 8)) == ["dense", "cnn", "resnet", "jin", "jin_naive"]
    assert models_for((1, 28, 28)) == list(MODELS)
