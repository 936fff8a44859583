"""The pictures of Carlier's graphs, with graphviz's `dot` and without."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lamina.train.papers.reports import carlier
from lamina.train.papers.runner import Results

OPTIONS = carlier.PAPER.options({}, scale="quick")


def test_without_dot_the_graphs_are_written_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    pictures = carlier.draw(Results([]), tmp_path, OPTIONS)
    assert [picture.file for picture in pictures] == ["curves.png"]
    assert {file.name for file in tmp_path.glob("*.gv")} == {"step.gv", "classes.gv", "operators.gv"}


def test_the_step_reaches_every_parameter() -> None:
    labels = [label for label, kind in carlier.step(OPTIONS).boxes.values() if kind == "parameter"]
    assert len(labels) == 8
    names = [label.split("\n")[0] for label, _ in carlier.operators().boxes.values()]
    assert sorted(names) == sorted(["x", "permute_dims", "exp", "subtract", "pow", "sum", "z"])


def test_classes_are_drawn_as_they_inherit() -> None:
    dot = carlier.classes()
    name = {box: label.split("\n")[0] for box, (label, _) in dot.boxes.items()}
    inherits = {(name[a], name[b]) for a, b, text in dot.arrows if not text}
    assert {("Module", "Linear"), ("Module", "Softmax")} <= inherits
    assert ("Wrapper", "AutodiffBackend") in inherits
