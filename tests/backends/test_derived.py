"""Derived ops against scipy.special, and overrides against definitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rows import each_op

from lamina.backends import Backend, get_backend
from lamina.backends.base import DERIVED
from lamina.backends.conformance import all_cases
from lamina.backends.conformance.checks import compare

special = pytest.importorskip("scipy.special", reason="scipy is the oracle")

ROWS = [
    np.array([[0.0, 1000.0], [-1000.0, 0.0], [3.0, 3.0]]),
    np.random.default_rng(1).normal(0, 30, (20, 7)),
    np.random.default_rng(2).normal(1e4, 1, (5, 33)),
    np.array([[-np.inf, 0.0], [5.0, -np.inf]]),
]
ELEMENTWISE: dict[str, Callable[[Any], Any]] = {
    "sigmoid": special.expit,
    "softplus": lambda x: -special.log_expit(-x),
}
ALONG: dict[str, Callable[..., Any]] = {
    "softmax": special.softmax,
    "log_softmax": special.log_softmax,
    "logsumexp": special.logsumexp,
}


@pytest.mark.parametrize("op", ALONG)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_along_an_axis(backend64: Backend, op: str, axis: int) -> None:
    for rows in ROWS:
        with np.errstate(all="ignore"), backend64.session():
            ours = backend64.to_host(getattr(backend64, op)(backend64.from_host(rows), axis=axis))
            right = ALONG[op](rows, axis=axis)
        np.testing.assert_allclose(ours, right, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("op", ELEMENTWISE)
def test_elementwise(backend64: Backend, op: str) -> None:
    x = np.concatenate([np.linspace(-700, 700, 5001), np.linspace(-1, 1, 501), [-np.inf, np.inf, np.nan]])
    ours = backend64.to_host(getattr(backend64, op)(backend64.from_host(x)))
    np.testing.assert_allclose(ours, ELEMENTWISE[op](x), rtol=1e-14, atol=0)


def test_log_softmax_of_distant_logits(backend: Backend) -> None:
    ours = backend.to_host(backend.log_softmax(backend.from_host([[0.0, 1000.0]]), axis=1))
    np.testing.assert_array_equal(ours, [[-1000.0, 0.0]])


def test_softmax_gradients_match_the_jacobian(backend64: Backend) -> None:
    b, source = backend64, np.random.default_rng(3)
    x, g = source.normal(size=(1, 6)), source.normal(size=(1, 6))
    p = special.softmax(x, axis=1)[0]
    y = b.softmax(b.from_host(x), axis=1)
    ours = b.to_host(b.softmax_grad(b.from_host(g), y, axis=1))
    np.testing.assert_allclose(ours[0], (np.diag(p) - np.outer(p, p)) @ g[0], rtol=1e-9, atol=1e-12)
    log_y = b.log_softmax(b.from_host(x), axis=1)
    ours = b.to_host(b.log_softmax_grad(b.from_host(g), log_y, axis=1))
    np.testing.assert_allclose(ours[0], (np.eye(6) - np.outer(p, np.ones(6))) @ g[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("op", ["relu", "clip", "maximum", "max", "leaky_relu"])
def test_nan_passes(backend: Backend, op: str) -> None:
    args: dict[str, tuple[Any, ...]] = {"clip": (-1.0, 1.0), "maximum": (0.0,), "leaky_relu": (0.1,)}
    x = backend.from_host([np.nan])
    assert np.isnan(backend.item(getattr(backend, op)(x, *args.get(op, ()))))


@each_op(DERIVED)
def test_definitions_pass_like_overrides(op: str) -> None:
    """On numpy; definitions use primitives, which test_conformance covers on every backend."""

    class Lowered(type(get_backend("numpy"))):  # type: ignore[misc]
        pass

    setattr(Lowered, op, getattr(Backend, op))
    lowered = Lowered()
    for case in all_cases()[op]:
        with np.errstate(all="ignore"):
            compare(lowered, case, "float32", case.call(lowered, "float32"))


@pytest.mark.parametrize("size", [10, 100_003])
def test_thousand_adam_steps_agree_across_backends(backend64: Backend, size: int) -> None:
    steps = 1000 if size == 10 else 3
    options: Any = {"learning_rate": 1e-2, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
    reference, results = get_backend("numpy", dtype="float64"), []
    for b in (reference, backend64):
        _, cells = b.cells({"p": (size,), "m": (size,), "v": (size,)})
        p, m, v = cells["p"], cells["m"], cells["v"]
        b.assign(p, b.random((size,), seed=1, stream="p", distribution="normal"))
        for t in range(1, steps + 1):
            g = b.random((size,), seed=1, stream="g", step=t, distribution="normal")
            corrections: Any = {"correction1": 1 - 0.9**t, "correction2": 1 - 0.999**t}
            new = b.adam_step(p, g, m, v, **options, **corrections, out=(p, m, v))
            for cell, value in zip((p, m, v), new, strict=True):
                b.assign(cell, value)
        results.append(b.to_host(p))
    np.testing.assert_allclose(results[1], results[0], rtol=1e-9, atol=1e-12)
