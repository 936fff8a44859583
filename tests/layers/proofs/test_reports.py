"""Reports: the worst element, different shapes and dtypes, tensors on one side only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rounding import exactly, rounding_bounds

from lamina.backends import DtypeError, LaminaError, get_backend
from lamina.backends.host import Host
from lamina.layers import Conv2d, Linear, MSELoss, ReLU
from lamina.layers.proofs import Difference, Report, Subject, check_differences, compare_with_torch
from lamina.layers.proofs.against_graph import compare_with_graph
from lamina.layers.proofs.report import compare, worst
from lamina.layers.proofs.subject import cotangent


def array(*values: float, dtype: str = "float64") -> Host:
    return np.array(values, dtype=dtype)


def test_the_worst_element_is_reported() -> None:
    difference = worst("weight", array(1.0, 2.0, 3.5), array(1.0, 2.1, 3.0), 0.25)
    assert difference == Difference("weight", (2,), 3.5, 3.0, 2.0)
    assert str(difference) == "weight[2]: 3.5, expected 3 (2 of the bar)"
    report = Report("Layer()", "an oracle", [difference])
    assert not report.passed
    assert str(report).splitlines()[0] == "Layer() against an oracle: worst 2 of the bar"
    assert worst("weight", array(1.0, 2.0), array(1.1, 2.5), array(0.05, 1.0)).error == pytest.approx(2.0)


@pytest.mark.parametrize(
    "ours",
    [
        array(1.0),
        array(1.0, np.nan),
        array(np.inf, 2.0),
        array(1.0, 2.0, dtype="float32"),
        array(1, 2, dtype="int64"),
    ],
)
def test_an_incomparable_tensor_is_an_infinite_error(ours: Host) -> None:
    assert worst("x", ours, array(1.0, 2.0), 1e9).error == np.inf
    assert worst("x", ours, array(1.0, 2.0), 1e9, same=True).error == np.inf


def test_nan_and_infinities_are_equal_only_on_request() -> None:
    edges = array(np.nan, np.inf, -np.inf, 1.0)
    assert worst("x", edges, edges, 1.0).error == np.inf
    assert worst("x", edges, edges, 1.0, same=True).error == 0.0
    assert worst("x", array(np.inf), array(-np.inf), 1.0, same=True).error == np.inf


def test_nothing_compared_is_nothing_proven() -> None:
    assert not Report("Layer()", "an oracle").passed
    assert Report("Layer()", "an oracle", [worst("x", array(), array(), 1.0)]).passed


def test_a_tensor_on_one_side_only_is_an_infinite_error() -> None:
    for ours, theirs in (({"a": array(1.0)}, {}), ({}, {"a": array(1.0)})):
        (difference,) = compare(ours, theirs, lambda name, right: 1.0)
        assert (difference.name, difference.error) == ("a, on one side only", np.inf)


def with_torch(module: Any, *inputs: Host) -> Report:
    pytest.importorskip("torch", reason="it is the oracle")
    return compare_with_torch(module, None, *inputs)


@pytest.mark.parametrize("proof", [check_differences, compare_with_graph, with_torch])
def test_proofs_need_float64(proof: Any) -> None:
    x = np.ones((2, 2))
    for module, inputs in ((ReLU(backend="numpy"), (x,)), (MSELoss(backend="numpy"), (x, x))):
        with pytest.raises(
            DtypeError, match=rf"^{type(module).__name__}\(\): expected a float64 backend, got"
        ):
            proof(module, *inputs)


def test_another_kind_of_twin_is_refused() -> None:
    torch = pytest.importorskip("torch")
    layer = Linear(2, 3, backend=get_backend("numpy", dtype="float64"))
    twin = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    with pytest.raises((LaminaError, RuntimeError)):
        compare_with_torch(layer, twin, np.ones((4, 2)))
    wider = torch.nn.Linear(2, 3).double()
    wider.register_forward_hook(lambda module, args, y: y * 1.001)
    assert not compare_with_torch(layer, wider, np.ones((4, 2))).passed


def test_a_subject_runs_forward_and_backward() -> None:
    b = get_backend("numpy", dtype="float64")
    layer = Linear(2, 3, backend=b)
    x, g = np.ones((4, 2)), np.full((4, 3), 2.0)
    results = Subject(layer).run(x, grad_output=g)
    assert list(results) == ["output", "input", "weight", "bias"]
    assert results["bias"].tolist() == [8.0, 8.0, 8.0]
    assert Subject(layer).run(x, grad_output=g)["bias"].tolist() == [8.0, 8.0, 8.0]  # not 16
    np.testing.assert_allclose(Subject(layer).run(x)["bias"], cotangent((4, 3)).sum(axis=0), rtol=1e-14)
    assert Subject(MSELoss(backend=b)).run(x, x)["loss"] == 0.0


def test_the_bound_of_rounding_holds_and_is_tight() -> None:
    """24 bits keep it; the 11 bits of float16 do not."""
    layer = Conv2d(3, 4, 3, padding=1, backend="numpy")
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 5)).astype(np.float32)
    g = cotangent(layer.output_shape(x.shape)).astype(np.float32)
    right, bounds = exactly(layer, x, g), rounding_bounds(layer, x, g)
    single = {name: value.astype(np.float64) for name, value in Subject(layer).run(x, grad_output=g).items()}
    half = {name: value.astype(np.float16).astype(np.float64) for name, value in single.items()}
    assert Report("", "", compare(single, right, lambda name, _: bounds[name])).passed
    errors = {d.name: d.error for d in compare(half, right, lambda name, _: bounds[name])}
    assert min(errors.values()) > 1.0, errors
