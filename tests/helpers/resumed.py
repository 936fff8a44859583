"""A training with everything that a checkpoint must hold, and its state down to the bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lamina.backends import Backend, get_backend
from lamina.layers import BatchNorm1d, Dropout, Linear, ReLU, Sequential, manual_seed
from lamina.layers.losses import CrossEntropyLoss
from lamina.train import Adam, BestWeights, Callback, CosineAnnealingLR, EarlyStopping, Trainer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(205, 7))
Y = (X[:, 0] > X[:, 1]).astype(np.int64)
HELD_OUT = RNG.normal(size=(50, 7))
DATA = (X, Y), (HELD_OUT, (HELD_OUT[:, 0] > HELD_OUT[:, 1]).astype(np.int64))
EPOCHS, BATCH, STEPS = 6, 10, 21


class Average(Callback):
    """A custom callback with a state: it averages weights, and changes the learning rate by its count."""

    def __init__(self) -> None:
        self.count, self.mean = 0, np.zeros(2, np.float32)

    def on_epoch_end(self, trainer: Any, row: Mapping[str, float]) -> bool:
        self.count += 1
        self.mean += (trainer.model.state_dict()["4.bias"] - self.mean) / self.count
        trainer.optimizer.groups[0].options["lr"] *= 1 - 0.01 * self.count
        return False

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "mean": self.mean}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.count, self.mean = state["count"], state["mean"].copy()


class Saver(Callback):
    """Save a trainer after some steps of its fit."""

    def __init__(self, path: Any, at: int, every: int = 1) -> None:
        self.path, self.at, self.pause_steps = path, at, every

    def on_pause(self, trainer: Any) -> None:
        if trainer.position.total(trainer.epoch) == self.at:
            trainer.save(self.path)


class Steps(Callback):
    """A callback that listens to each step."""

    def on_step(self, trainer: Any, step: int) -> None:
        pass


def network(b: Backend, *, hidden: int = 16, seed: int = 0) -> Sequential:
    manual_seed(seed)
    return Sequential(
        Linear(7, hidden, backend=b),
        BatchNorm1d(hidden, backend=b),
        ReLU(b),
        Dropout(0.3, backend=b),
        Linear(hidden, 2, backend=b),
    )


def trainer_for(backend: str | Backend, *more: Callback, seed: int = 0, **options: Any) -> Trainer:
    b = get_backend(backend)
    model = network(b, seed=seed)
    return Trainer(
        model,
        CrossEntropyLoss(backend=b),
        Adam(model.parameters(), lr=0.01),
        schedule=CosineAnnealingLR(EPOCHS),
        callbacks=[EarlyStopping(patience=4), BestWeights(), Average(), *more],
        seed=seed,
        **options,
    )


def fit(trainer: Trainer, epochs: int = EPOCHS, **options: Any) -> Trainer:
    trainer.fit(*DATA, epochs=epochs, batch_size=BATCH, **options)
    return trainer


def bits(trainer: Trainer) -> dict[str, Any]:
    """Return by name all that a resumed training must share, each as its bytes."""
    found = {
        name: cell.backend.to_host(cell.data).tobytes()
        for name, cell in (*trainer.model.named_parameters(), *trainer.model.named_buffers())
    }
    for i, group in enumerate(trainer.optimizer.groups):
        found |= {f"{i}.{name}": value.tobytes() for name, value in group.host_cells().items()}
        found[f"{i}.options"] = repr(group.options)
    found["steps"] = trainer.optimizer.steps
    for i, row in enumerate(trainer.history):
        found[f"row {i}"] = repr({name: value for name, value in row.items() if name != "seconds"})
    for callback in trainer.callbacks:
        if type(callback).state_dict is not Callback.state_dict:
            found[type(callback).__name__] = _bytes(callback.state_dict())
    return found


def _bytes(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _bytes(item) for key, item in value.items()}
    return value.tobytes() if isinstance(value, np.ndarray) else repr(value)


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the names under which two trainings differ."""
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]
