"""What a fit tries before it changes anything; what it refuses is in the table of bad inputs."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from bad_input.loop import WORDS, Bag, changed, dropped, normalized
from trainers import LABELS, X

from lamina.backends import Backend, OptionError, get_backend
from lamina.layers import Linear, ReLU, Sequential
from lamina.layers.losses import CrossEntropyLoss
from lamina.train import SGD, Trainer


def plain(b: Backend) -> Sequential:
    return Sequential(Linear(3, 8, backend=b), ReLU(b), Linear(8, 2, backend=b))


@pytest.mark.parametrize(
    ("build", "train", "validation", "options"),
    [
        (dropped, X, None, {"batch_size": 12, "shuffle": False}),
        (dropped, X, None, {"batch_size": 16, "drop_last": True}),
        (normalized, X, X[:8], {"batch_size": 7, "drop_last": True}),
        (Bag, WORDS[:50], changed(WORDS[:50], 49, 3, 1), {"batch_size": 7, "drop_last": True}),
    ],
)
def test_what_fits_is_trained(
    backend: Backend, build: Any, train: Any, validation: Any, options: dict[str, Any]
) -> None:
    model = build(backend)
    trainer = Trainer(model, CrossEntropyLoss(backend=backend), SGD(model.parameters(), lr=0.1))
    pair = None if validation is None else (validation, LABELS[: len(validation)])
    trainer.fit((train, LABELS), pair, epochs=2, **options)
    assert trainer.epoch == 2


def test_an_optimizer_of_some_of_the_parameters() -> None:
    b = get_backend("numpy")
    model = plain(b)
    own = SGD(model[2].parameters(), lr=0.1)  # the first layer stays as it is
    trainer = Trainer(model, CrossEntropyLoss(backend=b), own)
    before = model.state_dict()
    trainer.fit((X, LABELS), epochs=1)
    changed = {name for name, value in model.state_dict().items() if not np.array_equal(value, before[name])}
    assert changed == {"2.weight", "2.bias"}


@pytest.mark.parametrize(
    ("metric", "kind", "message"),
    [
        (lambda outputs, targets: outputs - targets, ValueError, "broadcast"),
        (lambda outputs, targets: outputs, OptionError, "the metric 'own': expected one number, got array"),
        (lambda outputs, targets: float(len(outputs) == len(targets) == 48), None, "1"),
        (lambda outputs, targets: np.float32("nan"), None, "nan"),
    ],
)
def test_a_metric_that_fails_does_so_before_the_first_step(metric: Any, kind: Any, message: str) -> None:
    b = get_backend("numpy")
    model = plain(b)
    trainer = Trainer(
        model, CrossEntropyLoss(backend=b), SGD(model.parameters(), lr=0.1), metrics={"own": metric}
    )
    with contextlib.nullcontext() if kind is None else pytest.raises(kind, match=message):
        trainer.fit((X, LABELS), epochs=1, batch_size=16, drop_last=True)
    assert trainer.optimizer.steps == (3 if kind is None else 0)
    if kind is None:
        np.testing.assert_equal(trainer.history[0]["train_own"], float(message))
