"""The runner: reports, going on after a stop, folders that are not mixed."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lamina.backends import DataError, OptionError, get_backend
from lamina.train.papers.runner import Paper, Report, figure, folder, perform, reproduce, runner

NUMPY = get_backend("numpy")


@pytest.fixture
def performed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list to which each run that is really done adds its key."""
    keys: list[str] = []

    def noted(run: Any, spec: str, dtype: str) -> Any:
        keys.append(run.key)
        return perform(run, spec, dtype)

    monkeypatch.setattr(runner, "perform", noted)
    return keys


def facts(report: Report) -> list[Any]:
    """Return what a report says, line by line."""
    return [line.to_dict() for line in report.lines]


def test_a_report(tiny: Paper, tmp_path: Path) -> None:
    report = reproduce(tiny, tiny.options({}), tmp_path / "new", NUMPY)
    first, seconds, left_out = report.lines
    assert first.verdict == "within"
    assert first.found is not None
    assert first.found.n == 3
    assert seconds.verdict == "cannot be compared: another machine"
    assert left_out.verdict == "not run"
    text = (tmp_path / "new/report.md").read_text()
    for part in ("| accuracy | table 1 | 50.00 ± 50.00 % |", "![Both curves.](curves.png)", "For the test."):
        assert part in text
    written = json.loads((tmp_path / "new/report.json").read_text())
    assert [row["verdict"] for row in written["rows"]] == [line.verdict for line in report.lines]
    assert (tmp_path / "new/curves.png").read_bytes().startswith(b"\x89PNG")


def test_less_than_the_paper_ran_is_said_whatever_came_out(tiny: Paper, tmp_path: Path) -> None:
    row = replace(tiny.rows(tiny.options({}))[0], ran="3 of 30 runs")
    few = replace(tiny, rows=lambda options: [row, replace(row, reported=2.0, std=0.1, why="it is dear")])
    report = reproduce(few, tiny.options({}), tmp_path, NUMPY)
    verdicts = [line.verdict for line in report.lines]
    assert verdicts == ["within (3 of 30 runs)", "worse: it is dear (3 of 30 runs)"]


def test_what_ends_first_changes_no_order(
    tiny: Paper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    performed = runner._performed
    monkeypatch.setattr(runner, "_performed", lambda *given: (pair for pair in [*performed(*given)][::-1]))
    seen: list[list[str]] = []
    watched = replace(tiny, notes=lambda results, options: seen.append(list(results.runs)) or [])
    reproduce(watched, tiny.options({}), tmp_path, NUMPY)
    assert seen == [["first", "timed"]]


def test_what_was_done_is_not_done_again(tiny: Paper, tmp_path: Path, performed: list[str]) -> None:
    options = tiny.options({})
    once = reproduce(tiny, options, tmp_path, NUMPY)
    assert performed == ["first-0", "first-1", "first-2", "timed-0"]
    (tmp_path / "runs/first-1.json").unlink()
    again = reproduce(tiny, options, tmp_path, NUMPY)
    assert performed[4:] == ["first-1"]
    assert facts(again) == facts(once)


def test_an_interrupted_run_goes_on(tiny: Paper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def stopped(run: Any, spec: str, dtype: str) -> Any:
        calls.append(run.key)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return perform(run, spec, dtype)

    monkeypatch.setattr(runner, "perform", stopped)
    with pytest.raises(KeyboardInterrupt):
        reproduce(tiny, tiny.options({}), tmp_path, NUMPY)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["first-0.json", "first-1.json"]
    reproduce(tiny, tiny.options({}), tmp_path, NUMPY)
    assert calls[3:] == ["first-2", "timed-0"]


def test_side_by_side_gives_the_same(tiny: Paper, tmp_path: Path) -> None:
    options = tiny.options({})
    one = reproduce(tiny, options, tmp_path / "one", NUMPY)
    two = reproduce(tiny, options, tmp_path / "two", NUMPY, jobs=2)
    assert facts(one)[0] == facts(two)[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"choices": {"loss": "sum"}}, "loss is 'mean' there and 'sum' here"),
        ({"scale": "quick"}, "scale is 'standard' there and 'quick' here"),
        ({"seed": 5}, "seed is 0 there and 5 here"),
    ],
)
def test_experiments_are_not_mixed(tiny: Paper, tmp_path: Path, change: dict[str, Any], said: str) -> None:
    options = tiny.options({})
    reproduce(tiny, options, tmp_path, NUMPY)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    with pytest.raises(DataError, match=said):
        reproduce(tiny, replace(options, **change), tmp_path, NUMPY)
    with pytest.raises(DataError, match=r"backend is 'numpy' there and 'strict\+numpy' here"):
        reproduce(tiny, options, tmp_path, get_backend("strict+numpy"))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


def test_another_version_is_another_experiment(
    tiny: Paper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reproduce(tiny, tiny.options({}), tmp_path, NUMPY)
    monkeypatch.setattr(folder, "sources", lambda: "changed")
    with pytest.raises(DataError, match=r"sources is '.*' there and 'changed' here"):
        reproduce(tiny, tiny.options({}), tmp_path, NUMPY)


def test_foreign_and_damaged_folders(tiny: Paper, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="no folder that `lamina reproduce` made"):
        reproduce(tiny, tiny.options({}), mine, NUMPY)
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]
    reproduce(tiny, tiny.options({}), tmp_path / "cut", NUMPY)
    (tmp_path / "cut/runs/first-0.json").write_text("{")
    with pytest.raises(DataError, match=r"first-0\.json' cannot be read .* remove it"):
        reproduce(tiny, tiny.options({}), tmp_path / "cut", NUMPY)


def test_what_is_not_installed_is_said(tiny: Paper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    plan = replace(tiny.runs(tiny.options({}))[0].plan, engine="torch")
    without = replace(
        tiny, runs=lambda options: [replace(run, plan=plan) for run in tiny.runs(options)], draw=lambda *_: []
    )
    report = reproduce(without, tiny.options({}), tmp_path, NUMPY)
    assert report.lines[0].verdict == "not run: it needs torch"


def test_options(tiny: Paper) -> None:
    assert tiny.options({"loss": "sum"})["loss"] == "sum"
    with pytest.raises(OptionError, match=r"tiny: no option 'los'; there are loss\. Did you mean 'loss'\?"):
        tiny.options({"los": "sum"})
    with pytest.raises(OptionError, match="tiny: loss must be one of mean, sum, got 'summ'"):
        tiny.options({"loss": "summ"})


def test_libraries_that_load_late_have_one_thread() -> None:
    pytest.importorskip("torch")
    code = (
        "from lamina.train.papers.runner.runner import _one_thread; _one_thread()\n"
        "import torch; assert torch.get_num_threads() == 1, torch.get_num_threads()"
    )
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_an_interrupt_while_a_file_is_written_ends_the_processes(
    tiny: Paper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Any, run: Any, outcome: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(folder.ReportFolder, "save", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:  # which keeps the frames, and what they hold, alive
        reproduce(tiny, tiny.options({}), tmp_path, NUMPY, jobs=2)
    assert not multiprocessing.active_children()
    assert caught.value.__traceback__ is not None


def test_what_is_not_finite_is_said_in_words() -> None:
    shown = {
        (value, form): figure(value, form, 0.1)
        for value in (math.inf, math.nan)
        for form in ("count", "number")
    }
    assert shown.pop((math.inf, "count")) == "never"
    assert set(shown.values()) == {"not finite"}
    assert figure(12.0, "count", 0.5) == "12.0 ± 0.5"
