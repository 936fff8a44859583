"""The loss of an epoch: ignored labels, weights of classes and of samples, reductions, batch sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from trainers import HALF_IGNORED, LABELS, X, trainer_of, weights

from lamina.backends import (
    Backend,
    get_backend,
)
from lamina.layers.losses import BCEWithLogitsLoss, CrossEntropyLoss, Loss, MSELoss
from lamina.train import SGD
from lamina.train.data import Dataset


def test_classes_under_other_losses(backend: Backend) -> None:
    data = Dataset("two", X, LABELS, ("no", "yes"))
    for loss, outputs in ((MSELoss(backend=backend), 2), (BCEWithLogitsLoss(backend=backend), 1)):
        trainer = trainer_of(backend, loss, outputs)
        trainer.fit(data, epochs=30, batch_size=16)
        assert trainer.evaluate(data)["accuracy"] > 0.9


def test_integers_are_reals_to_a_loss_of_reals() -> None:
    trainer = trainer_of(get_backend("numpy"), BCEWithLogitsLoss(backend=get_backend("numpy")), 1)
    trainer.fit((X, LABELS[:, None]), epochs=1)
    assert "train_accuracy" not in trainer.history.names


def test_ignored_labels_do_not_count() -> None:
    labels = LABELS.copy()
    labels[:40] = -100
    trainer = trainer_of(get_backend("numpy"))
    trainer.fit((X, labels), epochs=20, batch_size=50)
    scores = trainer.evaluate((X, labels))
    assert scores["accuracy"] == np.mean(trainer.predict(X[40:]).argmax(axis=1) == LABELS[40:])


def test_a_summed_loss_is_reported_per_sample() -> None:
    b = get_backend("numpy", dtype="float64")
    summed, mean = (CrossEntropyLoss(reduction=r, backend=b) for r in ("sum", "mean"))
    ours, theirs = (trainer_of(b, loss).evaluate((X, LABELS), batch_size=16) for loss in (summed, mean))
    assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-12)


def own_mean(b: Backend) -> Loss:
    """Return a loss that defines forward alone."""

    class Own(Loss):
        def forward(self, prediction: Any, target: Any) -> Any:
            return self.backend.mean(self.backend.square(self.backend.subtract(prediction, target)))

    return Own(backend=b)


CLASS_WEIGHTS = np.array([1.0, 50.0])
SAMPLE_WEIGHTS = np.arange(50) % 4.0


@pytest.mark.parametrize(
    ("make", "data"),
    [
        (lambda b: CrossEntropyLoss(b.from_host(CLASS_WEIGHTS), backend=b), (X, LABELS)),
        (lambda b: CrossEntropyLoss(b.from_host(-CLASS_WEIGHTS), backend=b), (X, LABELS)),
        (lambda b: CrossEntropyLoss(backend=b), (X, HALF_IGNORED)),
        (lambda b: CrossEntropyLoss(reduction="sum", backend=b), (X, HALF_IGNORED)),
        (lambda b: CrossEntropyLoss(backend=b), (X, HALF_IGNORED, SAMPLE_WEIGHTS)),
        (lambda b: MSELoss(backend=b), (X, X[:, :2], SAMPLE_WEIGHTS)),
        (lambda b: MSELoss("batchmean", backend=b), (X, X[:, :2], np.outer(SAMPLE_WEIGHTS, [1, 2]))),
        (lambda b: MSELoss("half_batchmean", backend=b), (X, X[:, :2])),
        (lambda b: BCEWithLogitsLoss(backend=b), (X, 1.0 * (LABELS[:, None] ^ [0, 1]), SAMPLE_WEIGHTS)),
        (own_mean, (X, X[:, :2])),
    ],
    ids=lambda value: "" if callable(value) else f"{len(value)} parts",
)
def test_the_loss_of_a_data_set_does_not_depend_on_the_batch_size(make: Any, data: Any) -> None:
    b = get_backend("numpy", dtype="float64")
    trainer = trainer_of(b, make(b))
    whole, *others = (trainer.evaluate(data, batch_size=size)["loss"] for size in (50, 16, 4, 1))
    assert others == pytest.approx([whole] * 3, rel=1e-12)
    if trainer.loss.reduction != "sum":
        x, *rest = map(b.from_host, data)
        assert whole == pytest.approx(b.item(trainer.loss(trainer.model(x), *rest)), rel=1e-12)


def test_a_batch_whose_targets_are_all_ignored_changes_nothing(backend64: Backend) -> None:
    """Training goes on as if the batch were not there."""
    ours, theirs = (trainer_of(backend64) for _ in range(2))
    ours.optimizer, theirs.optimizer = (SGD(t.model.parameters(), lr=0.1) for t in (ours, theirs))
    ours.fit((X, HALF_IGNORED), epochs=3, batch_size=8, shuffle=False)
    theirs.fit((X[24:], LABELS[24:]), epochs=3, batch_size=8, shuffle=False)
    assert ours.stopped == ""
    np.testing.assert_allclose(weights(ours), weights(theirs), rtol=1e-12)
    columns = [trainer.history.column("train_loss") for trainer in (ours, theirs)]
    np.testing.assert_allclose(*columns, rtol=1e-12)


@pytest.mark.parametrize("kind", [CrossEntropyLoss, MSELoss])
def test_a_sample_of_weight_2_counts_as_two(kind: Any, backend64: Backend) -> None:
    targets = LABELS if kind is CrossEntropyLoss else X[:, :2]
    x = np.where(SAMPLE_WEIGHTS[:, None] > 0, X, 1e3)  # what has weight 0 may be anything
    repeated = np.repeat(np.arange(50), SAMPLE_WEIGHTS.astype(int))
    ours, theirs = (trainer_of(backend64, kind(backend=backend64)) for _ in range(2))
    data = (x, targets, SAMPLE_WEIGHTS)
    history = ours.fit(data, data, epochs=5, batch_size=50)
    again = theirs.fit((X[repeated], targets[repeated]), epochs=5, batch_size=100)
    np.testing.assert_allclose(weights(ours), weights(theirs), rtol=1e-7)
    np.testing.assert_allclose(history.column("train_loss"), again.column("train_loss"), rtol=1e-9)
