"""`lamina graph` as a user types it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamina.backends import select
from lamina.backends.decorators.jit.trace import Tracer

Run = Callable[..., Any]
STARTS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF", "dot": b"digraph {"}


@pytest.mark.parametrize("kind", STARTS)
def test_a_file_of_each_kind(lamina: Run, folder: Path, kind: str) -> None:
    done = lamina(f"graph disc --hidden 4 --out net.{kind}")
    assert done.stdout == f"wrote net.{kind}: 5 boxes, 4 arrows\n"
    lamina(f"graph disc --hidden 4 --out net --to {kind}")
    for path in ("net", f"net.{kind}"):
        assert Path(path).read_bytes().startswith(STARTS[kind])
    assert len(list(folder.iterdir())) == 2


def test_no_file_is_replaced_unasked(lamina: Run, folder: Path) -> None:
    for name in ("graph.png", "graph-2.png", "graph-3.png"):
        found = lamina("graph disc --json").json
        assert found.keys() == {"file", "boxes", "arrows"}
        assert found["file"] == name
    Path("net.svg").write_text("mine")
    assert "got 'net.svg', which exists; add --force" in lamina("graph disc --out net.svg", code=2).stderr
    assert Path("net.svg").read_text() == "mine"
    lamina("graph disc --out net.svg --force")
    assert Path("net.svg").read_text().startswith("<?xml")
    assert len(list(folder.iterdir())) == 4


def test_dot_text_of_a_convolutional_network(lamina: Run, files: Path) -> None:
    assert lamina("graph idx --model cnn --out net.gv --json").json["file"] == "net.gv"
    text = Path("net.gv").read_text()
    assert "idx cnn: " in text
    assert "MaxPool2d(2x2)" in text


@pytest.mark.parametrize("stack", ["numpy", "autodiff+numpy", "profile+numpy"])
def test_a_step(lamina: Run, stack: str) -> None:
    found = lamina(f"graph disc --hidden 4 --step --backend {stack} --out step.gv --json").json
    assert (found["boxes"], found["arrows"]) == (17, 19)
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
        lamina(f"graph {source} --out net.gv --force")
        text = Path("net.gv").read_text()
        assert f"{source}: 20 parameters" in text
        assert "Linear(3 -&gt; 3)" in text
        lamina(f"graph {source} --step --out net.gv --force")
        assert "CrossEntropyLoss" in Path("net.gv").read_text()


# -- the program -----------------------------------------------------------------------------------------


def test_the_program_of_a_step(lamina: Run) -> None:
    """As the page shows it: under the layers' paths, then in primitives, then by kernels."""
    pytest.importorskip("llvmlite", reason="a program is compiled")
    found = lamina("graph disc --hidden 4 --program").stdout
    traced, rest = found.split("After the passes")
    compiled, kernels = rest.split("Its kernels")
    assert traced.startswith(
        "disc dense: a training step as it is traced\ninputs   %x0: f32[32, 2], %x1: i64[32]"
    )
    assert "\n  %2: f32[32, 4] = linear(%x0, %0, %1)\n# " in traced
    assert "adam_step(" in traced
    assert "linear(" not in compiled
    assert "\n  %2: f32[32, 4] = matmul(%x0, %0[0; 2:1, 4:2])" in compiled
    assert "store @" in compiled
    assert "\nmatmul + add + maximum\n" in kernels
    parts = lamina("graph disc --hidden 4 --program --json").json
    assert parts.keys() == {"traced", "compiled", "kernels"}
    assert parts["traced"] in found
    assert f"Its kernels, {len(parts['kernels'])}, " in found


def test_the_program_of_a_trained_network_and_of_another_backend(lamina: Run) -> None:
    pytest.importorskip("llvmlite", reason="a program is compiled")
    lamina("train disc --n 40 --hidden 4 --epochs 1 --batch-size 7 --dtype float64 --out run")
    assert "f32[7, 2]" in lamina("graph run --program").stdout
    assert "f64[32, 2]" in lamina("graph disc --program --backend strict+numpy --dtype float64").stdout


def test_mistakes_about_the_program(lamina: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for more in ("--step", "--to svg", "--out x.png", "--force"):
        error = lamina(f"graph disc --program {more}", code=2).stderr
        assert f"--program: expected no {more.split()[0]}, got both; it prints text: use > FILE" in error
    assert "--program" in lamina("graph disc --progam", code=2).stderr
    assert not list(Path().glob("*.png"))
    monkeypatch.setattr(Tracer.__init__, "__defaults__", (20,))
    error = lamina("graph disc --program", code=2).stderr
    assert (
        "--program: expected a step that compiles, got one that runs eagerly: expected a step of at" in error
    )
    monkeypatch.setattr(select, "installed", lambda name: name != "llvmlite")
    monkeypatch.setattr(select, "_instances", {})
    assert "pip install 'lamina[jit]'" in lamina("graph disc --program --backend numpy", code=2).stderr
