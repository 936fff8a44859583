"""`summary`: counts in closed form, the table, nested and shared layers."""

from __future__ import annotations

import pytest

from lamina.backends import Backend, ShapeError, Tensor, get_backend
from lamina.layers import (
    Flatten,
    Linear,
    Module,
    ReLU,
    Sequential,
    Tanh,
    manual_seed,
)


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Let no test depend on how many parameters those before it have drawn."""
    manual_seed(0)


def test_summary_counts_in_closed_form(backend: Backend) -> None:
    b = backend
    sizes = [(784, 25), (25, 10), (10, 3)]
    model = Sequential(Flatten(backend=b), *(Linear(i, o, backend=b) for i, o in sizes))
    summary = model.summary((28, 28))
    assert summary.parameters == sum(i * o + o for i, o in sizes)
    assert summary.flops == sum(2 * i * o + o for i, o in sizes)
    assert [row.output_shape[1:] for row in summary.rows] == [(784,), (25,), (10,), (3,)]
    assert [row.parameters for row in summary.rows] == [0, *(i * o + o for i, o in sizes)]
    assert [row.flops for row in summary.rows] == [0, *(2 * i * o + o for i, o in sizes)]
    assert [row.name for row in summary.rows] == ["0", "1", "2", "3"]
    assert model.backend is b


def test_summary_as_a_table() -> None:
    b = get_backend("numpy")
    model = Sequential(Linear(784, 100, backend=b), ReLU(backend=b), Linear(100, 10, False, backend=b))
    lines = str(model.summary()).splitlines()
    assert lines[0].split() == ["layer", "output", "parameters", "FLOPs"]
    assert lines[2].split() == ["0", "Linear(784", "->", "100)", "(N,", "100)", "78,500", "156,900"]
    assert lines[3].split() == ["1", "ReLU()", "(N,", "100)", "0", "100"]
    assert lines[-1].split() == ["total", "79,500", "159,000"]
    assert len({len(line) for line in (lines[0], lines[2], lines[-1])}) == 1
    assert set(lines[1]) == set(lines[-2]) == {"-"}


def test_summary_of_nested_and_shared_layers() -> None:
    b = get_backend("numpy")
    inner = Sequential(Linear(4, 4, backend=b), Tanh(backend=b), Linear(4, 4, backend=b))
    inner[2].weight = inner[0].weight
    model = Sequential(inner, Linear(4, 1, backend=b))
    summary = model.summary()
    assert [row.name for row in summary.rows] == ["0.0", "0.1", "0.2", "1"]
    assert summary.parameters == 16 + 4 + 4 + 5
    assert Linear(4, 1, backend=b).summary().flops == 9
    assert all(p.grad is None for p in model.parameters())


def test_summary_needs_an_input_that_fits() -> None:
    b = get_backend("numpy")
    with pytest.raises(ShapeError, match=r"Sequential\.summary: .*pass input_shape"):
        Sequential(ReLU(backend=b)).summary()
    with pytest.raises(ShapeError, match=r"Linear\.summary with input \(N, 3\): Linear\(4 -> 1\): expected"):
        Linear(4, 1, backend=b).summary((3,))


def test_summary_counts_layers_inside_a_module_of_ones_own() -> None:
    class Twice(Module):
        def __init__(self) -> None:
            super().__init__("numpy")
            self.fc = Linear(3, 3, backend="numpy")

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.fc(x))

    rows = Sequential(Linear(2, 3, backend="numpy"), Twice()).summary().rows
    assert [row.flops for row in rows] == [15, 2 * (18 + 3)]
