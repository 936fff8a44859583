"""A row for every op, layer, loss and optimizer, on the small inputs of the tables of cases.

The rows of `test_ops.py`, `test_layers.py`, `test_images.py` and `test_optimizers.py` have sizes that matter.
torch has no function for many ops (`index_add` with `out`, `bernoulli` of a stream); the reference of an op
here is the torch backend, whose ops are torch's functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from lamina import layers
from lamina.backends import Backend, get_backend
from lamina.backends.conformance.case import Case
from lamina.backends.conformance.cases import all_cases
from lamina.layers.proofs.case import LayerCase, LossCase
from lamina.layers.proofs.cases import LAYER_CASES, LOSS_CASES
from lamina.train.optimizers.proofs.case import OptimizerCase
from lamina.train.optimizers.proofs.cases import OPTIMIZER_CASES

torch = pytest.importorskip("torch")

Row = LayerCase | LossCase | OptimizerCase
SECONDS = 0.05
RANDOM = ("Dropout", "Dropout2d")
"""Their draws differ from torch's; only the time is compared."""


def _first(cases: Iterable[Any]) -> dict[str, Any]:
    """Return the first case of each class that has a twin in torch."""
    rows: dict[str, Any] = {}
    for case in cases:
        if case.torch is not None:
            rows.setdefault(case.name.split()[0], case)
    return rows


def _largest(cases: Iterable[Case]) -> Case:
    """Return the case with the most elements, without infinities or NaN."""
    plain = [case for case in cases if not case.special]
    return max(plain, key=lambda case: sum(tensor.array.size for tensor in case.tensors()))


LAYERS, LOSSES = _first(LAYER_CASES), _first(LOSS_CASES)
OPTIMIZERS = {case.name: case for case in OPTIMIZER_CASES if case.torch is not None}
METADATA = ("shape", "dtype", "item", "to_host", "empty")
"""These ops compute nothing; `empty` holds what was there before."""
OPS = {op: _largest(cases) for op, cases in all_cases().items() if op not in METADATA}


@pytest.mark.parametrize("op", OPS)
def test_every_op(race: Callable[..., None], op: str) -> None:
    case = OPS[op]

    def work(backend: Backend) -> Any:
        args, kwargs = case.map(lambda tensor: tensor.handle(backend, "float32"))
        function = getattr(backend, case.op)

        def call() -> Any:
            return function(*args, **kwargs)

        return call

    def theirs(device: str) -> Any:
        name = "torch" if device == "cpu" else f"torch:{device}"
        return work(get_backend(name, dtype="float32"))

    race(f"every op: {op}, {case.label}", work, theirs, seconds=SECONDS, gradients=False, tolerance=1e-4)


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer(race: Callable[..., None], name: str) -> None:
    case: LayerCase = LAYERS[name]
    data = case.input().astype(np.int64 if case.integers else np.float32)
    state = case.build(get_backend("numpy", dtype="float32")).state_dict()
    makes = case.torch
    assert makes is not None

    def ours(backend: Backend) -> Any:
        layer = case.build(backend)
        layer.load_state_dict(state)
        parameters, x = list(layer.parameters()), backend.from_host(data)
        slope = backend.full(backend.shape(layer(x)), 1.0)

        def both() -> Any:
            y = layer(x)
            for parameter in parameters:
                parameter.zero_grad()
            dx = layer.backward(slope)
            return (y, *(() if case.integers else (dx,)), *(p.grad for p in parameters))

        return both

    def theirs(device: str) -> Any:
        twin = makes().to(device)
        twin.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
        x = torch.tensor(data, device=device, requires_grad=not case.integers)
        leaves = (*(() if case.integers else (x,)), *twin.parameters())
        slope = torch.ones_like(twin(x))

        def both() -> Any:
            y = twin(x)
            return (y, *(torch.autograd.grad(y, leaves, slope) if leaves else ()))

        return both

    options = {"tolerance": np.inf} if name in RANDOM else {"tolerance": 1e-4}
    race(f"every layer: {case.name} of {case.input_shape}", ours, theirs, seconds=SECONDS, **options)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss(race: Callable[..., None], name: str) -> None:
    case: LossCase = LOSSES[name]
    arrays = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in case.inputs()]
    makes = case.torch
    assert makes is not None

    def ours(backend: Backend) -> Any:
        loss = case.build(backend)
        loss.validate = False  # as in the training loop, which checks the targets once
        prediction, target = map(backend.from_host, arrays)

        def both() -> Any:
            value = loss(prediction, target)
            return value, loss.backward()

        return both

    def theirs(device: str) -> Any:
        function = makes()
        prediction, target = (torch.tensor(array, device=device) for array in arrays)
        prediction.requires_grad_()

        def both() -> Any:
            value = function(prediction, target)
            return (value, *torch.autograd.grad(value, prediction))

        return both

    race(f"every loss: {case.name} of {arrays[0].shape}", ours, theirs, seconds=SECONDS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(race: Callable[..., None], name: str) -> None:
    case: OptimizerCase = OPTIMIZERS[name]
    makes = case.torch
    assert makes is not None
    start, slope = (np.random.default_rng(i).standard_normal((25, 25), np.float32) for i in range(2))

    def ours(backend: Backend) -> Any:
        layer = layers.Linear(25, 25, bias=False, backend=backend)
        layer.load_state_dict({"weight": start})
        optimizer = case.make(layer.parameters())
        layer.weight.accumulate(backend.from_host(slope))

        def step() -> Any:
            optimizer.step()
            return layer.weight.data

        return step

    def theirs(device: str) -> Any:
        weight = torch.nn.Parameter(torch.tensor(start, device=device))
        weight.grad = torch.tensor(slope, device=device)
        optimizer = makes([weight])

        def step() -> Any:
            optimizer.step()
            return weight

        return step

    race(f"every optimizer: {name} over (25, 25)", ours, theirs, seconds=SECONDS, repeats=3, tolerance=1e-4)
