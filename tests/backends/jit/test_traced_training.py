"""Steps of every layer, loss and optimizer: the program has the results and the cells of eager code."""

from __future__ import annotations

from typing import Any

import numpy as np
from rows import each
from steps import PASSES, Steps, jit_around

from lamina.backends import Backend
from lamina.backends.errors import TraceError
from lamina.backends.host import Host
from lamina.layers import Linear, Sequential, Tanh
from lamina.layers.proofs import LAYER_CASES, LOSS_CASES
from lamina.layers.random import seeded
from lamina.train.optimizers import SGD
from lamina.train.optimizers.proofs import OPTIMIZER_CASES

READERS = ("Embedding",)
"""Layers that may read values in Python: such a step is refused."""


def equal(actual: list[Host], expected: list[Host]) -> None:
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def layer_steps(case: Any, b: Backend) -> Steps:
    layer = case.build(b)
    parameters = layer.parameters()
    return Steps(layer, SGD(parameters, lr=0.05, momentum=0.9) if list(parameters) else None, case.inputs())


@each(LAYER_CASES)
def test_layers(case: Any, backend64: Backend) -> None:
    b = jit_around(backend64)
    expected = layer_steps(case, b).eager(3)
    naive = case.name.startswith("Naive")  # hundreds of instructions, which the passes need not see
    try:
        actual = layer_steps(case, b).compiled(3, *(() if naive else PASSES))
    except TraceError:
        assert case.name.split()[0] in READERS
        return
    equal(actual, expected)


@each(LOSS_CASES)
def test_losses(case: Any, backend64: Backend) -> None:
    b = jit_around(backend64)
    loss = case.build(b)
    loss.validate = False  # a trainer checks the values of all targets before it trains
    steps = Steps(loss, None, case.inputs())
    for passes in ((), PASSES):
        equal(steps.compiled(1, *passes), steps.eager(1))


@each(OPTIMIZER_CASES)
def test_optimizers(case: Any, backend64: Backend) -> None:
    """Twelve steps: Adam's corrections and Adagrad's rates change in each."""
    b = jit_around(backend64)

    def made() -> Steps:
        with seeded(3):
            model = Sequential(Linear(3, 4, backend=b), Tanh(backend=b), Linear(4, 2, backend=b))
        x = np.random.default_rng(0).standard_normal((5, 3))
        return Steps(model, case.make(model.parameters()), [x])

    expected = made().eager(12)
    for passes in ((), PASSES):
        equal(made().compiled(12, *passes), expected)
