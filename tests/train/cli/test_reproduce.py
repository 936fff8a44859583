"""`lamina reproduce`."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamina.train.models import Dense
from lamina.train.papers.runner import Choice, Paper, Plan, Row, Run, measured
from lamina.train.papers.table import PAPERS

from .test_interrupts import started

Lamina = Callable[..., Any]
PLAN = Plan(network=Dense((2,), (4,), 2), epochs=2, samples=20)
TINY = Paper(
    "tiny",
    "A tiny paper",
    "Nobody",
    (Choice("loss", ("mean", "sum"), "For the test."),),
    lambda options: [Run("first", seed, PLAN) for seed in options.seeds(3)],
    lambda options: [Row("accuracy", "table 1", 0.5, measured("first", "test_accuracy"), std=0.5)],
    lambda results, folder, options: [],
)


@pytest.fixture(autouse=True)
def only_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamina.train.cli.reproduce.PAPERS", {"tiny": TINY})


def test_a_paper(lamina: Lamina, folder: Path) -> None:
    out = lamina("reproduce tiny --jobs 1").stdout
    assert "A tiny paper" in out
    assert "within" in out
    assert "reproduced/tiny/report.md" in out
    assert (folder / "reproduced/tiny/report.md").exists()
    found = lamina("reproduce tiny --jobs 1 --json").json
    (row,) = found["papers"][0]["rows"]
    assert row["verdict"] == "within"
    assert row["reproduced"]["n"] == 3
    assert row["baseline"] is None


def test_all_papers_have_an_index(lamina: Lamina, folder: Path) -> None:
    lamina("reproduce all --jobs 1")
    text = (folder / "reproduced/README.md").read_text()
    assert "[A tiny paper](tiny/report.md)" in text
    assert "| accuracy | table 1 |" in text


def test_options_are_listed_and_set(lamina: Lamina) -> None:
    assert "For the test." in lamina("reproduce tiny --options").stdout
    listed = lamina("reproduce tiny --options --json").json
    assert listed["tiny"]["loss"]["values"] == ["mean", "sum"]
    found = lamina("reproduce tiny --jobs 1 --set loss=sum --json").json
    assert found["papers"][0]["options"] == {"loss": "sum"}


def test_another_set_of_options_is_not_mixed(lamina: Lamina) -> None:
    lamina("reproduce tiny --jobs 1 --out here")
    said = lamina("reproduce tiny --jobs 1 --out here --set loss=sum", code=2).stderr
    assert "expected loss 'sum', got 'mean'" in " ".join(said.split())


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_keeps_finished_runs_and_leaves_no_process(folder: Path) -> None:
    assert "chahed" in PAPERS
    process = started("reproduce", "chahed", "--jobs", "2", "--backend", "numpy")
    runs = folder / "reproduced/chahed/runs"
    try:
        stop = time.monotonic() + 120
        while not (runs.exists() and list(runs.glob("*.json"))):
            assert process.poll() is None
            assert time.monotonic() < stop
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)  # returns when all that hold the pipe have ended
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in out + err
    assert "resumes from there" in " ".join(err.split())
    assert list(runs.glob("*.json"))
    assert not (runs.parent / "report.md").exists()
