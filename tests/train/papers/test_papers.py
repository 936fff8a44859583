"""Every paper's options, runs, and rows."""

from __future__ import annotations

import pytest

from lamina.train.papers.runner import Paper, Results
from lamina.train.papers.runner.report import judge
from lamina.train.papers.table import PAPERS

every = pytest.mark.parametrize("paper", PAPERS.values(), ids=PAPERS)


@every
def test_runs_are_distinct(paper: Paper) -> None:
    runs = paper.runs(paper.options({}))
    assert len({run.key for run in runs}) == len(runs)
    plans: dict[str, object] = {}
    for run in runs:  # an experiment has one plan
        assert plans.setdefault(run.name, run.plan) == run.plan


@every
def test_rows_are_distinct_and_need_no_run(paper: Paper) -> None:
    rows = paper.rows(paper.options({}))
    assert len({(row.what, row.statistic) for row in rows}) == len(rows)
    assert {judge(row, Results([])).verdict for row in rows} == {"not run"}
    # Everything is run in full; of the cubes, the paper omits the epochs.
    assert all(row.what.startswith("cubes") for row in rows if row.ran)


COUNTS = {
    "boschin": {"SGD": (30, 100), "ours, PyTorch's convention": (30, 150)},
    "jin": {"disc, last layer relu": (30, 1000)},
    "felisaz": {"batch 1, Tanh, lr 1e-06": (10, 500)},
    "carlier": {"the graph": (20, 500), "hand-written layers": (20, 500), "PyTorch": (20, 500)},
}
"""The papers' own numbers of runs and epochs."""


@pytest.mark.parametrize("name", COUNTS)
def test_the_papers_own_counts_are_run(name: str) -> None:
    runs = PAPERS[name].runs(PAPERS[name].options({}))
    for experiment, count in COUNTS[name].items():
        epochs = [run.plan.epochs for run in runs if run.name == experiment]
        assert (len(epochs), max(epochs)) == count


@pytest.mark.parametrize("name", ["chahed", "boschin", "carlier"])
def test_rows_of_time_show_the_eager_and_the_compiled_engine(name: str) -> None:
    options = PAPERS[name].options({})
    engines = {run.plan.engine for run in PAPERS[name].runs(options) if run.timed}
    assert engines >= {"compiled", "eager", "torch"}
    times = [row.what for row in PAPERS[name].rows(options) if row.form == "ratio"]
    for engine in ("compiled", "eager"):
        assert sum(engine in what for what in times) == 1


def test_only_the_validation_loss_below_its_training_loss_is_explained() -> None:
    rows = PAPERS["boschin"].rows(PAPERS["boschin"].options({}))
    assert [row.what for row in rows if row.why] == ["SGD: validation MSE"]


@every
def test_each_choice_changes_the_runs(paper: Paper) -> None:
    default = {run.key: run.plan for run in paper.runs(paper.options({}))}
    for choice in paper.choices:
        for value in choice.values[1:]:
            changed = {run.key: run.plan for run in paper.runs(paper.options({choice.name: value}))}
            assert changed != default, (choice.name, value)


def test_there_are_five() -> None:
    assert list(PAPERS) == ["chahed", "boschin", "jin", "felisaz", "carlier"]
