"""`MeanErrorLoss`: its hand-written gradient, against autodiff and torch's autograd, step by step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lamina.backends import Backend, get_backend
from lamina.train.papers.runner import Plan, first_losses
from lamina.train.papers.runner.mean_error import MeanErrorLoss
from lamina.train.papers.runner.plan import loss_of

PLAN = Plan(data="felisaz", loss="mean_error", options={"lr": 0.01}, batch_size=20, standardize=True)


@pytest.mark.parametrize("engine", ["graph", "torch"])
def test_losses_agree_over_the_first_steps(engine: str) -> None:
    if engine == "torch":
        pytest.importorskip("torch")
    backend = get_backend("numpy", dtype="float64")
    ours = first_losses(PLAN, 0, backend, 100)
    theirs = first_losses(replace(PLAN, engine=engine), 0, backend, 100)  # type: ignore[arg-type]
    assert ours[-1] != ours[0]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_one_sample_gives_its_squared_error_and_opposite_errors_cancel(backend: Backend) -> None:
    loss = MeanErrorLoss("sum", backend=backend)
    prediction = backend.from_host(np.array([[3.0, 1.0], [1.0, 1.0]]))
    target = backend.from_host(np.array([[1.0, 1.0], [3.0, 3.0]]))
    assert backend.item(loss(prediction, target)) == pytest.approx(2.0)  # 2 (0² + 1²)
    np.testing.assert_allclose(backend.to_host(loss.backward()), [[0.0, -2.0], [0.0, -2.0]])
    first = [backend.slice(x, (0, 0), (1, 2)) for x in (prediction, target)]
    assert backend.item(loss(*first)) == pytest.approx(4.0)


def test_reports_show_the_squared_error() -> None:
    outputs, targets = np.array([[3.0, 1.0], [1.0, 1.0]]), np.array([[1.0, 1.0], [3.0, 3.0]])
    assert loss_of(PLAN, outputs, targets) == 6.0
