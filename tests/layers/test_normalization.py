"""What the table of cases cannot say of normalisation: accuracy, conventions, statistics, errors."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.backends import (
    Backend,
    get_backend,
)
from lamina.layers import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    GroupNorm,
    LayerNorm,
    Linear,
    Sequential,
    inference,
)
from lamina.layers.proofs import Subject
from lamina.train.optimizers import SGD
from lamina.train.runs.model_file import read_model, save_model


def host(b: Backend, x: Any) -> np.ndarray[Any, Any]:
    return np.asarray(b.to_host(x))


def draw(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda b: BatchNorm2d(3, backend=b), (8, 3, 16, 16)),
        (lambda b: LayerNorm(256, backend=b), (8, 256)),
        (lambda b: GroupNorm(2, 4, backend=b), (4, 4, 8, 8)),
    ],
)
def test_a_large_mean_costs_no_digits(layer: Any, shape: tuple[int, ...], backend: Backend) -> None:
    x = (1e4 + draw(*shape)).astype(np.float32)
    y = host(backend, layer(backend)(backend.from_host(x))).astype(np.float64)
    axes = {2: (1,), 4: (0, 2, 3)}[len(shape)]
    wide = x.astype(np.float64)
    if shape == (4, 4, 8, 8):
        wide, axes = wide.reshape(4, 2, -1), (2,)
    mean, var = wide.mean(axis=axes, keepdims=True), wide.var(axis=axes, keepdims=True)
    expected = ((wide - mean) / np.sqrt(var + 1e-5)).reshape(shape)
    assert np.abs(y - expected).max() < 1e-5


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (BatchNorm1d, (64, 3)),
        (BatchNorm1d, (8, 3, 20)),
        (BatchNorm2d, (4, 3, 12, 10)),
        (BatchNorm3d, (2, 3, 5, 6, 7)),
    ],
)
def test_batch_norm_in_float32_at_a_mean_of_10000(
    kind: Any, shape: tuple[int, ...], backend: Backend
) -> None:
    """Output, gradients, running statistics, and evaluation with them: within 0.001 of float64."""
    layer = kind(3, momentum=1.0, backend=backend)
    exact = kind(3, momentum=1.0, backend=get_backend("numpy", dtype="float64"))
    x = (1e4 + draw(*shape)).astype(np.float32)
    g = draw(*shape, seed=1).astype(np.float32)
    for training in (True, False):
        layer.train(training)
        exact.train(training)
        found, right = Subject(layer).run(x, grad_output=g), Subject(exact).run(x, grad_output=g)
        assert found.keys() == {"output", "input", "weight", "bias"}
        # Statistics are near 10⁴ themselves: it is rounding that float32 leaves of them.
        for name in right:
            bar = 1e-3 if name in ("output", "input") else 1e-3 * np.sqrt(x.size / 3)
            assert np.abs(found[name] - right[name]).max() <= bar, name
        if training:
            assert np.abs(found["output"] - right["output"]).max() < 1e-5
    for name in ("running_mean", "running_var"):
        np.testing.assert_allclose(
            layer.state_dict()[name], exact.state_dict()[name], rtol=1e-6, err_msg=name
        )


def test_the_convention_of_the_paper(backend64: Backend) -> None:
    """Jin et al., section II-C: rho weights the old statistics, and the variance is the biased one."""
    b, rho, eps = backend64, 0.9, 1e-5
    layer = BatchNorm1d(3, eps, rho, momentum_of="old", biased_running_variance=True, backend=b)
    mean, var = np.zeros(3), np.ones(3)
    for seed in range(4):
        y = draw(5, 3, seed=seed) * 3.0 + 1.0
        mu = y.sum(axis=0) / 5
        sigma2 = ((y - mu) ** 2).sum(axis=0) / 5
        mean, var = rho * mean + (1 - rho) * mu, rho * var + (1 - rho) * sigma2
        np.testing.assert_allclose(
            host(b, layer(b.from_host(y))), (y - mu) / np.sqrt(sigma2 + eps), rtol=1e-10
        )
    np.testing.assert_allclose(layer.state_dict()["running_mean"], mean, rtol=1e-12)
    np.testing.assert_allclose(layer.state_dict()["running_var"], var, rtol=1e-12)
    x = draw(2, 3)
    expected = (x - mean) / np.sqrt(var + eps)
    np.testing.assert_allclose(host(b, layer.eval()(b.from_host(x))), expected, rtol=1e-10)


@pytest.mark.parametrize("momentum", [0.1, 1.0, None])
def test_statistics_follow_as_in_torch(momentum: float | None, backend64: Backend) -> None:
    torch = pytest.importorskip("torch")
    b = backend64
    layer = BatchNorm2d(2, momentum=momentum, backend=b)
    twin = torch.nn.BatchNorm2d(2, momentum=momentum).double()
    for seed in range(5):
        x = draw(3, 2, 2, 2, seed=seed) + seed
        with inference():  # follows without keeping anything, as torch does under no_grad
            layer(b.from_host(x))
        twin(torch.tensor(x))
    for name, value in twin.state_dict().items():
        np.testing.assert_allclose(layer.state_dict()[name], value.numpy(), rtol=1e-9, err_msg=name)
    layer.eval()
    before = layer.state_dict()
    layer(b.from_host(draw(3, 2, 2, 2)))
    assert all(np.array_equal(before[name], value) for name, value in layer.state_dict().items())


def small(b: Backend) -> Sequential:
    return Sequential(Linear(4, 3, backend=b), BatchNorm1d(3, backend=b))


def test_buffers_are_saved_and_not_trained(backend: Backend, tmp_path: Path) -> None:
    b, model = backend, small(backend)
    names = ["0.weight", "0.bias", "1.weight", "1.bias"]
    statistics = ["1.running_mean", "1.running_var", "1.num_batches_tracked"]
    assert [name for name, _ in model.named_parameters()] == names
    assert [name for name, _ in model.named_buffers()] == statistics
    assert list(model.state_dict()) == names + statistics
    optimizer = SGD(model.parameters(), lr=0.1)
    x = b.from_host(draw(6, 4))
    optimizer.zero_grad()
    y = model(x)
    model.backward(b.from_host(np.ones(b.shape(y))))
    statistics_then = {name: model.state_dict()[name] for name in statistics}
    assert statistics_then["1.num_batches_tracked"] == 1
    optimizer.step()
    assert all(np.array_equal(model.state_dict()[name], value) for name, value in statistics_then.items())

    save_model(tmp_path / "model.safetensors", model, {})
    weights, _ = read_model(tmp_path / "model.safetensors")
    other = small(b)
    other.load_state_dict(weights)
    for name, value in model.state_dict().items():
        assert np.array_equal(other.state_dict()[name], value), name
        assert other.state_dict()[name].dtype == value.dtype, name


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_owns_its_statistics(duplicate: Any) -> None:
    model = small(get_backend("numpy"))
    twin = duplicate(model)
    before = twin.state_dict()
    model(model.backend.from_host(draw(6, 4)))
    assert model.state_dict()["1.num_batches_tracked"] == 1
    assert all(np.array_equal(before[name], value) for name, value in twin.state_dict().items())


def test_statistics_move_to_another_backend_and_dtype(backend: Backend) -> None:
    model = small(backend)
    model(backend.from_host(draw(6, 4)))
    before = model.state_dict()
    model.to("numpy", dtype="float64")
    after = model.state_dict()
    assert after["1.running_mean"].dtype == np.float64
    assert after["1.num_batches_tracked"].dtype == np.int64
    for name, value in before.items():
        np.testing.assert_array_equal(after[name].astype(value.dtype), value)
    model.eval()(model.backend.from_host(draw(2, 4)))


def test_it_goes_to_torch_and_back() -> None:
    torch = pytest.importorskip("torch")
    model = small(get_backend("numpy"))
    model(model.backend.from_host(draw(6, 4)))
    twin = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    twin.load_state_dict({name: torch.tensor(value) for name, value in model.state_dict().items()})
    back = small(get_backend("numpy"))
    back.load_state_dict(twin.state_dict())
    assert all(np.array_equal(back.state_dict()[name], value) for name, value in model.state_dict().items())
