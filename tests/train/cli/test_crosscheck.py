"""Training under crosscheck: its flags, its verdict, and the replay of a divergence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

FAULTY = """
import numpy as np
from lamina.backends.numpy_backend import NumpyBackend

class Faulty(NumpyBackend):
    def relu(self, x):
        return super().relu(x) * np.float32(1.0001)
"""
TRAIN = "train disc --n 40 --epochs 1 --activation relu"


def test_a_run_without_divergence(lamina: Any) -> None:
    pytest.importorskip("torch", reason="the second library")
    found = lamina(f"{TRAIN} --out a --backend crosscheck(numpy)+torch --json").json
    assert found["divergences"] == 0
    assert found["backend"] == "crosscheck(numpy)+torch"
    text = lamina(f"{TRAIN} --out b --backend crosscheck(numpy)+torch").stdout
    assert "crosscheck(numpy)+torch float32, lockstep: " in text
    assert " ops, 0 divergences" in text
    assert "of the bar" not in text, "a line is enough where there is nothing to see"


def test_a_run_stops_at_the_first_divergence(lamina: Any, folder: Path) -> None:
    (folder / "faulty.py").write_text(FAULTY)
    error = lamina(f"{TRAIN} --backend crosscheck(numpy)+faulty:Faulty", code=2).stderr
    assert "relu in layer 1: faulty:Faulty differs from numpy (lockstep): at (" in error
    assert "crosscheck-relu-1.npz" in error
    refused = lamina("check --replay crosscheck-relu-1.npz", code=2).stderr
    assert "If you trust it, name it: --backend faulty:Faulty" in refused
    again = "check --replay crosscheck-relu-1.npz --backend faulty:Faulty"
    assert "differs from numpy" in lamina(again, code=1).stdout
    again = lamina(f"{again} --json", code=1).json
    assert again["passed"] is False
    assert "differs from numpy" in again["report"]


def test_keep_going_ends_with_a_table(lamina: Any, folder: Path) -> None:
    (folder / "faulty.py").write_text(FAULTY)
    run = f"{TRAIN} --backend crosscheck(numpy)+faulty:Faulty --keep-going"
    text = lamina(f"{run} --out a", code=1).stdout
    assert "of the bar" in text
    assert "crosscheck-relu-1.npz" in text
    found = lamina(f"{run} --out b --json", code=1).json
    assert found["divergences"] > 0
    assert (folder / "b" / "model.safetensors").exists()


def test_proofs_under_a_crosscheck(lamina: Any, folder: Path) -> None:
    (folder / "faulty.py").write_text(FAULTY)
    check = "check ReLU --backend crosscheck(numpy)+faulty:Faulty"
    assert "relu: faulty:Faulty differs from numpy" in " ".join(lamina(check, code=1).stdout.split())
    text = lamina(f"{check} --keep-going", code=1).stdout
    assert "of the bar" in text
    assert re.search(r"crosscheck-relu-\d+\.npz", text)
    assert lamina(f"{check} --keep-going --json", code=1).json["divergences"] > 0
    pytest.importorskip("torch", reason="the second library")
    right = "check ReLU --backend crosscheck(numpy)+torch"
    assert " ops, 0 divergences" in lamina(right).stdout
    assert lamina(f"{right} --json").json["divergences"] == 0
    strict = right.replace("ReLU", "Linear") + " --keep-going --tolerance 1e-30 --json"
    assert lamina(strict, code=1).json["divergences"] > 0


def test_a_replay_with_a_tolerance(lamina: Any, folder: Path) -> None:
    (folder / "faulty.py").write_text(FAULTY)
    lamina(f"{TRAIN} --backend crosscheck(numpy)+faulty:Faulty", code=2)
    replay = "check --replay crosscheck-relu-1.npz --backend faulty:Faulty"
    lamina(replay, code=1)
    assert lamina(f"{replay} --tolerance 1e9 --json", code=1).json["passed"] is False  # relu must be equal
    assert "--keep-going: expected a run of many ops" in lamina(f"{replay} --keep-going", code=2).stderr
