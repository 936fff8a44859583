"""Residual blocks: a small ResNet learns; names, scopes, and shapes that cannot be added."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import pytest

from lamina.backends import Backend
from lamina.backends.numpy_backend import NumpyBackend
from lamina.layers import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    CrossEntropyLoss,
    Flatten,
    Linear,
    ReLU,
    Residual,
    Sequential,
    manual_seed,
    named_scopes,
    without_input_gradient,
)
from lamina.train.optimizers import SGD


def block(channels: int, outputs: int, stride: int, b: Backend) -> Residual:
    shortcut = None if channels == outputs else Conv2d(channels, outputs, 1, stride, bias=False, backend=b)
    return Residual(
        Conv2d(channels, outputs, 3, stride, 1, bias=False, backend=b),
        BatchNorm2d(outputs, backend=b),
        ReLU(backend=b),
        Conv2d(outputs, outputs, 3, 1, 1, bias=False, backend=b),
        BatchNorm2d(outputs, backend=b),
        shortcut=shortcut,
    )


def resnet(b: Backend) -> Sequential:
    return Sequential(
        Conv2d(1, 4, 3, padding=1, backend=b),
        block(4, 4, 1, b),
        ReLU(backend=b),
        block(4, 8, 2, b),
        ReLU(backend=b),
        AdaptiveAvgPool2d(1, backend=b),
        Flatten(backend=b),
        Linear(8, 2, backend=b),
    )


@pytest.mark.raw_only
def test_a_small_resnet_learns(backend: Backend) -> None:
    """Bars that lie from those that stand."""
    b = backend
    manual_seed(0)
    model, criterion = resnet(b), CrossEntropyLoss(backend=b)
    source = np.random.default_rng(0)
    images = 0.3 * source.standard_normal((64, 1, 8, 8))
    labels = source.integers(0, 2, 64)
    for image, label in zip(images, labels, strict=True):
        place = source.integers(0, 8)
        image[0][(place, slice(None)) if label else (slice(None), place)] += 1.0
    x, y = b.from_host(images), b.from_host(labels)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        losses.append(b.item(criterion(model(x), y)))
        model.backward(criterion.backward())
        optimizer.step()
    assert losses[0] > 0.5
    assert losses[-1] < 0.2 * losses[0]
    right = np.asarray(b.to_host(model(x))).argmax(1) == labels
    assert right.mean() > 0.95


def test_the_sum_and_both_gradients(backend64: Backend) -> None:
    b = backend64
    f, s = Linear(3, 3, backend=b), Linear(3, 3, backend=b)
    x, g = (np.random.default_rng(seed).standard_normal((4, 3)) for seed in (0, 1))
    wf, ws = f.state_dict()["weight"], s.state_dict()["weight"]
    plain, cut = Residual(f), Residual(f, shortcut=s)
    fx = x @ wf.T + f.state_dict()["bias"]
    np.testing.assert_allclose(b.to_host(plain(b.from_host(x))), fx + x, rtol=1e-12)
    np.testing.assert_allclose(b.to_host(plain.backward(b.from_host(g))), g @ wf + g, rtol=1e-12)
    sx = x @ ws.T + s.state_dict()["bias"]
    np.testing.assert_allclose(b.to_host(cut(b.from_host(x))), fx + sx, rtol=1e-12)
    np.testing.assert_allclose(b.to_host(cut.backward(b.from_host(g))), g @ wf + g @ ws, rtol=1e-12)


def test_names_of_parameters_and_buffers(backend: Backend) -> None:
    names = list(resnet(backend).state_dict())
    assert names[:3] == ["0.weight", "0.bias", "1.body.0.weight"]
    assert "1.body.4.running_var" in names
    assert not any(name.startswith("1.shortcut") for name in names)
    assert "3.shortcut.weight" in names
    other = resnet(backend)
    state = resnet(backend).state_dict()
    other.load_state_dict(state)
    assert all(np.array_equal(value, state[name]) for name, value in other.state_dict().items())


def test_scopes_name_the_layers_inside() -> None:
    """What a decorator is told of where it is, forth and back."""

    class Scoped(NumpyBackend):
        scoped = True

        def __init__(self) -> None:
            super().__init__()
            self.path: list[str] = []
            self.seen: set[str] = set()

        @contextlib.contextmanager
        def scope(self, name: str) -> Iterator[None]:
            self.path.append(name)
            self.seen.add("/".join(self.path))
            yield
            self.path.pop()

    b = Scoped()
    model = Sequential(
        Residual(Linear(3, 3, backend=b), ReLU(backend=b)),
        Residual(Linear(3, 2, backend=b), shortcut=Linear(3, 2, backend=b)),
    )
    with named_scopes(model):
        model(b.full((2, 3), 1.0))
    assert {"0/body/0", "0/body/1", "1/body/0", "1/shortcut"} <= b.seen
    assert "0/shortcut" not in b.seen
    b.seen.clear()
    with named_scopes(model):
        model.backward(b.full((2, 2), 1.0))
    assert any(path.endswith("body.backward/0.backward") for path in b.seen), b.seen
    assert any(path.endswith("shortcut.backward") for path in b.seen)
    assert b.path == []


def test_the_input_gradient_can_be_spared(backend: Backend) -> None:
    b = backend
    layer = Residual(Linear(3, 2, backend=b), shortcut=Linear(3, 2, backend=b))
    layer(b.full((4, 3), 1.0))
    with without_input_gradient(layer):
        assert layer.backward(b.full((4, 2), 1.0)) is None
    assert all(p.grad is not None for p in layer.parameters())


def test_train_and_eval_reach_the_layers_inside(backend: Backend) -> None:
    model = resnet(backend).eval()
    before = model.state_dict()
    model(backend.full((2, 1, 8, 8), 1.0))
    assert all(np.array_equal(value, before[name]) for name, value in model.state_dict().items())
