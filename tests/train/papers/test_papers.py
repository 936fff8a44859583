"""Every paper's options, runs at each scale, and rows."""

from __future__ import annotations

import pytest

from lamina.train.papers.runner import Paper, Results
from lamina.train.papers.runner.report import judge
from lamina.train.papers.table import PAPERS

every = pytest.mark.parametrize("paper", PAPERS.values(), ids=PAPERS)


@every
@pytest.mark.parametrize("scale", ["quick", "standard", "full"])
def test_runs_are_distinct(paper: Paper, scale: str) -> None:
    options = paper.options({}, scale=scale)  # type: ignore[arg-type]
    runs = paper.runs(options)
    assert len({run.key for run in runs}) == len(runs)
    plans: dict[str, object] = {}
    for run in runs:  # an experiment has one plan
        assert plans.setdefault(run.name, run.plan) == run.plan


@every
@pytest.mark.parametrize("scale", ["quick", "standard", "full"])
def test_rows_are_distinct_and_need_no_run(paper: Paper, scale: str) -> None:
    rows = paper.rows(paper.options({}, scale=scale))  # type: ignore[arg-type]
    assert len({(row.what, row.statistic) for row in rows}) == len(rows)
    assert {judge(row, Results([])).verdict for row in rows} == {"not run"}
    reported = [row for row in rows if not row.what.startswith("cubes")]  # the paper omits their epochs
    assert scale != "full" or not any(row.ran for row in reported)


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


@every
def test_the_quick_scale_is_quick(paper: Paper) -> None:
    steps = {
        scale: sum(run.plan.steps for run in paper.runs(paper.options({}, scale=scale)))  # type: ignore[arg-type]
        for scale in ("quick", "standard")
    }
    assert steps["quick"] < 0.5 * steps["standard"]
    assert steps["quick"] < 1_500_000


def test_there_are_five() -> None:
    assert list(PAPERS) == ["chahed", "boschin", "jin", "felisaz", "carlier"]
