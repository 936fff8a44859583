"""Validation loss chooses the learning rate of each cell, among the runs that did not diverge."""

from __future__ import annotations

import math

from lamina.train.papers import felisaz
from lamina.train.papers.runner import Outcome, Results, Run
from lamina.train.papers.table import PAPERS

OPTIONS = PAPERS["felisaz"].options({})


def losses_of(losses: dict[float, tuple[float, float]]) -> Results:
    """Return one run per learning rate with (validation loss, test loss)."""
    done = []
    for rate, (validation, test) in losses.items():
        run = Run(felisaz.name(5, "ReLU", rate), 0, felisaz.plan(OPTIONS, 5, "ReLU", rate))
        done.append((run, Outcome({"validation_loss": validation, "test_loss": test})))
    return Results(done)


def test_validation_loss_chooses() -> None:
    results = losses_of({1e-2: (0.02, 0.5), 1e-3: (0.03, 0.1)})
    assert felisaz.chosen(results, 5, "ReLU") == 1e-2
    assert felisaz.chosen(results, 5, "ReLU", "test") == 1e-3
    assert felisaz.tuned(5, "ReLU", "test_loss")(results) == [0.5]


def test_a_diverged_run_is_not_chosen() -> None:
    for loss in (math.nan, math.inf):
        assert felisaz.chosen(losses_of({1e-2: (loss, loss), 1e-3: (0.9, 0.9)}), 5, "ReLU") == 1e-3


def test_the_grid_has_the_papers_70_models_of_10_runs() -> None:
    runs = [run for run in PAPERS["felisaz"].runs(OPTIONS) if run.name.startswith("batch")]
    assert (len({run.name for run in runs}), len(runs)) == (70, 700)
    assert {run.plan.epochs for run in runs} == {500}
    assert sum(run.plan.steps for run in runs) == 69_250_000


def test_a_cell_that_was_not_run_has_no_value() -> None:
    results = losses_of({})
    assert math.isnan(felisaz.chosen(results, 5, "ReLU"))
    assert felisaz.tuned(5, "ReLU", "test_loss")(results) == []
    rows = felisaz.rows(OPTIONS)
    assert len(rows) == 7 * 2 * 5
    assert all(row.of(results) == [] for row in rows)
