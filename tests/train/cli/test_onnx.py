"""`lamina export`, and ONNX files in the other commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.layers import Conv2d, Flatten, Linear, Sequential
from lamina.train import load_model, save_model
from lamina.train.onnx import save_onnx

Run = Callable[..., Any]
pytest.importorskip("onnx", reason="the commands write and read ONNX files")


@pytest.mark.parametrize("source", ["price.csv", "words.csv", "idx"])
def test_a_run_and_its_export_predict_alike(lamina: Run, files: Path, source: str) -> None:
    lamina(f"train {source} --epochs 2 --out run")
    done = lamina("export run --json")
    assert done.json["file"] == "run/model.onnx"
    assert done.json["bytes"] == Path("run/model.onnx").stat().st_size
    assert done.json["largest_difference"] < 1e-5
    data = "idx" if source == "idx" else source
    ours = lamina(f"predict run {data} --json").json
    theirs = lamina(f"predict run/model.onnx {data} --json").json
    assert ours.keys() == theirs.keys()
    for mine, other in zip(ours["predictions"], theirs["predictions"], strict=True):
        for name, value in mine.items():
            assert other[name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-4))


def test_a_convolutional_run(lamina: Run, files: Path) -> None:
    lamina("train idx --model cnn --epochs 1 --out run")
    out = lamina("export run --out net.onnx").stdout
    assert out.startswith("wrote net.onnx: ")
    assert "onnx's own evaluator agrees on 8 samples" in out
    table = lamina("summary net.onnx").stdout
    assert "Conv2d(1 -> " in table
    assert "BatchNorm2d" in table
    assert (
        lamina("summary net.onnx --json").json["parameters"]
        == lamina("summary run --json").json["parameters"]
    )


def test_an_onnx_file_of_another_program(lamina: Run, folder: Path) -> None:
    net = Sequential(
        Conv2d(1, 2, 3, backend="numpy"), Flatten(backend="numpy"), Linear(8, 2, backend="numpy")
    )
    save_onnx("net.onnx", net, (1, 4, 4))
    np.savez("new.npz", x=np.ones((3, 1, 4, 4)))
    found = lamina("predict net.onnx new.npz --json").json
    assert [row.keys() for row in found["predictions"]] == [{"prediction 0", "prediction 1"}] * 3
    error = lamina("predict net.onnx", code=2).stderr
    assert "the model does not name that of its training" in error
    save_onnx("flat.onnx", Sequential(Conv2d(1, 2, 3, backend="numpy")), (1, 4, 4))
    error = lamina("predict flat.onnx new.npz", code=2).stderr
    assert "expected outputs (N, K), got (3, 2, 2, 2)" in error


def test_a_model_with_nan_is_neither_exported_nor_used(lamina: Run, folder: Path) -> None:
    lamina("train disc --n 20 --epochs 1 --hidden 2 --out run")
    path = Path("run/model.safetensors")
    model, description = load_model(path, "numpy")
    state = model.state_dict()
    state["0.weight"][0, 0] = np.nan
    model.load_state_dict(state)
    save_model(path, model, description)
    for command in ("export run", "predict run"):
        assert "expected finite weights, got nan in '0.weight'" in lamina(command, code=2).stderr
    assert "Linear(2 -> 2)" in lamina("summary run").stdout
    assert not Path("run/model.onnx").exists()
    # Finite weights whose outputs overflow.
    state["0.weight"][...] = state["2.weight"][...] = 1e38
    model.load_state_dict(state)
    save_model(path, model, description)
    said = " ".join(lamina("predict run", code=1).stdout.split())
    assert "predictions for finite inputs are NaN or infinite; the first is in row " in said
    assert "they differ by nan" in lamina("export run", code=1).stderr


def test_a_second_export_and_a_file_that_is_cut(lamina: Run, files: Path) -> None:
    lamina("train words.csv --epochs 1 --out run")
    lamina("export run")
    whole = Path("run/model.onnx").read_bytes()
    assert "add --force to replace it" in lamina("export run", code=2).stderr
    lamina("export run --force")
    Path("cut.onnx").write_bytes(whole[: len(whole) // 2])
    for command in ("summary", "predict"):
        assert "cut short" in lamina(f"{command} cut.onnx", code=2).stderr
