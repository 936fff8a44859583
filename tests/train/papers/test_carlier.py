"""The graphs in Carlier's report."""

from __future__ import annotations

from pathlib import Path

from lamina.train.papers.reports import carlier
from lamina.train.papers.runner import Results

OPTIONS = carlier.PAPER.options({})


def test_every_figure_is_drawn(tmp_path: Path) -> None:
    drawn = carlier.draw(Results([]), tmp_path, OPTIONS)
    files = ["curves.png", "step.png", "classes.png", "operators.png"]
    assert [picture.file for picture in drawn] == files
    assert {file.name for file in tmp_path.iterdir()} == set(files)


def test_the_step_reaches_every_parameter() -> None:
    assert [node.kind for node in carlier.step(OPTIONS).nodes].count("parameter") == 8
    names = [node.label.split("\n")[0] for node in carlier.operators().nodes]
    assert sorted(names) == sorted(["x", "permute_dims", "exp", "subtract", "pow", "sum", "z"])


def test_classes_point_to_their_subclasses() -> None:
    graph = carlier.classes()
    names = [node.label.split("\n")[0] for node in graph.nodes]
    inherits = {(names[edge.source], names[edge.target]) for edge in graph.edges if not edge.label}
    assert {("Module", "Linear"), ("Module", "Softmax")} <= inherits
    assert ("Wrapper", "AutodiffBackend") in inherits
