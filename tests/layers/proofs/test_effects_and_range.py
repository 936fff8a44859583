"""Faults of a right formula: overwriting its inputs, and overflow."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import lamina
from lamina.backends import Backend, DataError
from lamina.layers import Embedding, Loss, Module, MSELoss
from lamina.layers.proofs.check import EFFECTS, RANGE

X = np.random.default_rng(0).standard_normal((4, 3))
P, T = np.random.default_rng(1).uniform(0.05, 0.95, (2, 4, 3))


class Double(Module):
    """y = 2 x, with one tensor overwritten on the way."""

    def __init__(self, overwrites: str = "", backend: Any = None) -> None:
        super().__init__(backend)
        self.overwrites = overwrites

    def forward(self, x: Any) -> Any:
        b = self.backend
        y = b.multiply(x, 2.0)
        if self.overwrites == "input in forward":
            b.multiply(x, 3.0, out=x)
        self.keep(x, y)
        return y

    def backward(self, grad_output: Any) -> Any:
        b, (x, y) = self.backend, self.kept()
        grad = b.multiply(grad_output, 2.0)
        for name, value in (("input", x), ("output", y), ("gradient", grad_output)):
            if name == self.overwrites:
                b.multiply(value, 3.0, out=value)
        return grad


@pytest.mark.parametrize(
    ("overwrites", "message"),
    [
        ("input in forward", "forward changed its input at [0, 0]: expected 0.12573, got 0.37719"),
        ("input", "backward changed its input at [0, 0]: expected"),
        ("output", "backward changed the output of forward at [0, 0]: expected"),
        ("gradient", "backward changed the gradient of the output at [0, 0]: expected"),
    ],
)
def test_an_overwritten_tensor_is_named(overwrites: str, message: str, backend: Backend) -> None:
    proof = lamina.check(Double(overwrites, backend=backend), X)
    assert proof.failures[EFFECTS].startswith(message)
    assert not proof.passed
    assert f"effects: {message}" in str(proof)


def test_a_layer_that_overwrites_nothing_passes(backend: Backend) -> None:
    proof = lamina.check(Double(backend=backend), X)
    assert proof.passed
    assert "effects: nothing found" in str(proof)
    assert lamina.check(Double(backend=backend), np.where(X > 0, X, np.nan)).error(EFFECTS) == 0.0


class Overwriting(MSELoss):
    """A loss that leaves the difference in its prediction."""

    def forward(self, prediction: Any, target: Any) -> Any:
        value = super().forward(prediction, target)
        self.backend.subtract(prediction, target, out=prediction)
        return value


def test_a_loss_that_overwrites_its_prediction(backend: Backend) -> None:
    proof = lamina.check(Overwriting(backend=backend), P, T)
    assert proof.failures[EFFECTS].startswith("forward changed its prediction at [0, 0]: expected")
    proof = lamina.check(MSELoss("none", backend=backend), P, T)
    assert proof.passed
    assert proof.error(EFFECTS) == 0.0


class Elementwise(Module):
    """An elementwise function by name, with its derivative."""

    def __init__(self, function: str, backend: Any = None) -> None:
        super().__init__(backend)
        self.function = function

    def forward(self, x: Any) -> Any:
        b = self.backend
        y = b.exp(x)
        if self.function == "exp":
            self.keep(y)
        elif self.function == "log(1 + exp)":
            self.keep(b.sigmoid(x))
            y = b.log(b.add(y, 1.0))
        elif self.function == "exp / (1 + exp)":
            y = b.divide(y, b.add(y, 1.0))
            self.keep(b.multiply(y, b.subtract(1.0, y)))
        elif self.function == "unsteady":
            y = b.sigmoid(x)
            e = b.exp(b.negative(x))
            self.keep(b.divide(e, b.square(b.add(e, 1.0))))
        return y

    def backward(self, grad_output: Any) -> Any:
        (slope,) = self.kept()
        return self.backend.multiply(grad_output, slope)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("exp / (1 + exp)", r"output at .* float64: expected a finite value, got NaN"),
        ("log(1 + exp)", r"output at .* float32: expected 96.4189 as in float64, got inf"),
        ("unsteady", r"gradient of input at .* float64: expected a finite value, got NaN"),
    ],
)
def test_a_needless_overflow_is_found(function: str, message: str, backend: Backend) -> None:
    layer = Elementwise(function, backend=backend)
    proof = lamina.check(layer, X)
    assert re.match(message, proof.failures[RANGE])
    assert set(proof.failures) == {RANGE}
    assert all(report.passed for report in proof.reports.values())
    assert lamina.check(layer, X, large=False).passed


def test_a_value_beyond_the_range_may_be_infinite(backend: Backend) -> None:
    assert lamina.check(Elementwise("exp", backend=backend), X).passed


def test_float64_decides_what_float32_must_hold(backend: Backend) -> None:
    """float32 cannot hold this sum of squares, but it can hold its root."""

    class Norm(Module):
        def forward(self, x: Any) -> Any:
            b = self.backend
            y = b.sqrt(b.sum(b.square(b.multiply(x, 1e18)), axis=1, keepdims=True))
            self.keep(x, y)
            return y

        def backward(self, grad_output: Any) -> Any:
            b, (x, y) = self.backend, self.kept()
            return b.multiply(grad_output, b.divide(b.multiply(b.multiply(x, 1e18), 1e18), y))

    fault = lamina.check(Norm(backend=backend), X).failures[RANGE]
    assert re.match(
        r"output at \[0, 0\] for inputs of size 1000, float32: expected .* in float64, got inf", fault
    )


class BCE(Loss):
    """Mean binary cross-entropy of probabilities, clipped if `floor` is above 0."""

    def __init__(self, floor: float = 0.0, backend: Any = None) -> None:
        super().__init__(backend=backend)
        self.floor = floor

    def forward(self, prediction: Any, target: Any) -> Any:
        b = self.backend
        p = b.clip(prediction, self.floor, 1.0 - self.floor)
        self.keep(p, target)
        yes = b.multiply(target, b.log(p))
        no = b.multiply(b.subtract(1.0, target), b.log(b.subtract(1.0, p)))
        return b.negative(b.mean(b.add(yes, no)))

    def backward(self, grad_output: Any = None) -> Any:
        p, t = self.kept(grad_output)
        b = self.backend
        slope = b.divide(b.subtract(p, t), b.multiply(p, b.subtract(1.0, p)))
        return self.scaled(slope, grad_output, int(np.prod(b.shape(p))))


def test_probabilities_are_tried_at_0_and_1(backend: Backend) -> None:
    assert lamina.check(BCE(1e-6, backend=backend), P, T).passed
    assert lamina.check(BCE(backend=backend), P, T).failures[RANGE] == (
        "loss for predictions of 0 and 1, equal to the targets, float64: expected a finite value, got NaN"
    )


def test_refusing_large_inputs_is_not_a_fault(backend: Backend) -> None:
    class Guarded(Double):
        def forward(self, x: Any) -> Any:
            if float(np.abs(self.backend.to_host(x)).max()) > 5.0:
                raise DataError("expected numbers up to 5")
            return super().forward(x)

    proof = lamina.check(Guarded(backend=backend), X)
    assert RANGE not in proof.reports
    assert RANGE not in proof.failures
    indices = np.array([[0, 4], [4, 1]])
    assert RANGE not in lamina.check(Embedding(5, 2, backend=backend), indices).reports
