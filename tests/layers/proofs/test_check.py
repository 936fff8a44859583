"""`check`: the whole table is proven, and so are layers and losses of the user's own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from rows import each

import lamina
from lamina.backends import Backend, get_backend
from lamina.layers import BatchNorm1d, CrossEntropyLoss, Embedding, Linear, Module, MSELoss
from lamina.layers.proofs import LAYER_CASES, LOSS_CASES, check_case
from lamina.layers.proofs.check import BACKEND, DIFFERENCES, EFFECTS, GRAPH, RANGE, TORCH

X = np.random.default_rng(0).standard_normal((4, 3))
EVERY = (*LAYER_CASES, *LOSS_CASES)


class Cube(Module):
    """y = x³; its derivative is `factor` x²."""

    def __init__(self, factor: float = 3.0, backend: Any = None) -> None:
        super().__init__(backend)
        self.factor = factor

    def forward(self, x: Any) -> Any:
        self.keep(x)
        return self.backend.multiply(self.backend.square(x), x)

    def backward(self, grad_output: Any) -> Any:
        (x,) = self.kept()
        return self.backend.multiply(grad_output, self.backend.multiply(self.backend.square(x), self.factor))


@pytest.mark.without_torch
@each(EVERY)
def test_every_row_is_proven(case: Any) -> None:
    """On numpy; torch is the second backend if it is installed."""
    numpy = get_backend("numpy", dtype="float64")
    proof = check_case(case, numpy)
    assert proof.passed, str(proof)
    if case.whole_derivative:
        assert {DIFFERENCES, GRAPH} <= set(proof.reports)
        names = {"prediction"}
        if case in LAYER_CASES:
            names = {name for name, _ in case.build(numpy).named_parameters()}
            names |= set() if case.integers else {"input"}
        assert {d.name for d in proof.reports[DIFFERENCES].differences} == names


def test_a_layer_of_the_users_own(backend: Backend) -> None:
    proof = lamina.check(Cube(backend=backend), X)
    assert proof.passed
    always = {DIFFERENCES, GRAPH, EFFECTS, RANGE}
    assert always <= set(proof.reports) <= always | {BACKEND}
    assert str(proof).startswith("Cube(): proven\n  differences: worst ")


def test_a_wrong_derivative_is_shown() -> None:
    proof = lamina.check(Cube(2.0, backend="numpy"), X)
    assert not proof.passed
    assert proof.error(DIFFERENCES) > 1.0  # type: ignore[operator]
    assert proof.error(GRAPH) > 1.0  # type: ignore[operator]
    text = str(proof)
    assert text.startswith("Cube(): NOT proven")
    assert "input[" in text
    assert "expected" in text


def test_the_layer_is_not_changed() -> None:
    layer = BatchNorm1d(3, backend="numpy")
    before = layer.state_dict()
    layer(layer.backend.from_host(X))
    kept, state = layer.kept(), layer.state_dict()
    assert lamina.check(layer, X.astype(np.float32)).passed
    assert layer.kept() is kept
    assert layer.backend is get_backend("numpy")
    assert all(np.array_equal(state[name], value) for name, value in layer.state_dict().items())
    assert not np.array_equal(before["running_mean"], state["running_mean"])


def test_losses_and_indices() -> None:
    assert lamina.check(MSELoss(backend="numpy"), X, X[::-1]).passed
    weight = get_backend("numpy").from_host([1.0, 2.0, 0.5])
    assert lamina.check(CrossEntropyLoss(weight, backend="numpy"), X, np.array([0, 1, 2, 1])).passed
    assert lamina.check(Embedding(5, 2, backend="numpy"), np.array([[0, 4], [4, 1]])).passed


def test_torch_as_an_oracle() -> None:
    torch = pytest.importorskip("torch", reason="it is the oracle")
    layer = Linear(3, 2, backend="numpy")
    proof = lamina.check(layer, X, torch=torch.nn.Linear(3, 2))
    assert TORCH in proof.reports
    assert proof.passed
    other = lamina.check(layer, X, torch=torch.nn.Linear(3, 4))
    assert TORCH in other.failures
    assert math.isinf(other.error(TORCH))  # type: ignore[arg-type]
    assert not other.passed
