"""Steps of every layer, loss and optimizer run natively: after many steps, the numbers of eager code."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from rows import each, of_each_class
from steps import Steps

from lamina.backends import Backend, get_backend
from lamina.backends.decorators.jit.decorator import JitBackend
from lamina.layers import Linear, MSELoss, Sequential, Tanh
from lamina.layers.proofs import LAYER_CASES, LOSS_CASES
from lamina.layers.random import seeded
from lamina.train import LeNet, ResNet
from lamina.train.optimizers import SGD
from lamina.train.optimizers.proofs import OPTIMIZER_CASES

STEPS = 100


def jit(dtype: str, inner: str = "numpy") -> Any:
    return JitBackend(get_backend(inner, dtype=dtype))  # type: ignore[abstract]  # made by funnelled


def run(steps: Steps, count: int, numbers: dict[str, Any], *, compiled: bool) -> list[np.ndarray]:
    """Take steps on one batch; return the results of the last, and all cells."""
    b: Any = steps.backend
    rows = b.shape(steps.tensors[0])[0]
    order = np.tile(np.arange(rows), count)
    step = b.compile(steps) if compiled else b.inner.compile(steps)
    results = step(tuple(steps.tensors), order, batch_size=rows, numbers=numbers)
    last = [b.to_host(x)[-rows:] if b.shape(x)[0] != count else b.to_host(x)[-1:] for x in results]
    optimizer = steps.optimizer
    cells = [] if optimizer is None else [c for g in optimizer.groups for c in g.host_cells().values()]
    state = steps.subject.state_dict().values() if hasattr(steps.subject, "state_dict") else []
    return [*last, *state, *cells]


def compare(make: Any, dtype: str, count: int = STEPS, *, chaotic: bool = False) -> None:
    """Compare native with eager steps.

    chaotic: some optimizers enlarge the last digit of a small gradient in each step. Native steps may then
    differ from eager ones by ten times what torch's eager steps differ from numpy's.
    """
    eager, native = make(jit(dtype)), make(jit(dtype))
    numbers: dict[str, Any] = {}
    if eager.optimizer is not None:
        rows = [eager.optimizer.scalars(step + 1) for step in range(count)]
        numbers = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        actual = run(native, count, numbers, compiled=True)
    expected = run(eager, count, numbers, compiled=False)
    bar = {"float64": 1e-10, "float32": 1e-5}[dtype]
    again = run(make(jit(dtype, "torch")), count, numbers, compiled=False) if chaotic else expected
    for one, other, third in zip(actual, expected, again, strict=True):
        chaos = 10 * np.abs(third - other).max(initial=0.0) if chaotic else 0.0
        scale = np.abs(other[np.isfinite(other)]).max(initial=1.0)
        np.testing.assert_allclose(one, other, rtol=bar, atol=bar * scale + chaos)


LAYERS = [case for case in LAYER_CASES if case.name != "Flatten all" and not case.name.startswith("Naive")]


@each(LAYERS)
def test_layers(case: Any) -> None:
    check_layer(case, "float64")


@each(of_each_class(LAYERS))
def test_layers_in_float32(case: Any) -> None:
    check_layer(case, "float32")


def check_layer(case: Any, dtype: str) -> None:
    def make(b: Backend) -> Steps:
        with seeded(1):
            layer = case.build(b)
        parameters = layer.parameters()
        optimizer = SGD(parameters, lr=0.01, momentum=0.5) if list(parameters) else None
        return Steps(layer, optimizer, [np.asarray(x) for x in case.inputs()])

    compare(make, dtype)


@each(LOSS_CASES)
def test_losses(case: Any) -> None:
    check_loss(case, "float64")


@each(of_each_class(LOSS_CASES))
def test_losses_in_float32(case: Any) -> None:
    check_loss(case, "float32")


def check_loss(case: Any, dtype: str) -> None:
    def make(b: Backend) -> Steps:
        loss = case.build(b)
        loss.validate = False
        return Steps(loss, None, case.inputs())

    compare(make, dtype, 2)


class Fit(Steps):
    """A network that cannot learn its targets: no gradient vanishes, for an optimizer that divides by it."""

    def __init__(self, model: Any, optimizer: Any) -> None:
        x = np.random.default_rng(0).standard_normal((64, 3))
        super().__init__(model, optimizer, [x])
        self.loss = MSELoss(backend=model.backend)

    def __call__(self, batch: tuple[Any, ...], numbers: Any) -> tuple[Any, ...]:
        x, target = batch
        self.optimizer.zero_grad()
        prediction = self.subject(x)
        value = self.loss(prediction, target)
        self.subject.backward(self.loss.backward())
        self.optimizer.finish_gradients()
        self.optimizer.update(numbers)
        return prediction, value


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "network", [LeNet((1, 13, 12), 3), ResNet((2, 9, 8), 3, width=2)], ids=lambda n: n.kind
)
def test_images_through_whole_networks(network: Any, dtype: str) -> None:
    def make(b: Backend) -> Steps:
        with seeded(1):
            model = network.build(b)
        images = np.random.default_rng(0).standard_normal((6, *network.input_shape))
        return Steps(model, SGD(model.parameters(), lr=1e-3, momentum=0.5), [images])

    # Batch norm over a few values enlarges the last digits of float32 from step to step.
    compare(make, dtype, chaotic=dtype == "float32" and network.kind == "resnet")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@each(OPTIMIZER_CASES)
def test_optimizers(case: Any, dtype: str) -> None:
    def make(b: Backend) -> Steps:
        with seeded(3):
            model = Sequential(Linear(3, 4, backend=b), Tanh(backend=b), Linear(4, 2, backend=b))
        return Fit(model, case.make(model.parameters()))

    compare(make, dtype, chaotic=True)
    if dtype == "float64":  # before chaos sets in
        compare(make, dtype, 12)
