"""Predictions in other threads: right numbers, and a fit that does not notice them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend
from lamina.layers import BatchNorm1d, Dropout, Linear, ReLU, Sequential, manual_seed
from lamina.layers.losses import CrossEntropyLoss
from lamina.train import Adam, Trainer

X = np.random.default_rng(0).normal(size=(50, 3))
LABELS = (X[:, 0] > X[:, 1]).astype(np.int64)


def stochastic(b: Backend) -> Sequential:
    """A model whose two modes differ in every way."""
    manual_seed(0)
    return Sequential(
        Linear(3, 8, backend=b),
        BatchNorm1d(8, backend=b),
        ReLU(b),
        Dropout(backend=b),
        Linear(8, 2, backend=b),
    )


def test_predictions_beside_a_fit_change_nothing_and_are_of_one_mode(backend: Backend) -> None:
    """Between forward and backward, each step waits for a predict and an evaluate in another thread."""
    results, twins = [], []
    for disturbed in (False, True):
        model = stochastic(backend)
        loss = CrossEntropyLoss(backend=backend)
        trainer = Trainer(model, loss, Adam(model.parameters(), lr=0.01))
        backward = loss.backward

        def elsewhere(trainer: Trainer = trainer) -> None:
            first, again = (trainer.predict(X[:9], batch_size=size) for size in (9, 4))
            np.testing.assert_allclose(first, again, rtol=1e-5, atol=1e-6)
            assert trainer.evaluate((X[:9], LABELS[:9]))["loss"] > 0

        def slow(backward: Any = backward, elsewhere: Any = elsewhere) -> Any:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(elsewhere).result()
            return backward()

        if disturbed:
            loss.backward = slow  # type: ignore[method-assign, assignment]
        trainer.fit((X, LABELS), (X[:20], LABELS[:20]), epochs=2, batch_size=16)
        results.append(model.state_dict())
        twins.append(trainer.history.column("validation_loss"))
    for name, value in results[0].items():
        np.testing.assert_array_equal(value, results[1][name], err_msg=name)
    np.testing.assert_array_equal(*twins)


def test_threads_that_predict_and_evaluate_get_the_right_numbers(backend: Backend) -> None:
    model = stochastic(backend)
    trainer = Trainer(model, CrossEntropyLoss(backend=backend), Adam(model.parameters(), lr=0.01))
    trainer.fit((X, LABELS), epochs=1)
    before, scores, outputs = model.state_dict(), trainer.evaluate((X, LABELS)), trainer.predict(X)
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(trainer.evaluate, (X, LABELS), batch_size=3) for _ in range(10)]
        others = [pool.submit(trainer.predict, X, batch_size=3) for _ in range(10)]
        for job in jobs:
            assert job.result() == pytest.approx(scores, rel=1e-5)
        for other in others:
            np.testing.assert_allclose(other.result(), outputs, rtol=1e-4, atol=1e-6)
    assert model.training
    assert all(np.array_equal(value, before[name]) for name, value in model.state_dict().items())
