"""First and second derivatives on `autodiff` against torch's, at 0, beside it and far away."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rows import each

from lamina.backends import Backend, get_backend, grad
from lamina.backends.conformance import T, all_cases
from lamina.backends.decorators.tape import operators
from lamina.backends.host import Host
from lamina.backends.ops import OPS
from lamina.layers.proofs import LAYER_CASES, LOSS_CASES, LayerCase, LossCase

torch = pytest.importorskip("torch", reason="torch.autograd is the oracle")
pytestmark = pytest.mark.raw_only

ACTIVATIONS = [
    "ReLU",
    "LeakyReLU",
    "Hardtanh",
    "ReLU6",
    "Sigmoid",
    "Tanh",
    "ELU",
    "SELU",
    "GELU",
    "Softplus",
    "SiLU",
    "Softmax",
    "LogSoftmax",
]
TINY = (1e-8, -1e-8, 1e-300, -1e-300)
POINTS = np.array([0.0, -0.0, *TINY, 0.3, -0.3, 2.0, -2.0, 40.0, -40.0, 1000.0, -1000.0])
ROWS = np.array(
    [[0.0, 0.0, 0.0], [*TINY[:2], 0.0], [1000.0, 1000.0, -1000.0], [-1000.0, 0.0, 1000.0], [1, 2, 2]]
)


def values(found: Any, like: Host) -> Host:
    """Return a gradient; zeros where nothing depends on the input."""
    return np.zeros(like.shape) if found is None else np.asarray(found.detach().numpy())


def ours(subject: Any, tape: Any, x: Host, *rest: Any) -> list[Host]:
    """Return the output, the gradient of Σ c y, and that of Σ d (its gradient)."""
    v = tape.from_host(x)
    v.requires_grad = True
    with tape.session():
        y = subject(v, *(tape.from_host(one) for one in rest))
        (first,) = grad(y, v, weights(y.shape), create_graph=True)
        second = None
        if first is not None and first.requires_grad:
            (second,) = grad(first, v, weights(first.shape, 1))
    return [values(y, x), values(first, x), values(second, x)]


def theirs(subject: Any, x: Host, *rest: Any) -> list[Host]:
    v = torch.tensor(x, requires_grad=True)
    y = subject(v, *(torch.tensor(one) for one in rest))
    (first,) = torch.autograd.grad(y, v, torch.tensor(weights(y.shape)), create_graph=True)
    second = None
    if first.requires_grad:
        options: Any = {"allow_unused": True, "materialize_grads": True}
        (second,) = torch.autograd.grad(first, v, torch.tensor(weights(first.shape, 1)), **options)
    return [values(y, x), values(first, x), values(second, x)]


def weights(shape: Any, seed: int = 0) -> Host:
    return np.asarray(np.random.default_rng(seed).uniform(0.5, 1.5, tuple(shape)))


def compare(found: list[Host], right: list[Host], kinks: Host | None = None) -> None:
    for order, (a, b) in enumerate(zip(found, right, strict=True)):
        a, b = np.broadcast_arrays(a, b)
        if order == 2 and kinks is not None:  # where the slope jumps, any second derivative is right
            a, b = a[~kinks], b[~kinks]
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12, err_msg=f"derivative {order}")


@pytest.fixture
def tape(backend: Backend) -> Any:
    return get_backend(f"autodiff+{backend.raw.spec}", dtype="float64")


@each([case for case in LAYER_CASES if case.name.split()[0] in ACTIVATIONS])
def test_activations(case: LayerCase, tape: Any) -> None:
    assert case.torch is not None
    x = ROWS if "oftmax" in case.name else POINTS
    layer, twin = case.build(tape), case.torch().double()
    if getattr(layer, "dim", -1) not in (-1, 1):
        x = ROWS.reshape(5, 1, 3)
    compare(ours(layer, tape, x), theirs(twin, x), np.isin(x, case.kinks))


@each([case for case in LOSS_CASES if case.torch is not None])
def test_losses(case: LossCase, tape: Any) -> None:
    assert case.torch is not None
    prediction, *rest = case.inputs()
    samples: list[tuple[Host, ...]] = [case.inputs(), *filter(None, [case.special_inputs()])]
    ends: tuple[float, ...] = (0.0, *TINY, 1000.0, -1000.0)
    if case.name.startswith(("BCELoss", "NLLLoss")):  # which take probabilities, and their logarithms
        ends = (0.0, 1.0, 1e-30) if case.name.startswith("BCELoss") else ()
    for value in ends:
        at = prediction.copy()
        at.flat[::2] = value
        samples.append((at, *rest))
    for arguments in samples:
        compare(ours(case.build(tape), tape, *arguments), theirs(case.torch(), *arguments))


SELECTING = {"relu_grad", "leaky_relu_grad", "max_pool_grad"}
"""`where` chooses by an argument that has no gradient, or whose kink the op has too."""


LOWERED = [op for op, row in OPS.items() if row.kind == "derived" and row.vjp is None and row.tensors]


@pytest.mark.parametrize("op", LOWERED)
def test_no_lowered_op_has_a_kink_in_its_definition(op: str) -> None:
    """Such an op would be right at first order and wrong at second: it needs a rule of its own."""
    tape: Any = get_backend("autodiff+numpy", dtype="float64")
    case = next(case for case in all_cases()[op] if case.smooth and case.tensors())

    def leaf(t: T) -> Any:
        v: Any = t.handle(tape, "float64")
        v.requires_grad = t.floating
        return v

    args, kwargs = case.map(leaf)
    results = getattr(tape, op)(*args, **kwargs)
    recorded: set[str] = set()
    for result in results if isinstance(results, tuple) else (results,):
        recorded |= {node.name for node in operators(result)}
    kinks = recorded & {"abs", "sign", "maximum", "minimum", "max", "where", "clip"}
    assert not kinks or op in SELECTING, kinks
