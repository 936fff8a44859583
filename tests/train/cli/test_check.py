"""`lamina check` as a user types it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
MINE = '''
from lamina.layers import Loss, Module

class Times(Module):
    """y = factor x."""

    def __init__(self, factor=2.0, backend=None):
        super().__init__(backend)
        self.factor = factor

    def forward(self, x):
        self.keep()
        return self.backend.multiply(x, self.factor)

    def backward(self, grad_output):
        self.kept()
        return self.backend.multiply(grad_output, 2.0)

class Own(Loss):
    pass

number = dict
'''


@pytest.fixture
def own(folder: Path) -> None:
    Path("my_layers.py").write_text(MINE)


def test_a_layer_by_name(lamina: Run) -> None:
    found = lamina("check Linear --json").json
    assert found["passed"] is True
    (row,) = found["rows"]
    assert row["name"] == "Linear"
    assert row["cases"] >= 5
    assert 0 < row["differences"] < 1
    assert 0 <= row["graph"] < 1
    out = lamina("check Linear").stdout
    assert "proven" in out
    assert "finite differences, every index" in out


def test_a_class_of_ones_own(lamina: Run, own: None) -> None:
    assert "1 of 1 cases proven" in lamina("check my_layers:Times --input 4,3").stdout
    wrong = lamina("check my_layers:Times --arguments 3.0 --input 4,3", code=1).stdout
    assert "Times(): NOT proven" in wrong
    assert lamina("check my_layers:Times --arguments 3.0 --input 4,3 --json", code=1).json["passed"] is False


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("check Lineal", "Did you mean 'Linear'?"),
        ("check my_layers:Times", "my_layers:Times does not know its input's shape; give it with --input"),
        ("check my_layers:Tims --input 2", "has no attribute 'Tims'"),
        ("check no_such:Times --input 2", "No module named 'no_such'"),
        ("check my_layers:Times --input 2,x", "--input: expected extents such as 4,3, got '2,x'"),
        (
            "check my_layers:Times --arguments (( --input 2",
            '--arguments: expected values such as "3, bias=True"',
        ),
        ("check my_layers:Times --arguments bad=1 --input 2", "cannot be made with (bad=1) and backend=..."),
        ("check my_layers:number --input 2", "expected a subclass of lamina.Module, got dict"),
        (
            "check my_layers:Own --input 2",
            "is a loss: prove it in Python, lamina.check(loss, prediction, target)",
        ),
        ("check Linear --input 2", "--arguments and --input are for a class of your own, module:Class"),
        ("check Linear --backend numpi", "Did you mean 'numpy'?"),
        ("check --replay no.npz", "no.npz"),
    ],
)
def test_mistakes(lamina: Run, own: None, line: str, message: str) -> None:
    assert message in " ".join(lamina(line, code=2).stderr.split())
