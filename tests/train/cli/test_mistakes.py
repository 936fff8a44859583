"""Mistakes of a newcomer: exit code 2, a message that names the mistake, no traceback, no file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lamina.layers import Linear, Sequential
from lamina.train.cli.folders import run_folder
from lamina.train.onnx import save_onnx

# A command line, and the message it must give; " .* " stands for any words.
MISTAKES = [
    ("train disk", "Unknown data set: expected disc, cubes, digits, .* got 'disk'. Did you mean 'disc'?"),
    ("train absent.csv", "absent.csv: expected a file or folder, got no such one"),
    ("train words.cvs", "words.cvs: expected a file or folder, got no such one. Did you mean 'words.csv'?"),
    ("train disc --hidden 12x", "--hidden: expected sizes such as 128,64 .* got '12x'"),
    ("train disc --activation reluu", "--activation: expected one of relu, .* Did you mean 'relu'?"),
    ("train digits --model cn", "--model: expected one of dense, cnn, .* got 'cn'. Did you mean 'cnn'?"),
    (
        "train idx --model cnn --hidden 4",
        "--hidden: expected --model dense, got cnn",
    ),
    (
        "train idx --model jin --activation tanh",
        "--activation: expected --model dense, got jin",
    ),
    (
        "train idx --model lenet",
        "--model: lenet: expected images (C, H, W) of at least 12 x 12, got samples (1, 4, 4)",
    ),
    ("train disc --model lenet", "got samples (2,) from disc (jin); use one of dense"),
    (
        "train words.csv --model cnn",
        "--model: cnn: expected images .* got samples (3,) from words.csv",
    ),
    ("train disc --lr -1", "--lr: expected a finite number, above 0, got -1.0"),
    ("train disc --batch-size 0", "--batch-size: expected an integer of at least 1, got 0"),
    ("train disc --seed -1", "--seed: expected an integer of at least 0"),
    (
        "train disc --n 100000000000000",
        "--n: expected an integer of at least 1 and at most 100000000, got 100000000000000",
    ),
    ("train disc --test 0.3", "test = 0.3: expected a data set of kind CSV, NPZ, got 'disc'"),
    ("train disc --variant jim", "--variant: expected one of jin, .* got 'jim'. Did you mean 'jin'?"),
    ("train disc --loss cross", "--loss: expected one of .* Did you mean 'cross_entropy'?"),
    ("train disc --schedule cosin", "Did you mean 'cosine'?"),
    ("train disc --backend numpi", "Unknown backend 'numpi' (from --backend). .* Did you mean 'numpy'?"),
    ("train disc --backend stric+numpy", "Unknown decorator 'stric'"),
    ("train disc --dtype float16", "Unknown dtype 'float16' (from --dtype). Available: float32, float64"),
    (
        "train price.csv --loss cross_entropy",
        "--loss: expected mse for the real targets of price.csv, got",
    ),
    (
        "train words.csv --target answr",
        "expected the target column to be one of a, b, c, answer, got 'answr'. Did you mean 'answer'?",
    ),
    ("train ragged.csv", "ragged.csv, line 2: expected 3 cells as in line 1, got 2"),
    ("train cut.npz", "cut.npz: expected a file of numpy.savez, got another, or part of one"),
    (
        "train idx_cut",
        "train-images-idx3-ubyte: the header says 40 x 4 x 4 of uint8: expected 640 bytes .* it is cut off",
    ),
    (
        "train nan.csv",
        "nan.csv: expected finite inputs, got 1 of 303 numbers NaN or infinite; .* in row 0, column 0 ('a')",
    ),
    ("train nan.csv --check-finite --no-standardize", "expected finite inputs, got 1 of 303 numbers NaN"),
    ("train disc --out words.csv", "--out: expected a folder, got the existing file 'words.csv'"),
    ("train disc --out words.csv/x", "Cannot write the run folder 'words.csv/x': Not a directory"),
    ("train disc --out idx", "--out: expected an empty or new folder, got 'idx', which is not empty"),
    (
        "predict absent",
        "expected a run folder (with model.safetensors) or a .safetensors or .onnx file, got",
    ),
    ("predict absent.safetensors", "Cannot read model 'absent.safetensors': No such file"),
    (f"train {'x' * 300}.csv", "x.csv: cannot be read: File name too long"),
    (f"train {'x' * 300}", "cannot be read: File name too long"),
    (f"train disc --out {'x' * 300}", "Cannot write the run folder .* File name too long"),
    (f"predict {'x' * 300}", "cannot be read: File name too long"),
    (f"predict {'x' * 300}.safetensors", "File name too long"),
    (f"summary {'x' * 300}.onnx", "File name too long"),
    (f"check --replay {'x' * 300}.npz", "File name too long"),
    (f"graph disc --out {'x' * 300}.png", "cannot be written: File name too long"),
    (f"reproduce jin --out {'x' * 300}", "File name too long"),
    (f"train disc --hidden {'9' * 5000}", "--hidden: expected sizes such as 128,64 .* got '9"),
    (f"train disc --epochs {'9' * 5000}", "expected an integer, got '9"),
    (f"check lamina.layers:ReLU --input {'9' * 5000}", "--input: expected a shape such as 4,3, got '9"),
    ("train disc --hidden 4,,3", "--hidden: expected sizes such as 128,64"),
    ("train disc --hidden 4294967296", "dense: expected hidden[0] to be an integer of .* at most 2147483647"),
    ("predict foreign", "run.json': expected format '1', got '2'; use the Lamina that wrote it"),
    ("summary foreign", "run.json': expected format '1', got '2'"),
    ("predict unread", "'unread/run.json': expected JSON, got other text at line 1, column 1"),
    ("predict listed", "'listed/run.json': expected format '1', got None"),
    ("summary absent", "Unknown data set: expected .* got 'absent'"),
    ("summary absent.safetensors", "Cannot read model"),
    ("summary disc --model jim", "--model: expected one of .* got 'jim'. Did you mean 'jin'?"),
    ("backends --backend numpi", "Unknown backend 'numpi'"),
    # Mistakes that typer reports.
    ("train disc --epoch 3", "No such option: --epoch"),
    ("train disc --lr abc", "Invalid value for '--lr': expected a number, got 'abc'"),
    ("train disc --epochs 1.5", "Invalid value for '--epochs': expected an integer, got '1.5'"),
    ("train disc --lr", "--lr"),
    ("train disc digits", "unexpected extra argument"),
    ("predict", "Missing argument"),
    ("trian disc", "No such command 'trian'"),
]
ENVIRONMENT = [
    ("LAMINA_BACKEND", "numpi", "Unknown backend 'numpi' (from LAMINA_BACKEND). .* Did you mean 'numpy'?"),
    ("LAMINA_BACKEND", "torch:cuda:99", "Backend 'torch:cuda:99' cannot run"),
    ("LAMINA_SEED", "abc", "Invalid value for '--seed' (env var: 'LAMINA_SEED')"),
    ("LAMINA_THREADS", "two", "LAMINA_THREADS must be a whole number of at least 1, got 'two'"),
    ("LAMINA_DTYPE", "half", "Unknown dtype 'half' (from LAMINA_DTYPE)"),
]


def holds(text: str, message: str) -> None:
    """Assert that the pieces of a message, split at " .* ", are in the text in this order."""
    at, flat = 0, " ".join(text.replace("│", " ").split())
    for piece in message.split(" .* "):
        assert piece in flat[at:], (piece, flat)
        at = flat.index(piece, at) + len(piece)


@pytest.mark.parametrize(("line", "message"), MISTAKES, ids=[line[:60] for line, _ in MISTAKES])
@pytest.mark.usefixtures("files")
def test_a_mistake_is_named(lamina: Any, folder: Path, line: str, message: str) -> None:
    before = sorted(os.listdir(folder))
    result = lamina(line, code=2)
    holds(result.stderr, message)
    assert not result.stdout
    result = (
        lamina(f"{line} --json", code=2)
        if not line.endswith("--lr")
        else lamina(f"train --json {line[6:]}", 2)
    )
    assert list(result.json) == ["error"]
    holds(result.json["error"], message)
    assert not result.stderr
    assert sorted(set(os.listdir(folder)) - {"runs"}) == before
    assert not os.path.isdir("runs") or not os.listdir("runs")


@pytest.mark.parametrize(("name", "value", "message"), ENVIRONMENT)
def test_a_mistake_in_the_environment_is_named(
    lamina: Any, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    from lamina.backends import select

    monkeypatch.setattr(select, "_instances", {})
    monkeypatch.setattr(select, "_by_text", {})
    monkeypatch.setenv(name, value)
    holds(lamina("train disc --epochs 1", code=2).stderr, message)
    holds(lamina("train disc --epochs 1 --json", code=2).json["error"], message)
    assert not os.path.exists("runs")


@pytest.mark.usefixtures("files")
def test_a_folder_in_use_is_refused(lamina: Any, folder: Path) -> None:
    (folder / "mine").mkdir()
    with run_folder("mine", "disc"):
        holds(
            lamina("train disc --epochs 1 --out mine", code=2).stderr, "'mine' is in use by another run; wait"
        )
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
