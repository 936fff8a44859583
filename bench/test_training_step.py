"""Whole training steps: zero_grad, forward, loss, backward, step. The first is the headline."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from lamina import layers
from lamina.backends import Backend
from lamina.train import optimizers

torch = pytest.importorskip("torch")


@dataclass(frozen=True)
class Task:
    """A network, a batch, a loss and an optimizer."""

    widths: tuple[int, ...]
    batch: int
    optimizer: str
    loss: str
    lr: float

    def __str__(self) -> str:
        net = "-".join(map(str, self.widths))
        return f"{net} ReLU, batch {self.batch}, {self.optimizer}, {self.loss.removesuffix('Loss')}"

    def data(self) -> tuple[Any, Any]:
        """Return inputs and targets, on the host."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal((self.batch, self.widths[0])).astype(np.float32)
        if self.loss == "CrossEntropyLoss":
            return x, rng.integers(0, self.widths[-1], self.batch)
        return x, rng.standard_normal((self.batch, self.widths[-1])).astype(np.float32)

    def network(self, kit: Any, **options: Any) -> Any:
        """Return the network, of torch.nn or of ours."""
        chain: list[Any] = []
        for inputs, outputs in pairwise(self.widths):
            chain += [kit.Linear(inputs, outputs, **options), kit.ReLU(**options)]
        return kit.Sequential(*chain[:-1])


@dataclass(frozen=True)
class LeNet(Task):
    """LeNet-5 with ReLU and max pooling, over (batch, 1, 28, 28)."""

    def __str__(self) -> str:
        return f"LeNet 28x28, batch {self.batch}, {self.optimizer}, {self.loss.removesuffix('Loss')}"

    def data(self) -> tuple[Any, Any]:
        """Return images and labels, on the host."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal((self.batch, 1, 28, 28)).astype(np.float32)
        return x, rng.integers(0, 10, self.batch)

    def network(self, kit: Any, **options: Any) -> Any:
        """Return the network, of torch.nn or of ours."""
        return kit.Sequential(
            kit.Conv2d(1, 6, 5, padding=2, **options),
            kit.ReLU(**options),
            kit.MaxPool2d(2, **options),
            kit.Conv2d(6, 16, 5, **options),
            kit.ReLU(**options),
            kit.MaxPool2d(2, **options),
            kit.Flatten(**options),
            kit.Linear(400, 120, **options),
            kit.ReLU(**options),
            kit.Linear(120, 84, **options),
            kit.ReLU(**options),
            kit.Linear(84, 10, **options),
        )


TASKS = (
    Task((2, 25, 25, 25, 2), 5, "SGD", "MSELoss", 1e-2),
    Task((2, 25, 25, 25, 2), 5, "Adam", "MSELoss", 1e-3),
    Task((64, 128, 64, 10), 64, "Adam", "CrossEntropyLoss", 1e-3),
    Task((784, 1024, 1024, 10), 256, "SGD", "CrossEntropyLoss", 1e-2),
    LeNet((), 64, "Adam", "CrossEntropyLoss", 1e-3),
)


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_training_step(race: Callable[..., None], task: Task) -> None:
    torch.manual_seed(0)
    initial = {k: v.numpy() for k, v in task.network(torch.nn).state_dict().items()}
    inputs, targets = task.data()

    def ours(backend: Backend) -> Any:
        model = task.network(layers, backend=backend)
        model.load_state_dict(initial)
        criterion = getattr(layers, task.loss)(backend=backend)
        criterion.validate = False  # as in the training loop, which checks the targets once
        optimizer = getattr(optimizers, task.optimizer)(model.parameters(), lr=task.lr)
        x, y = backend.from_host(inputs), backend.from_host(targets)

        def step() -> Any:
            with backend.session():
                optimizer.zero_grad()
                loss = criterion(model(x), y)
                with layers.without_input_gradient(model):
                    model.backward(criterion.backward())
                optimizer.step()
            return loss

        return step, _reset(step, model, optimizer)

    def theirs(device: str) -> Any:
        model = task.network(torch.nn)
        model.load_state_dict({k: torch.tensor(v) for k, v in initial.items()})
        model.to(device)
        criterion = getattr(torch.nn, task.loss)()
        optimizer = getattr(torch.optim, task.optimizer)(model.parameters(), lr=task.lr)
        x, y = torch.tensor(inputs, device=device), torch.tensor(targets, device=device)

        def step() -> Any:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        return step, _reset(step, model, optimizer)

    race(f"step: {task}", ours, theirs, seconds=1.0, repeats=3, session=False)


def _reset(step: Callable[[], Any], model: Any, optimizer: Any) -> Callable[[], None]:
    """Return a function that restores the state of its first call.

    Training on one batch fits it exactly, and moments then fade into denormal numbers, which are slow. Each
    round restarts after one step, because torch.optim's first step allocates.
    """
    state: tuple[Any, Any] | None = None

    def reset() -> None:
        nonlocal state
        if state is None:
            step()
            state = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
        model.load_state_dict(state[0])
        optimizer.load_state_dict(state[1])

    return reset
