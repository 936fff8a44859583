"""Single layers and losses: forward, backward, both, with all gradients, the input's too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lamina import layers
from lamina.backends import Backend

torch = pytest.importorskip("torch")

SHAPES = {"small": (5, 25), "large": (256, 1024)}
PASSES = ("forward", "backward", "both")


def _normal(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# name: ours (backend, features), torch's (features)
LAYERS: dict[str, tuple[Callable[[Backend, int], Any], Callable[[int], Any]]] = {
    "Linear": (lambda b, n: layers.Linear(n, n, backend=b), lambda n: torch.nn.Linear(n, n)),
    "ReLU": (lambda b, n: layers.ReLU(backend=b), lambda n: torch.nn.ReLU()),
    "LeakyReLU": (lambda b, n: layers.LeakyReLU(backend=b), lambda n: torch.nn.LeakyReLU()),
    "Sigmoid": (lambda b, n: layers.Sigmoid(backend=b), lambda n: torch.nn.Sigmoid()),
    "Tanh": (lambda b, n: layers.Tanh(backend=b), lambda n: torch.nn.Tanh()),
    "Softmax": (lambda b, n: layers.Softmax(-1, backend=b), lambda n: torch.nn.Softmax(-1)),
    "LogSoftmax": (lambda b, n: layers.LogSoftmax(-1, backend=b), lambda n: torch.nn.LogSoftmax(-1)),
}

# name: the target for a prediction of (N, C)
LOSSES: dict[str, Callable[[int, int], Any]] = {
    "MSELoss": lambda n, c: _normal(4, n, c),
    "BCEWithLogitsLoss": lambda n, c: np.random.default_rng(5).random((n, c)).astype(np.float32),
    "CrossEntropyLoss": lambda n, c: np.random.default_rng(6).integers(0, c, n),
}


@pytest.mark.parametrize("size", SHAPES)
@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("name", LAYERS)
def test_layer(race_layer: Callable[..., None], name: str, which: str, size: str) -> None:
    shape = SHAPES[size]
    ours, theirs = LAYERS[name]
    features = shape[1]
    group = f"layers: {name} {shape}, {which}"
    race_layer(group, lambda b: ours(b, features), lambda: theirs(features), shape, which)


@pytest.mark.parametrize("size", SHAPES)
@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("name", LOSSES)
def test_loss(race: Callable[..., None], name: str, which: str, size: str) -> None:
    shape = SHAPES[size]
    data, goal = _normal(3, *shape), LOSSES[name](*shape)

    def ours(backend: Backend) -> Any:
        loss = getattr(layers, name)(backend=backend)
        loss.validate = False  # as in the training loop, which checks the targets once
        x, target = backend.from_host(data), backend.from_host(goal)

        def both() -> Any:
            value = loss(x, target)
            return value, loss.backward()

        with backend.session():
            loss(x, target)
        return {"forward": lambda: loss(x, target), "backward": loss.backward, "both": both}[which]

    def theirs(device: str) -> Any:
        loss = getattr(torch.nn, name)()
        x, target = torch.tensor(data, device=device, requires_grad=True), torch.tensor(goal, device=device)
        kept = loss(x, target)

        def both() -> Any:
            value = loss(x, target)
            return (value, *torch.autograd.grad(value, x))

        return {
            "forward": lambda: loss(x, target),
            "backward": lambda: torch.autograd.grad(kept, x, retain_graph=True),
            "both": both,
        }[which]

    race(f"losses: {name} {shape}, {which}", ours, theirs)
