"""`lamina check`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
pytestmark = pytest.mark.without_torch
MINE = '''
from lamina.layers import Loss, Module
from lamina.train.optimizers import SGD

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
    """The mean of (p - t)², or of ½ (p - t)²."""

    def __init__(self, factor=1.0, backend=None):
        super().__init__(backend=backend)
        self.factor = factor

    def forward(self, prediction, target):
        b = self.backend
        self.keep(b.subtract(prediction, target))
        return b.mean(b.square(self.kept(None)[0]))

    def backward(self, grad_output=None):
        (difference,) = self.kept(grad_output)
        return self.scaled(self.backend.multiply(difference, 2.0 * self.factor), grad_output, 12)

class Labels(Loss):
    """Minus the mean of the right class's score."""

    def forward(self, prediction, target):
        b = self.backend
        hot = b.one_hot(target, b.shape(prediction)[1])
        self.keep(hot)
        return b.negative(b.mean(b.sum(b.multiply(prediction, hot), axis=1)))

    def backward(self, grad_output=None):
        (hot,) = self.kept(grad_output)
        return self.backend.multiply(hot, -1.0 / self.backend.shape(hot)[0])

class Naive(Module):
    """y = ln(1 + e^x); e^x overflows long before y."""

    def forward(self, x):
        b = self.backend
        self.keep(x)
        return b.log(b.add(b.exp(x), 1.0))

    def backward(self, grad_output):
        (x,) = self.kept()
        return self.backend.multiply(grad_output, self.backend.sigmoid(x))

class Overwriting(Times):
    """y = 2 x; its backward pass overwrites the gradient of the output."""

    def backward(self, grad_output):
        self.kept()
        return self.backend.multiply(grad_output, 2.0, out=grad_output)

class Misspelt(Times):
    """y = 2 x, by an op of numpy's name."""

    def forward(self, x):
        return self.backend.mul(x, 2.0)

class Unmade(Module):
    """Its constructor sets a parameter too early."""

    def __init__(self, backend=None):
        self.weight = self.parameter((3,), None)

number = dict

class Stepper(SGD):
    """An optimizer, which has no proofs of this kind."""
'''


@pytest.fixture
def own(folder: Path) -> None:
    Path("my_layers.py").write_text(MINE)
    Path("my_broken.py").write_text("x = 1 +\n")
    Path("my_division.py").write_text("x = 1 / 0\n")


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


def test_a_users_layer(lamina: Run, own: None) -> None:
    assert "1 of 1 cases proven" in lamina("check my_layers:Times --input 4,3").stdout
    wrong = lamina("check my_layers:Times --arguments 3.0 --input 4,3", code=1).stdout
    assert "Times(): NOT proven" in wrong
    assert lamina("check my_layers:Times --arguments 3.0 --input 4,3 --json", code=1).json["passed"] is False


def test_a_users_loss(lamina: Run, own: None) -> None:
    for options in ("", "--target one-hot", "--prediction numbers --target one-hot"):
        assert "1 of 1 cases proven" in lamina(f"check my_layers:Own --input 4,3 {options}").stdout
    wrong = lamina("check my_layers:Own --arguments 0.5 --input 4,3", code=1).stdout
    assert "Own(): NOT proven" in wrong
    assert "prediction[" in wrong
    assert "1 of 1 cases proven" in lamina("check my_layers:Labels --input 4,3 --target labels").stdout


def test_a_failing_range_has_a_column(lamina: Run, own: None) -> None:
    out = " ".join(lamina("check my_layers:Naive --input 4,3", code=1).stdout.split())
    assert "range verdict" in out
    assert (
        "range: output at [0, 0] for inputs of size 1000, float32: expected 96.4189 as in float64, got inf"
        in out
    )
    (row,) = lamina("check my_layers:Naive --input 4,3 --json", code=1).json["rows"]
    assert row["range"] is None  # no number; the text is among the failures
    assert row["effects"] == 0.0
    assert "range: output at" in row["failures"][0]
    assert "range" not in lamina("check my_layers:Naive --input 4,3 --no-range").stdout


def test_a_layer_that_does_not_run_is_one_message(lamina: Run, own: None) -> None:
    result = lamina("check my_layers:Misspelt --input 4,3", code=1)
    out = " ".join(result.stdout.split())
    assert "forward: <backend strict+" in out
    assert "has no op 'mul'; use multiply (my_layers.py, line " in out
    assert "Traceback" not in out + result.stderr
    (row,) = lamina("check my_layers:Misspelt --input 4,3 --json", code=1).json["rows"]
    assert len(row["failures"][0].splitlines()) == 2


def test_failing_effects_have_a_column(lamina: Run, own: None) -> None:
    out = " ".join(lamina("check my_layers:Overwriting --input 4,3", code=1).stdout.split())
    assert "effects verdict" in out
    assert "effects: backward changed the gradient of the output at [0, 0]: expected " in out


def test_the_columns_are_in_the_help(lamina: Run) -> None:
    text = lamina("check --help").stdout
    assert all(word in text for word in ('"effects"', '"range"', "--prediction", "--target", "--no-range"))
