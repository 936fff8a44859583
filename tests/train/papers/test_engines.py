"""The engines of a plan do the same arithmetic, so their seconds may be compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend, OptionError, get_backend
from lamina.train.papers.runner import Plan, Run, first_losses, perform
from lamina.train.papers.table import PAPERS

STEPS = 100


def compared() -> dict[str, Plan]:
    """Return the plans that the papers run on other engines; the number of epochs makes no difference."""
    plans: dict[str, Plan] = {}
    for name, paper in PAPERS.items():
        for run in paper.runs(paper.options({})):
            plan = replace(run.plan, epochs=1, every=1)
            # On a raw backend "eager" is what "layers" is, which the others are compared with.
            if plan.engine not in ("layers", "eager") and plan not in plans.values():
                plans[f"{name}, {run.name}"] = plan
    return plans


PLANS = compared()


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize(("dtype", "spec"), [("float64", "numpy"), ("float32", "torch")])
def test_losses_agree_over_the_first_steps(name: str, dtype: str, spec: str) -> None:
    """Within 1e-6 over 100 steps; in float32 relative to the largest loss (boschin's begin at 26)."""
    plan = PLANS[name]
    if "torch" in (plan.engine, spec):
        pytest.importorskip("torch")
    backend = get_backend(spec, dtype=dtype)
    theirs = first_losses(plan, 0, backend, STEPS)
    ours = first_losses(replace(plan, engine="layers"), 0, backend, STEPS)
    assert len(ours) == STEPS
    assert ours[-1] != ours[0]
    bar = 1e-6 * max(1.0, theirs.max()) if dtype == "float32" else 1e-11
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=bar)


def test_a_run_is_repeatable(backend: Backend) -> None:
    run = Run("again", 3, Plan(epochs=3, samples=60), keep_weights=True)
    first, second = (perform(run, backend.spec, "float32") for _ in range(2))
    assert first.series == second.series
    assert first.weights == second.weights
    assert first.numbers["test_loss"] == second.numbers["test_loss"]
    other = perform(replace(run, seed=4), backend.spec, "float32")
    assert other.series != first.series


@pytest.mark.parametrize("changes", [{}, {"decay": 0.9}, {"batch_size": 7}])
def test_the_interval_of_evaluations_changes_no_result(backend: Backend, changes: dict[str, Any]) -> None:
    plan = replace(Plan(epochs=7, samples=60), **changes)
    often, seldom = (
        perform(Run("same", 3, replace(plan, every=every)), backend.spec, "float32") for every in (1, 3)
    )
    assert seldom.series["epoch"] == [3, 6, 7]
    assert [often.series["test_loss"][epoch - 1] for epoch in (3, 6, 7)] == seldom.series["test_loss"]


def test_a_diverging_run_ends_early() -> None:
    run = Run("too fast", 0, Plan(epochs=50, samples=60, loss="sum", options={"lr": 1e3}))
    outcome = perform(run, "numpy", "float32")
    assert outcome.numbers["epochs"] < 50
    assert not np.isfinite(outcome.numbers["train_loss"])
    assert outcome.numbers["test_right"] == 0


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"options": {"lr": 0.1, "momentum": 0.9, "momentum_form": "ema"}}, "momentum_form"),
        ({"optimizer": "RMSprop", "options": {"lr": 0.1, "eps_inside_root": True}}, "eps_inside_root"),
    ],
)
def test_torch_refuses_a_missing_convention(changes: dict[str, object], missing: str) -> None:
    pytest.importorskip("torch")
    plan = replace(Plan(engine="torch"), **changes)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=missing):
        perform(Run("torch", 0, plan), "numpy", "float32")
