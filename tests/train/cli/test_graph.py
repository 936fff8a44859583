"""`lamina graph` as a user types it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
drawn = pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz's dot program draws the picture")


@drawn
@pytest.mark.parametrize(("ending", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_a_picture_of_each_kind(lamina: Run, ending: str, start: bytes) -> None:
    done = lamina(f"graph disc --hidden 4 --out net.{ending}")
    assert done.stdout == f"wrote net.{ending}: 5 boxes, 4 arrows\n"
    assert Path(f"net.{ending}").read_bytes().startswith(start)
    assert "Linear(2 -&gt; 4)" in Path("net.gv").read_text()


@drawn
def test_json_and_the_usual_name(lamina: Run, folder: Path) -> None:
    assert lamina("graph disc --json").json.keys() == {"file", "boxes", "arrows"}
    assert sorted(path.name for path in folder.iterdir()) == ["graph.gv", "graph.svg"]


def test_the_text_alone(lamina: Run, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert lamina("graph idx --model cnn --out net.gv --json").json["file"] == "net.gv"
    text = Path("net.gv").read_text()
    assert "idx cnn: " in text
    assert "MaxPool2d(2x2)" in text


def test_without_the_dot_program(lamina: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    error = lamina("graph disc --out net.png", code=2).stderr
    assert "The graph is written to 'net.gv'; to draw it as a picture install graphviz" in error
    assert Path("net.gv").read_text().startswith("digraph {")
    assert not Path("net.png").exists()
    assert "install graphviz" in lamina("graph disc --json", code=2).json["error"]


@pytest.mark.parametrize("stack", ["numpy", "autodiff+numpy", "profile+numpy"])
def test_a_step(lamina: Run, stack: str) -> None:
    found = lamina(f"graph disc --hidden 4 --step --backend {stack} --out step.gv --json").json
    assert (found["boxes"], found["arrows"]) == (22, 25)
    text = Path("step.gv").read_text()
    for part in ("disc dense: a training step", "loss: CrossEntropyLoss()", "0.weight", "input", "target"):
        assert part in text


def test_a_step_of_every_kind_of_target(lamina: Run, files: Path) -> None:
    lamina("graph price.csv --step --out a.gv")
    assert "MSELoss()" in Path("a.gv").read_text()
    lamina("graph words.csv --step --loss bce --out b.gv")
    assert "BCELoss()" in Path("b.gv").read_text()


def test_a_run_and_its_export(lamina: Run, files: Path) -> None:
    pytest.importorskip("onnx", reason="the run is exported")
    lamina("train words.csv --hidden 3 --epochs 1 --out run")
    lamina("export run")
    for source in ("run", "run/model.safetensors", "run/model.onnx"):
        lamina(f"graph {source} --out net.gv")
        text = Path("net.gv").read_text()
        assert f"{source}: 20 parameters" in text
        assert "Linear(3 -&gt; 3)" in text
        lamina(f"graph {source} --step --out net.gv")
        assert "CrossEntropyLoss" in Path("net.gv").read_text()


MISTAKES = [
    ("graph disk", "Unknown data set 'disk'. .* Did you mean 'disc'?"),
    ("graph disc --out net.jpg", "--out: expected a file that ends in one of .svg, .png, .* got 'net.jpg'"),
    ("graph disc --out no/net.svg", "Cannot write 'net.gv' in folder .*no': the folder does not exist"),
    ("graph disc --out idx.svg/net.svg", "Cannot write 'net.gv'"),
    ("graph digits --model lenet", "--model: lenet takes images"),
    ("graph disc --model lenett", "Did you mean 'lenet'?"),
    ("graph absent.onnx", "No such file"),
    ("graph run --model cnn", "--model: expected a data set, got the trained model 'run'"),
    ("graph disc --step --backend strict+numpy", "--step draws what autodiff records, .* 'strict\\+numpy'"),
    ("graph disc --backend numpi", "Unknown backend 'numpi'"),
    ("graph disc --stepp", "No such option: --stepp"),
    ("grap disc", "No such command 'grap'"),
]


@pytest.mark.parametrize(("line", "message"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_mistakes(lamina: Run, files: Path, line: str, message: str) -> None:
    if " run " in f"{line} ":
        lamina("train words.csv --epochs 1 --out run")
    before = sorted(files.iterdir())
    done = lamina(line, code=2)
    assert re.search(message, " ".join(done.stderr.split()))
    assert sorted(files.iterdir()) == before
