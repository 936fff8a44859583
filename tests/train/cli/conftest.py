"""An empty working folder, data of several kinds, and the command line in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from idx_files import write_idx
from typer.testing import CliRunner

from lamina.train.cli import app

Run = Callable[..., Any]

RNG = np.random.default_rng(0)
X = RNG.normal(size=(100, 3))
WORDS = np.where(X[:, 0] + X[:, 1] > 0, "yes", "no")
PRICE = 1e6 * (X[:, 0] - X[:, 2]) + 5e6


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("LAMINA_DTYPE", "LAMINA_SEED", "LAMINA_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LAMINA_BACKEND", "numpy")
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture
def lamina() -> Run:
    """Return a function that runs a command line; it checks the exit code and allows no traceback."""

    def run(line: str, code: int = 0) -> Any:
        result = CliRunner().invoke(app, line.split(), prog_name="lamina")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, (result.exit_code, result.stdout, result.stderr)
        assert "Traceback" not in result.output
        if "--json" in line.split():
            assert result.stdout.count("\n") == 1
            result.json = json.loads(result.stdout, parse_constant=lambda word: pytest.fail(word))
            assert isinstance(result.json, dict)
        return result

    return run


@pytest.fixture
def files(folder: Path) -> Path:
    """Write one file of each kind into the folder."""
    rows = [",".join(map(repr, map(float, row))) for row in X]
    write = lambda name, head, lines: Path(name).write_text("\n".join([head, *lines]) + "\n")  # noqa: E731
    write("words.csv", "a,b,c,answer", [f"{row},{word}" for row, word in zip(rows, WORDS, strict=True)])
    write(
        "ints.csv", "a,b,c,answer", [f"{row},{int(w == 'yes')}" for row, w in zip(rows, WORDS, strict=True)]
    )
    write("price.csv", "a,b,c,price", [f"{row},{price}" for row, price in zip(rows, PRICE, strict=True)])
    write("features.csv", "a,b,c", rows)
    write("other_order.csv", "c,a,b", [",".join(map(repr, map(float, row[[2, 0, 1]]))) for row in X])
    write("wrong.csv", "a,bb,c", rows)
    write("nan.csv", "a,b,c,answer", ["nan,0,1,no", *(f"{r},{w}" for r, w in zip(rows, WORDS, strict=True))])
    Path("ragged.csv").write_text("1,2,3\n1,2\n3,4,5\n")
    Path("text.csv").write_text("a,b,c\n1,x,3\n1,2,3\n")
    Path("empty.csv").write_text("")
    np.savez("arrays.npz", x=X, y=WORDS)
    Path("cut.npz").write_bytes(Path("arrays.npz").read_bytes()[:500])
    images, labels = RNG.integers(0, 256, (60, 4, 4)).astype(np.uint8), (np.arange(60) % 3).astype(np.uint8)
    for place in ("idx", "idx_cut"):
        Path(place).mkdir()
        for part, piece in (("train", slice(0, 40)), ("t10k", slice(40, 60))):
            write_idx(f"{place}/{part}-images-idx3-ubyte", images[piece])
            write_idx(f"{place}/{part}-labels-idx1-ubyte", labels[piece])
    for name, record in (("foreign", '{"format": "2"}'), ("unread", "x"), ("listed", "[]")):
        Path(name).mkdir()
        Path(name, "model.safetensors").write_text("")
        Path(name, "run.json").write_text(record)
    cut = Path("idx_cut/train-images-idx3-ubyte")
    cut.write_bytes(cut.read_bytes()[:300])
    return folder
