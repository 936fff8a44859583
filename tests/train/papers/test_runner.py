"""The runner: reports, resumption, and folders that are never mixed."""

from __future__ import annotations

import importlib.util
import json
import math
import multiprocessing
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.backends import BackendError, DataError, OptionError, get_backend
from lamina.backends.errors import EagerWarning
from lamina.train.files import OutputError, claimed
from lamina.train.models import Jin
from lamina.train.papers.runner import (
    Paper,
    Plan,
    Report,
    Run,
    figure,
    folder,
    measured,
    perform,
    reproduce,
    runner,
    training,
)

NUMPY = get_backend("numpy")


@pytest.fixture
def performed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that collects the keys of the runs that are performed."""
    keys: list[str] = []

    def spy(run: Any, spec: str, dtype: str) -> Any:
        keys.append(run.key)
        return perform(run, spec, dtype)

    monkeypatch.setattr(runner, "perform", spy)
    return keys


def lines(report: Report) -> list[Any]:
    return [line.to_dict() for line in report.lines]


@pytest.mark.usefixtures("small_pictures")
def test_a_report(tiny: Paper, tmp_path: Path) -> None:
    report = reproduce(tiny, tiny.options({}), tmp_path / "new", NUMPY)
    first, seconds, omitted = report.lines
    assert first.verdict == "within"
    assert first.summary is not None
    assert first.summary.n == 3
    assert seconds.verdict == "cannot be compared: another machine"
    assert omitted.verdict == "not run"
    text = (tmp_path / "new/report.md").read_text()
    for part in ("| accuracy | table 1 | 50.00 ± 50.00 % |", "![Both curves.](curves.png)", "For the test."):
        assert part in text
    written = json.loads((tmp_path / "new/report.json").read_text())
    assert [row["verdict"] for row in written["rows"]] == [line.verdict for line in report.lines]
    assert (tmp_path / "new/curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_verdict_says_how_much_was_run(tiny: Paper, tmp_path: Path) -> None:
    row = replace(tiny.rows(tiny.options({}))[0], ran="3 of 30 runs")
    few = replace(tiny, rows=lambda options: [row, replace(row, reported=2.0, std=0.1, why="a reason")])
    report = reproduce(few, tiny.options({}), tmp_path, NUMPY)
    verdicts = [line.verdict for line in report.lines]
    assert verdicts == ["within (3 of 30 runs)", "worse: a reason (3 of 30 runs)"]


def test_the_order_of_completion_does_not_matter(
    tiny: Paper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = runner._outcomes
    monkeypatch.setattr(runner, "_outcomes", lambda *args: (pair for pair in [*outcomes(*args)][::-1]))
    seen: list[list[str]] = []
    watched = replace(tiny, notes=lambda results, options: seen.append(list(results.runs)) or [])
    reproduce(watched, tiny.options({}), tmp_path, NUMPY)
    assert seen == [["first", "timed"]]


def test_finished_runs_are_not_repeated(tiny: Paper, tmp_path: Path, performed: list[str]) -> None:
    options = tiny.options({})
    once = reproduce(tiny, options, tmp_path, NUMPY)
    assert performed == ["first-0", "first-1", "first-2", "timed-0"]
    (tmp_path / "runs/first-1.json").unlink()
    again = reproduce(tiny, options, tmp_path, NUMPY)
    assert performed[4:] == ["first-1"]
    assert lines(again) == lines(once)


def test_an_interrupted_report_resumes(tiny: Paper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def interrupted(run: Any, spec: str, dtype: str) -> Any:
        calls.append(run.key)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return perform(run, spec, dtype)

    monkeypatch.setattr(runner, "perform", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reproduce(tiny, tiny.options({}), tmp_path, NUMPY)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["first-0.json", "first-1.json"]
    reproduce(tiny, tiny.options({}), tmp_path, NUMPY)
    assert calls[3:] == ["first-2", "timed-0"]


def test_parallel_runs_give_the_same_numbers(tiny: Paper, tmp_path: Path) -> None:
    options = tiny.options({})
    one = reproduce(tiny, options, tmp_path / "one", NUMPY)
    two = reproduce(tiny, options, tmp_path / "two", NUMPY, jobs=2)
    assert lines(one)[0] == lines(two)[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"choices": {"loss": "sum"}}, "expected loss 'sum', got 'mean'"),
        ({"seed": 5}, "expected seed 5, got 0"),
    ],
)
def test_experiments_are_not_mixed(tiny: Paper, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    options = tiny.options({})
    reproduce(tiny, options, tmp_path, NUMPY)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    with pytest.raises(DataError, match=message):
        reproduce(tiny, replace(options, **change), tmp_path, NUMPY)
    with pytest.raises(DataError, match=r"expected backend 'strict\+numpy', got 'numpy'"):
        reproduce(tiny, options, tmp_path, get_backend("strict+numpy"))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


def test_another_version_is_another_experiment(
    tiny: Paper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reproduce(tiny, tiny.options({}), tmp_path, NUMPY)
    monkeypatch.setattr(folder, "sources", lambda: "changed")
    with pytest.raises(DataError, match=r"expected sources 'changed', got '"):
        reproduce(tiny, tiny.options({}), tmp_path, NUMPY)


def test_damaged_folders(tiny: Paper, tmp_path: Path) -> None:
    reproduce(tiny, tiny.options({}), tmp_path / "cut", NUMPY)
    path = tmp_path / "cut/runs/first-0.json"
    whole = json.loads(path.read_text())
    for name in whole.keys() - {"run", "seed"}:
        for value in (None, 3, "x", [], [1], {}, {"x": None}, {"x": "y"}):
            if (name, value) not in (("weights", None), ("eager", "x")):
                path.write_text(json.dumps({**whole, name: value}))
                with pytest.raises(DataError, match=r"first-0\.json' (is damaged|has another plan)"):
                    reproduce(tiny, tiny.options({}), tmp_path / "cut", NUMPY)
    path.write_text(json.dumps({**whole, "series": {**whole["series"], "train_loss": [1.0] * 99}}))
    with pytest.raises(DataError, match=r"is damaged: the length of a series"):
        reproduce(tiny, tiny.options({}), tmp_path / "cut", NUMPY)
    with claimed(tmp_path / "cut"), pytest.raises(OutputError, match="in use by another run"):
        reproduce(tiny, tiny.options({}), tmp_path / "cut", NUMPY)
    path.write_text("{")
    with pytest.raises(DataError, match=r"first-0\.json': expected JSON, got other text"):
        reproduce(tiny, tiny.options({}), tmp_path / "cut", NUMPY)


def test_a_missing_package_is_named(tiny: Paper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "torch" else find(name))
    plan = replace(tiny.runs(tiny.options({}))[0].plan, engine="torch")
    without = replace(
        tiny, runs=lambda options: [replace(run, plan=plan) for run in tiny.runs(options)], draw=lambda *_: []
    )
    report = reproduce(without, tiny.options({}), tmp_path, NUMPY)
    assert report.lines[0].verdict == "not run: it needs torch"


def test_a_missing_compiler_is_named(tiny: Paper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_jit(name: str, **options: Any) -> Any:
        if name.startswith("jit"):
            raise BackendError("Backend 'jit+numpy' cannot run: llvmlite is not installed.")
        return get_backend(name, **options)

    monkeypatch.setattr(training, "get_backend", without_jit)
    first = tiny.runs(tiny.options({}))[0]
    compiled = replace(first, name="compiled", plan=replace(first.plan, engine="compiled"))
    more = replace(
        tiny,
        runs=lambda options: [*tiny.runs(options), compiled],
        rows=lambda options: [replace(tiny.rows(options)[0], of=measured("compiled", "test_accuracy"))],
    )
    report = reproduce(more, tiny.options({}), tmp_path, NUMPY)
    assert [line.verdict for line in report.lines] == ["not run: it needs jit"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_step_that_is_not_compiled_is_told_once(
    tiny: Paper, tmp_path: Path, jobs: int, recwarn: pytest.WarningsRecorder
) -> None:
    pytest.importorskip("llvmlite")
    loops = Plan(data="cubes", network=Jin((3, 4, 4), 1, naive=True), samples=10, epochs=1)
    more = replace(
        tiny, runs=lambda options: [*tiny.runs(options), Run("loops", 0, loops), Run("loops", 1, loops)]
    )
    report = reproduce(more, tiny.options({}), tmp_path, get_backend("jit+numpy"), jobs=jobs)
    assert report.eager.startswith("'loops' runs op by op: expected a step of at most")
    assert (tmp_path / "report.md").read_text().count(report.eager) == 1
    assert not [one for one in recwarn if one.category is EagerWarning]
    assert reproduce(more, tiny.options({}), tmp_path, get_backend("jit+numpy")).eager == report.eager
    assert reproduce(more, tiny.options({}), tmp_path / "eager", NUMPY).eager == ""


def test_options(tiny: Paper) -> None:
    assert tiny.options({"loss": "sum"})["loss"] == "sum"
    with pytest.raises(OptionError, match=r"option: expected one of loss, got 'los'\. Did you mean 'loss'\?"):
        tiny.options({"los": "sum"})
    with pytest.raises(OptionError, match="tiny: loss: expected one of mean, sum, got 'summ'"):
        tiny.options({"loss": "summ"})
    with pytest.raises(OptionError, match="tiny: expected seed to be an integer of at least 0, got -1"):
        tiny.options({}, seed=-1)
    assert tiny.options({}, seed=np.int64(3)).seed == 3  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="reproduce: expected jobs to be an integer of at least 1, got 0"):
        reproduce(tiny, tiny.options({}), Path("never"), NUMPY, jobs=0)


def test_the_libraries_of_the_runs_have_one_thread(tiny: Paper) -> None:
    pytest.importorskip("torch")
    code = (
        "from lamina.train.papers.runner.runner import _one_thread; _one_thread(('numpy', 'torch'))\n"
        "import torch; assert torch.get_num_threads() == 1, torch.get_num_threads()"
    )
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    runs = tiny.runs(tiny.options({}))
    assert runner._libraries(runs, "numpy") == ("numpy",)
    on_torch = [replace(run, plan=replace(run.plan, engine="torch")) for run in runs]
    assert runner._libraries([*runs, *on_torch], "numpy") == ("numpy", "torch")


def test_an_interrupt_while_writing_a_file_ends_the_processes(
    tiny: Paper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Any, run: Any, outcome: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(folder.ReportFolder, "save", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:  # keeps the generator's frame alive
        reproduce(tiny, tiny.options({}), tmp_path, NUMPY, jobs=2)
    assert not multiprocessing.active_children()
    assert caught.value.__traceback__ is not None


def test_infinite_and_nan_figures_are_words() -> None:
    texts = {
        (value, form): figure(value, form, 0.1)
        for value in (math.inf, math.nan)
        for form in ("count", "number")
    }
    assert texts.pop((math.inf, "count")) == "never"
    assert set(texts.values()) == {"not finite"}
    assert figure(12.0, "count", 0.5) == "12.0 ± 0.5"
