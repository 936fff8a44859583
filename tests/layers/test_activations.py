"""Activations in float32 against their formulas in float64: over wide ranges, all bit patterns, and edges."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend, get_backend
from lamina.backends.conformance.case import SPECIAL
from lamina.backends.conformance.checks import judge
from lamina.backends.tolerance import EXACT, FORWARD, Tolerance, ulp
from lamina.layers import ELU, GELU, SELU, Hardtanh, Module, ReLU6, SiLU, Softplus
from lamina.layers.proofs import Subject

Host = np.ndarray[Any, Any]
HALF = 100_000
EDGES = (*SPECIAL, 6.0, -0.0, 20.0, 20.000002, 88.8, -88.8, -103.9, 1e-45, -1e-45, 3.4e38, -3.4e38)


def elu(x: Host, alpha: float = 1.0) -> Host:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


def gelu(x: Host) -> Host:
    return 0.5 * x * (1.0 + np.vectorize(math.erf, otypes=[float])(x * math.sqrt(0.5)))


def gelu_of_tanh(x: Host) -> Host:
    return 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3)))


def softplus(x: Host, beta: float = 1.0, threshold: float = 20.0) -> Host:
    return np.where(beta * x > threshold, x, np.logaddexp(0.0, beta * x) / beta)


FORMULAS: list[tuple[Callable[[Backend], Module], Callable[[Host], Host], Tolerance]] = [
    (lambda b: ELU(backend=b), elu, ulp(4)),
    (lambda b: ELU(0.3, backend=b), lambda x: elu(x, 0.3), ulp(4)),
    (lambda b: SELU(backend=b), lambda x: SELU.scale * elu(x, SELU.alpha), ulp(4)),
    (lambda b: GELU(backend=b), gelu, FORWARD),
    (lambda b: GELU("tanh", backend=b), gelu_of_tanh, FORWARD),
    (lambda b: SiLU(backend=b), lambda x: x / (1.0 + np.exp(-x)), FORWARD),
    (lambda b: Softplus(backend=b), softplus, ulp(8)),
    (lambda b: Softplus(2.0, 3.0, backend=b), lambda x: softplus(x, 2.0, 3.0), ulp(8)),
    (lambda b: Hardtanh(-1.0, 0.5, backend=b), lambda x: np.clip(x, -1.0, 0.5), EXACT),
    (lambda b: ReLU6(backend=b), lambda x: np.clip(x, 0.0, 6.0), EXACT),
]


def names() -> list[str]:
    numpy = get_backend("numpy")
    return [repr(make(numpy)) for make, _, _ in FORMULAS]


@functools.cache
def samples() -> Host:
    """Numbers near 0, numbers over the range of e^x, any bits at all, and the edges."""
    source = np.random.default_rng(4)
    near = source.uniform(-6.0, 6.0, HALF)
    wide = source.uniform(-110.0, 110.0, HALF)
    bits = source.integers(0, 2**32, HALF, dtype=np.uint32).view(np.float32)
    with np.errstate(all="ignore"):
        return np.concatenate([near, wide, bits, EDGES]).astype(np.float32)


@pytest.mark.raw_only
@pytest.mark.parametrize(("make", "formula", "tolerance"), FORMULAS, ids=names())
def test_float32_is_within_its_bar(
    make: Callable[[Backend], Module],
    formula: Callable[[Host], Host],
    tolerance: Tolerance,
    backend: Backend,
) -> None:
    layer, x = make(backend), samples()
    with np.errstate(all="ignore"):
        expected = formula(x.astype(np.float64))
    with backend.session():  # infinities are meant
        y = np.asarray(backend.to_host(layer(backend.from_host(x))))
    assert y.dtype == np.float32
    if tolerance is EXACT:
        expected = expected.astype(np.float32)  # a bound that float32 has not
    judge(f"{layer} on {backend!r}", y, expected, tolerance, cuda="cuda" in backend.spec)


@pytest.mark.raw_only
@pytest.mark.parametrize(("make", "formula", "tolerance"), FORMULAS, ids=names())
def test_gradients_in_float32_are_within_the_bar(
    make: Callable[[Backend], Module],
    formula: Callable[[Host], Host],
    tolerance: Tolerance,
    backend: Backend,
) -> None:
    oracle = get_backend("numpy", dtype="float64")
    x = samples()[: 2 * HALF]
    g = np.ones_like(x)
    with backend.session():
        found = Subject(make(backend)).run(x, grad_output=g)["input"]
    exact = Subject(make(oracle)).run(x, grad_output=g)["input"]
    judge(f"the gradient on {backend!r}", found, exact, FORWARD, cuda="cuda" in backend.spec)
