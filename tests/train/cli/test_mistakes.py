"""Folders in use, text that moves no cursor, and defects; mistakes are rows of the table of bad inputs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lamina.layers import Linear, Sequential
from lamina.train.cli.folders import run_folder
from lamina.train.onnx import save_onnx


@pytest.mark.usefixtures("files")
def test_a_folder_in_use_is_refused(lamina: Any, folder: Path) -> None:
    (folder / "mine").mkdir()
    with run_folder("mine", "disc"):
        said = lamina("train disc --epochs 1 --out mine", code=2).stderr
        assert "'mine' is in use by another run; wait" in " ".join(said.split())
        with run_folder(None, "disc") as first, run_folder(None, "disc") as second:
            assert (first.name, second.name) == ("disc-1", "disc-2")
    assert not os.path.exists("runs")
    assert os.path.isdir("mine"), "the user's own folder stays"
    with run_folder("new/deep", "disc"):
        pass
    assert not os.path.exists("new")
    (folder / "mine" / ".lamina-lock").write_text("")  # of a process that was killed
    lamina("train disc --n 20 --epochs 1 --hidden 2 --out mine")
    assert ".lamina-lock" not in os.listdir("mine")


ESCAPES = "\x1b]0;title\x07\x1b[2J\x9b1A\u202egpj.exe"


def test_text_from_a_file_moves_no_cursor(lamina: Any, folder: Path) -> None:
    rows = "".join(f"{k % 7},{ESCAPES if k % 2 else 'b'}\n" for k in range(40))
    (folder / "evil.csv").write_text(f"x,{ESCAPES}\n{rows}")
    lamina("train evil.csv --epochs 1 --out run")
    metadata = {"lamina": json.dumps({"format": ESCAPES})}
    save_onnx("evil.onnx", Sequential(Linear(2, 2, backend="numpy")), metadata=metadata)
    for line, code in (
        ("predict run evil.csv", 0), ("predict run evil.csv --json", 0), ("predict evil.onnx evil.csv", 2),
        ("train evil.csv --target y", 2), ("train evil.csv --target y --json", 2),
    ):  # fmt: skip
        result = lamina(line, code=code)
        assert not set(result.stdout + result.stderr) & set(ESCAPES) - set("]0;tile[2J1Agpj.x"), line
        assert "\\u001b" in result.stdout or "\\x1b" in result.stdout + result.stderr, line


def test_no_arguments_show_the_help(lamina: Any) -> None:
    result = lamina("", code=2)
    assert "train" in result.output
    assert "predict" in result.output


def test_a_defect_raises(lamina: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from lamina.train.cli import train

    def broken(*args: Any, **options: Any) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(train.Experiment, "prepare", broken)
    for line in ("train disc", "train disc --json"):
        with pytest.raises(RuntimeError, match="a defect"):
            lamina(line, code=1)
