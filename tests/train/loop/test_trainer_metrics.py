"""A user's metrics in the history, and data errors that name the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lamina.backends import DataError, OptionError
from lamina.layers import CrossEntropyLoss, Linear, MSELoss, Sequential
from lamina.train import SGD, Trainer
from lamina.train.loop.metrics import r2


def test_a_users_metrics() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 3))
    y = x @ np.array([[1.0], [-2.0], [0.5]])
    trainer = regression(metrics={"r2": r2, "samples": lambda outputs, targets: len(targets)})
    history = trainer.fit((x, y), (x[:20], y[:20]), epochs=30, batch_size=10)
    assert history[-1]["train_samples"] == 60
    assert history[-1]["validation_samples"] == 20
    assert history[-1]["validation_r2"] > 0.9
    assert trainer.evaluate((x, y))["r2"] == pytest.approx(r2(trainer.predict(x), y))
    with pytest.raises(
        OptionError, match="expected metric names other than 'loss' and 'accuracy', got 'loss'"
    ):
        regression(metrics={"loss": r2})


def regression(**options: Any) -> Trainer:
    model = Sequential(Linear(3, 1, backend="numpy"))
    return Trainer(model, MSELoss(backend="numpy"), SGD(model.parameters(), lr=0.1), **options)


def test_labels_out_of_range_name_the_loss() -> None:
    model = Sequential(Linear(3, 2, backend="numpy"))
    trainer = Trainer(model, CrossEntropyLoss(backend="numpy"), SGD(model.parameters(), lr=0.1))
    with pytest.raises(
        DataError,
        match=r"train: CrossEntropyLoss\(\): expected labels to be .* from 0 to 1, got 5",
    ):
        trainer.fit((np.zeros((4, 3)), np.array([0, 1, 5, 0])))
