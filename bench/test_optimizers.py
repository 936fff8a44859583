"""One optimizer step over all parameters of a network; torch.optim with its defaults."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from lamina import layers
from lamina.backends import Backend
from lamina.train import optimizers

torch = pytest.importorskip("torch")

WIDTHS = {"2-25-25-25-2": (2, 25, 25, 25, 2), "784-1024-1024-10": (784, 1024, 1024, 10)}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 1e-4},
    "SGD momentum": {"lr": 1e-4, "momentum": 0.9},
    "Adam": {"lr": 1e-4},
    "AdamW": {"lr": 1e-4},
    "RMSprop": {"lr": 1e-4},
    "Adagrad": {"lr": 1e-4},
}


@pytest.mark.parametrize("net", WIDTHS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(race: Callable[..., None], name: str, net: str) -> None:
    kind, options = name.split()[0], OPTIMIZERS[name]
    torch.manual_seed(0)
    initial = {k: v.numpy() for k, v in _torch_net(net).state_dict().items()}
    slopes = {k: torch.randn(v.shape).numpy() for k, v in initial.items()}

    def ours(backend: Backend) -> Any:
        pairs = pairwise(WIDTHS[net])
        model = layers.Sequential(*(layers.Linear(i, o, backend=backend) for i, o in pairs))
        model.load_state_dict(initial)
        optimizer = getattr(optimizers, kind)(model.parameters(), **options)
        for path, parameter in model.named_parameters():
            parameter.accumulate(backend.from_host(slopes[path]))
        last = list(model.parameters())[-1]

        def step() -> Any:
            optimizer.step()
            return last.data

        return step

    def theirs(device: str) -> Any:
        model = _torch_net(net)
        model.load_state_dict({k: torch.tensor(v) for k, v in initial.items()})
        model.to(device)
        optimizer = getattr(torch.optim, kind)(model.parameters(), **options)
        for path, parameter in model.named_parameters():
            parameter.grad = torch.tensor(slopes[path], device=device)
        last = list(model.parameters())[-1]

        def step() -> Any:
            optimizer.step()
            return last

        return step

    race(f"optimizers: {name}, {net}", ours, theirs, repeats=3)


def _torch_net(net: str) -> Any:
    return torch.nn.Sequential(*(torch.nn.Linear(i, o) for i, o in pairwise(WIDTHS[net])))
