"""Vector-Jacobian products against central differences; at kinks, against known values and torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rows import each_op

from lamina.backends import Backend
from lamina.backends.conformance import Case, T, all_cases
from lamina.backends.gradients import pull_back
from lamina.backends.host import Host
from lamina.backends.ops import OPS, map_handles

DIFFERENTIABLE = [op for op, row in OPS.items() if row.vjp is not None]
# Ops that give a tensor and have neither a VJP nor a definition to be lowered to.
NOT_DIFFERENTIABLE = {
    "from_host": "takes no tensor",
    "empty": "takes no tensor",
    "full": "takes no tensor",
    "arange": "takes no tensor",
    "random": "takes a counter",
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
    slopes = []
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
        slopes.append(slope)
    return slopes


def smooth(op: str) -> list[Case]:
    return [
        case
        for case in all_cases()[op]
        if case.smooth
        and any(t.floating for t in case.tensors())
        and all(t.array.size <= 60 for t in case.tensors())
        and not (op == "astype" and case.args[1] != "float64")
    ]


@each_op(DIFFERENTIABLE)
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


def test_ops_without_a_gradient_are_listed() -> None:
    without = {
        op
        for op, row in OPS.items()
        if row.vjp is None and row.kind != "derived" and row.gives in ("tensor", "tensors")
    }
    assert without == set(NOT_DIFFERENTIABLE)


@each_op(DIFFERENTIABLE)
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
        got = gradients(backend64, case, np.ones(y.shape))
    for dx, right in zip(got, expected, strict=True):
        np.testing.assert_array_equal(dx, np.array(right))


@pytest.mark.parametrize(("op", "args", "kwargs", "expected"), KINKS)
def test_torch_has_the_same_conventions(
    op: str, args: tuple[Any, ...], kwargs: dict[str, Any], expected: list[list[float]]
) -> None:
    torch = pytest.importorskip("torch", reason="torch.autograd is the oracle")
    functional = torch.nn.functional
    named = {"clip": torch.clamp, "max": torch.amax, "leaky_relu": functional.leaky_relu}
    tensors = [torch.tensor(a, dtype=None if a == [True, False] else torch.float64) for a in args]
    if op not in ("maximum", "minimum"):  # which take no scalar
        tensors = [t if isinstance(a, list) else a for t, a in zip(tensors, args, strict=True)]
    leaves = [t for t, a in zip(tensors, args, strict=True) if isinstance(a, list) and t.is_floating_point()]
    for leaf in leaves:
        leaf.requires_grad_()
    named.get(op, getattr(torch, op, None))(*tensors, **kwargs).sum().backward()
    for leaf, right in zip(leaves, expected, strict=True):
        np.testing.assert_array_equal(leaf.grad.numpy(), np.array(right))


@pytest.mark.parametrize("op", ["add", "subtract", "multiply", "divide", "maximum", "minimum", "pow"])
@pytest.mark.parametrize(
    ("left", "right"),
    [((2, 3), (3,)), ((3,), (2, 3)), ((2, 1), (1, 4)), ((), (2, 2)), ((1,), (3,)), ((0, 2), (2,))],
)
def test_gradients_have_the_shapes_of_broadcast_arguments(
    backend64: Backend, op: str, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    case = Case(op, "broadcast", (T(np.full(left, 1.5)), T(np.full(right, 2.5))))
    shape = np.broadcast_shapes(left, right)
    assert [g.shape for g in gradients(backend64, case, np.ones(shape))] == [left, right]
