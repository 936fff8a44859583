"""A small model, its trainer and two classes of 50 samples, for tests of the training loop."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.backends import (
    Backend,
)
from lamina.layers import Linear, ReLU, Sequential, manual_seed
from lamina.layers.losses import CrossEntropyLoss, Loss
from lamina.train import Adam, Trainer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 3))
LABELS = (X[:, 0] > X[:, 1]).astype(np.int64)
HALF_IGNORED = np.where(np.arange(50) < 24, -100, LABELS)


def model_of(b: Backend, outputs: int = 2) -> Sequential:
    manual_seed(0)
    return Sequential(Linear(3, 8, backend=b), ReLU(b), Linear(8, outputs, backend=b))


def trainer_of(b: Backend, loss: Loss | None = None, outputs: int = 2, **options: Any) -> Trainer:
    model = model_of(b, outputs)
    return Trainer(model, loss or CrossEntropyLoss(backend=b), Adam(model.parameters(), lr=0.01), **options)


def weights(trainer: Trainer) -> Any:
    return np.concatenate([value.ravel() for value in trainer.model.state_dict().values()])
