"""Every paper's report, written from a few short runs of each of its experiments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lamina.backends import get_backend
from lamina.train.papers.runner import Options, Paper, Report, Run, reproduce
from lamina.train.papers.table import PAPERS


def short(paper: Paper, *, engines: tuple[str, ...]) -> Paper:
    """Return the paper with runs of one epoch, 16 samples and two seeds each, on some engines."""

    def runs(options: Options) -> list[Run]:
        return [
            replace(run, plan=replace(run.plan, epochs=1, samples=16, every=1))
            for run in paper.runs(options)
            if run.seed < 2 and run.plan.engine in engines
        ]

    return replace(paper, runs=runs)


def written(name: str, folder: Path, *engines: str) -> tuple[Report, str]:
    paper = short(PAPERS[name], engines=engines)
    report = reproduce(paper, paper.options({}), folder, get_backend("numpy"))
    return report, (folder / "report.md").read_text()


@pytest.mark.usefixtures("small_pictures")
@pytest.mark.parametrize("name", PAPERS)
def test_a_report_has_all_rows_pictures_and_numbers(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("llvmlite")
    report, text = written(name, tmp_path, "layers", "compiled", "eager", "graph", "torch")
    assert [line.row.what for line in report.lines if line.summary is None] == []
    assert report.pictures
    for picture in report.pictures:
        assert (tmp_path / picture.file).read_bytes().startswith(b"\x89PNG")
    assert " nan" not in text
    assert "not run" not in text
    assert not any("no pictures" in note for note in report.notes)


@pytest.mark.parametrize("name", ["chahed", "boschin", "carlier"])
def test_a_report_without_torch_and_compiler_has_no_nan(name: str, tmp_path: Path) -> None:
    report, text = written(name, tmp_path, "layers", "eager", "graph")
    assert any(line.summary is not None for line in report.lines)
    assert " nan" not in text
