"""Every vector-Jacobian product against central differences, and at its kinks against torch.autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend
from lamina.backends.conformance import Case, T, all_cases
from lamina.backends.gradients import pull_back
from lamina.backends.ops import OPS, map_handles

Host = np.ndarray[Any, Any]
DIFFERENTIABLE = [op for op, row in OPS.items() if row.vjp is not None]
# Ops that give a tensor and have neither a VJP nor a definition to be lowered to.
NOT_DIFFERENTIABLE = {
    "from_host": "takes no tensor",
    "empty": "takes no tensor",
    "full": "takes no tensor",
    "arange": "takes no tensor",
    "random": "takes no tensor",
    "sign": "its derivative is 0 wherever it has one",
    "equal": "gives booleans",
    "less_equal": "gives booleans",
    "greater": "gives booleans",
    "logical_not": "gives booleans",
    "argmax": "gives indices",
}


def gradients(b: Backend, case: Case, g: Host) -> list[Host]:
    """Return the gradient of each float tensor of the case, by the rules of the table."""
    args, kwargs = row_arguments(b, case)
    y = getattr(b, case.op)(*args, **kwargs)

    def floating(x: Any) -> bool:
        return type(x) not in (int, float, bool, type(None)) and b.dtype(x) == "float64"

    gradients = [dx for _, dx in pull_back(OPS[case.op], b, b.from_host(g), y, args, kwargs, floating)]
    assert all(b.dtype(dx) == "float64" for dx in gradients)
    return [b.to_host(dx) for dx in gradients]


def row_arguments(b: Backend, case: Case) -> tuple[list[Any], dict[str, Any]]:
    args, kwargs = case.map(lambda t: t.handle(b, "float64"))
    assert not set(kwargs) & set(OPS[case.op].tensors), "write tensors by position in differentiable cases"
    return [map_handles(lambda v: v, a) if isinstance(a, (list, tuple)) else a for a in args], kwargs


def numeric(b: Backend, case: Case, g: Host) -> list[Host]:
    """Return central differences of <g, f(x)> with respect to each float tensor, over every index."""
    found = []
    for chosen in case.tensors():
        if not chosen.floating:
            continue
        base = np.array(chosen.value("float64"))
        slope = np.zeros(base.shape)
        for place in np.ndindex(*base.shape):
            step = 6e-6 * max(1.0, abs(float(base[place])))
            ends = []
            for sign in (1, -1):
                moved = base.copy()
                moved[place] += sign * step
                args, kwargs = case.map(
                    lambda t, m=moved, c=chosen: (T(m) if t is c else t).handle(b, "float64")
                )  # type: ignore[misc]
                ends.append(b.to_host(getattr(b, case.op)(*args, **kwargs)))
            slope[place] = np.sum(g * (ends[0] - ends[1])) / (2 * step)
        found.append(slope)
    return found


def smooth(op: str) -> list[Case]:
    return [
        case
        for case in all_cases()[op]
        if case.smooth
        and any(t.floating for t in case.tensors())
        and all(t.array.size <= 60 for t in case.tensors())
        and not (op == "astype" and case.args[1] != "float64")
    ]


@pytest.mark.parametrize("op", DIFFERENTIABLE)
def test_against_central_differences(backend64: Backend, op: str) -> None:
    cases = smooth(op)
    assert cases, f"{op} has no case away from kinks"
    for case in cases:
        y = backend64.to_host(case.call(backend64, "float64"))
        g = np.asarray(np.random.default_rng(9).standard_normal(y.shape))
        by_rule, by_difference = gradients(backend64, case, g), numeric(backend64, case, g)
        assert len(by_rule) == len(by_difference), case.label
        for rule, difference in zip(by_rule, by_difference, strict=True):
            assert rule.shape == difference.shape, case.label
            np.testing.assert_allclose(rule, difference, rtol=1e-6, atol=1e-8, err_msg=f"{op} [{case.label}]")


def test_everything_else_is_listed() -> None:
    without = {
        op
        for op, row in OPS.items()
        if row.vjp is None and row.kind != "derived" and row.gives in ("tensor", "tensors")
    }
    assert without == set(NOT_DIFFERENTIABLE)


@pytest.mark.parametrize("op", DIFFERENTIABLE)
def test_one_rule_for_each_tensor(op: str) -> None:
    row = OPS[op]
    assert row.vjp is not None
    assert len(row.vjp) == len(row.tensors)
    assert any(rule is not None for rule in row.vjp)


INF, NAN = float("inf"), float("nan")
# op, arguments (lists are tensors), and the gradient of each tensor where that of the result is 1.
KINKS: list[tuple[str, tuple[Any, ...], dict[str, Any], list[list[float]]]] = [
    ("abs", ([-2.0, 0.0, -0.0, 3.0],), {}, [[-1.0, 0.0, 0.0, 1.0]]),
    ("maximum", ([1.0, 2.0, 3.0], [1.0, 3.0, 2.0]), {}, [[0.5, 0.0, 1.0], [0.5, 1.0, 0.0]]),
    ("minimum", ([1.0, 2.0, 3.0], [1.0, 3.0, 2.0]), {}, [[0.5, 1.0, 0.0], [0.5, 0.0, 1.0]]),
    ("maximum", ([-1.0, 0.0, 1.0], 0.0), {}, [[0.0, 0.5, 1.0]]),
    ("relu", ([-1.0, 0.0, -0.0, 2.0, INF, -INF],), {}, [[0.0, 0.0, 0.0, 1.0, 1.0, 0.0]]),
    ("leaky_relu", ([-1.0, 0.0, 2.0], 0.25), {}, [[0.25, 0.25, 1.0]]),
    ("clip", ([-2.0, -1.0, 0.0, 1.0, 2.0], -1.0, 1.0), {}, [[0.0, 1.0, 1.0, 1.0, 0.0]]),
    ("max", ([1.0, 3.0, 3.0, 2.0],), {}, [[0.0, 0.5, 0.5, 0.0]]),
    ("max", ([2.0, 2.0, 2.0, 2.0],), {"axis": 0}, [[0.25] * 4]),
    ("sqrt", ([0.0, 4.0],), {}, [[INF, 0.25]]),
    ("pow", ([0.0, 0.0, 0.0, 0.0], 2.0), {}, [[0.0] * 4]),
    ("pow", ([0.0, -2.0], 1.0), {}, [[1.0, 1.0]]),
    ("pow", ([0.0, 3.0], 0.0), {}, [[0.0, 0.0]]),
    ("pow", ([0.0, 0.0, 2.0], [0.0, 2.0, 1.0]), {}, [[0.0, 0.0, 1.0], [0.0, 0.0, 2 * float(np.log(2))]]),
    ("pow", (0.0, [0.0, 2.0]), {}, [[0.0, 0.0]]),
    ("log", ([0.0, 2.0],), {}, [[INF, 0.5]]),
    ("log1p", ([0.0],), {}, [[1.0]]),
    ("divide", ([1.0], [0.0]), {}, [[INF], [-INF]]),
    ("where", ([True, False], [1.0, NAN], [NAN, 2.0]), {}, [[1.0, 0.0], [0.0, 1.0]]),
]


@pytest.mark.parametrize(("op", "args", "kwargs", "expected"), KINKS)
def test_conventions_at_kinks(
    backend64: Backend, op: str, args: tuple[Any, ...], kwargs: dict[str, Any], expected: list[list[float]]
) -> None:
    case = Case(op, "kink", tuple(T(np.array(a)) if isinstance(a, list) else a for a in args), kwargs)
    with backend64.session():
        y = backend64.to_host(case.call(backend64, "float64"))
        found = gradients(backend64, case, np.ones(y.shape))
    assert len(found) == len(expected)
    for got, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(got, np.array(right))


AUTOGRAD: dict[str, Callable[[Any, Any], Any]] = {
    "abs": lambda torch, x: torch.abs(x),
    "relu": lambda torch, x: torch.relu(x),
    "sqrt": lambda torch, x: torch.sqrt(x),
    "max": lambda torch, x: torch.amax(x),
    "tanh": lambda torch, x: torch.tanh(x),
    "exp": lambda torch, x: torch.exp(x),
    "log": lambda torch, x: torch.log(x),
    "log1p": lambda torch, x: torch.log1p(x),
    "sum": lambda torch, x: torch.sum(x),
}


@pytest.mark.parametrize("op", AUTOGRAD)
@pytest.mark.parametrize("values", [[0.5, 2.0, 1.0], [0.0, 3.0, 3.0], [0.0, 0.0, 0.0]])
def test_agrees_with_torch_on_kinks_too(backend64: Backend, op: str, values: list[float]) -> None:
    torch = pytest.importorskip("torch", reason="torch.autograd is the oracle")
    x = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    y = AUTOGRAD[op](torch, x)
    y.backward(torch.ones_like(y))
    case = Case(op, "kink", (T(np.array(values)),))
    (got,) = gradients(backend64, case, np.ones(tuple(y.shape)))
    np.testing.assert_allclose(got, x.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("op", ["add", "subtract", "multiply", "divide", "maximum", "minimum", "pow"])
@pytest.mark.parametrize(
    ("left", "right"),
    [((2, 3), (3,)), ((3,), (2, 3)), ((2, 1), (1, 4)), ((), (2, 2)), ((1,), (3,)), ((0, 2), (2,))],
)
def test_gradients_have_the_shapes_of_what_was_broadcast(
    backend64: Backend, op: str, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    case = Case(op, "broadcast", (T(np.full(left, 1.5)), T(np.full(right, 2.5))))
    shape = np.broadcast_shapes(left, right)
    assert [g.shape for g in gradients(backend64, case, np.ones(shape))] == [left, right]
