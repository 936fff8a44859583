"""`Variable`: what it accepts, as torch's tensors do, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend, LaminaError, grad, variable

LIKE_TORCH: list[Any] = [
    lambda v: v == 2.0,
    lambda v: v != 2,
    lambda v: v < 2.0,
    lambda v: v <= 2,
    lambda v: v > 2.0,
    lambda v: v >= 2.0,
    lambda v: 2.0 < v,  # noqa: SIM300
    lambda v: 2.0 >= v,  # noqa: SIM300
    lambda v: v == v,
    lambda v: v == v * 1.0,
    lambda v: v == True,  # noqa: E712
    lambda v: ~(v == 2.0),
    lambda v: v.reshape((3, 2)),
    lambda v: v.reshape([-1, 2]),
    lambda v: v.reshape(np.int64(6)),
    lambda v: v.repeat(2, 1),
    lambda v: v.repeat((2, 1, 3)),
    lambda v: v.reshape(6).repeat(2),
    lambda v: v.reshape(6).t(),
    lambda v: v.sum(dim=0, keepdim=True),
    lambda v: v.mean(axis=[0, 1]),
    lambda v: v.pow(v),
]


@pytest.mark.parametrize("number", range(len(LIKE_TORCH)))
def test_what_torch_accepts(backend: Backend, number: int) -> None:
    torch = pytest.importorskip("torch", reason="it is the oracle")
    data = [[1.0, 2.0, 3.0], [2.0, float("nan"), 0.0]]
    ours = LIKE_TORCH[number](variable(data, backend.raw)).numpy()
    theirs = LIKE_TORCH[number](torch.tensor(data)).numpy()
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_truth_and_hash() -> None:
    x = variable([1.0, 0.0], "numpy")
    assert not bool(variable(0.0, "numpy"))
    assert bool(variable([[2.0]], "numpy"))
    assert (float(x.sum()), int(x.sum())) == (1.0, 1)
    assert {x: "x", x.exp(): "y"}[x] == "x"
    assert x in [x]
    assert (x == None) is False  # noqa: E711
    assert (x != "x") is True
    whole = variable([1, 2], "numpy", requires_grad=False)
    assert (whole == 1.0).numpy().tolist() == [True, False]
    assert (whole < 1.5).numpy().tolist() == [True, False]
    assert grad((x * x).sum(), x)[0].numpy().tolist() == [2.0, 0.0]  # type: ignore[union-attr]
    assert variable(x, "numpy").numpy().tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda v: bool(v), "bool: expected a Variable of one element, got shape (2, 2); reduce it first"),
        (lambda v: bool(v == v), "bool: expected a Variable of one element"),
        (
            lambda v: v.reshape(2.0, 2),
            "reshape: expected argument 0 to be an integer of at least -1",
        ),
        (
            lambda v: v.repeat(2),
            "repeat: expected a number for each axis of shape (2, 2), 2 or more",
        ),
        (lambda v: v.repeat(-1, 1), "repeat: expected argument 0 to be an integer of at least 0, got -1"),
        (lambda v: v.reshape(1, 2, 2).t(), "t: expected at most two axes, got shape (1, 2, 2)"),
        (
            lambda v: grad(np.ones(2), v),
            "grad: expected a Variable in output, got ndarray; lamina.variable",
        ),
        (lambda v: grad(v.sum(), [np.ones(2)]), "grad: expected a Variable in inputs, got ndarray"),
        (lambda v: v.view(4), "Variable has no attribute 'view'; use reshape"),
        (lambda v: v.clamp(0), "Variable has no attribute 'clamp'; use v.backend.clip(v, ...)"),
        (lambda v: v @ 3.0, "matmul: expected a tensor of the "),
        (lambda v: v + None, "unsupported operand type(s) for +"),
    ],
)
def test_what_variables_refuse(backend: Backend, act: Any, message: str) -> None:
    v = variable([[1.0, 2.0], [3.0, 4.0]], backend.raw)
    with pytest.raises((LaminaError, TypeError, AttributeError)) as caught:
        act(v)
    assert message in str(caught.value)
