"""What proofs report: the worst element, shapes and dtypes that differ, what only one side has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lamina.backends import DtypeError, LaminaError, get_backend
from lamina.layers import Conv2d, Linear, MSELoss, ReLU
from lamina.layers.proofs import Difference, Report, check_layer, check_loss, compare_layer, compare_loss
from lamina.layers.proofs.passes import cotangent, run_layer, run_loss
from lamina.layers.proofs.report import compare, worst
from lamina.layers.proofs.rounding import exactly, rounding_bounds

Host = np.ndarray[Any, Any]


def array(*values: float, dtype: str = "float64") -> Host:
    return np.array(values, dtype=dtype)


def test_the_worst_element_is_found_and_said() -> None:
    found = worst("weight", array(1.0, 2.0, 3.5), array(1.0, 2.1, 3.0), 0.25)
    assert found == Difference("weight", (2,), 3.5, 3.0, 2.0)
    assert str(found) == "weight[2]: 3.5, expected 3 (2 of the bar)"
    report = Report("Layer()", "an oracle", [found])
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
def test_what_cannot_be_right_is_an_infinite_error(ours: Host) -> None:
    assert worst("x", ours, array(1.0, 2.0), 1e9).error == np.inf
    assert worst("x", ours, array(1.0, 2.0), 1e9, same=True).error == np.inf


def test_nan_and_infinities_are_right_only_where_they_are_meant() -> None:
    edges = array(np.nan, np.inf, -np.inf, 1.0)
    assert worst("x", edges, edges, 1.0).error == np.inf
    assert worst("x", edges, edges, 1.0, same=True).error == 0.0
    assert worst("x", array(np.inf), array(-np.inf), 1.0, same=True).error == np.inf


def test_nothing_compared_is_nothing_proven() -> None:
    assert not Report("Layer()", "an oracle").passed
    assert Report("Layer()", "an oracle", [worst("x", array(), array(), 1.0)]).passed


def test_what_one_side_lacks_is_an_infinite_error() -> None:
    for ours, theirs in (({"a": array(1.0)}, {}), ({}, {"a": array(1.0)})):
        (found,) = compare(ours, theirs, lambda name, right: 1.0)
        assert (found.name, found.error) == ("a, on one side only", np.inf)


@pytest.mark.parametrize("proof", [check_layer, lambda layer, x: compare_layer(layer, None, x)])
def test_proofs_of_layers_need_float64(proof: Any) -> None:
    pytest.importorskip("torch", reason="one of them is a comparison with torch")
    with pytest.raises(DtypeError, match=r"^ReLU\(\): proofs need float64, and its backend's default is"):
        proof(ReLU(backend="numpy"), np.ones((2, 2)))


@pytest.mark.parametrize("proof", [check_loss, lambda loss, p, t: compare_loss(loss, None, p, t)])
def test_proofs_of_losses_need_float64(proof: Any) -> None:
    pytest.importorskip("torch", reason="one of them is a comparison with torch")
    with pytest.raises(DtypeError, match=r"^MSELoss\(\): proofs need float64"):
        proof(MSELoss(backend="numpy"), np.ones((2, 2)), np.ones((2, 2)))


def test_a_twin_of_another_kind_is_refused() -> None:
    torch = pytest.importorskip("torch")
    layer = Linear(2, 3, backend=get_backend("numpy", dtype="float64"))
    twin = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    with pytest.raises((LaminaError, RuntimeError)):
        compare_layer(layer, twin, np.ones((4, 2)))
    wider = torch.nn.Linear(2, 3).double()
    wider.register_forward_hook(lambda module, args, y: y * 1.001)
    assert not compare_layer(layer, wider, np.ones((4, 2))).passed


def test_passes_run_there_and_back() -> None:
    b = get_backend("numpy", dtype="float64")
    layer = Linear(2, 3, backend=b)
    x, g = np.ones((4, 2)), np.full((4, 3), 2.0)
    found = run_layer(layer, x, g)
    assert list(found) == ["output", "input", "weight", "bias"]
    assert found["bias"].tolist() == [8.0, 8.0, 8.0]
    assert run_layer(layer, x, g)["bias"].tolist() == [8.0, 8.0, 8.0]  # not added to
    np.testing.assert_array_equal(run_layer(layer, x)["bias"], cotangent((4, 3)).sum(axis=0))
    assert run_loss(MSELoss(backend=b), x, x)["loss"] == 0.0


def test_the_bound_of_rounding_is_neither_broken_nor_idle() -> None:
    """Numbers of 24 bits keep it; numbers of 12 do not."""
    layer = Conv2d(3, 4, 3, padding=1, backend="numpy")
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 5)).astype(np.float32)
    g = cotangent(layer.output_shape(x.shape)).astype(np.float32)
    right, bounds = exactly(layer, x, g), rounding_bounds(layer, x, g)
    found = {name: value.astype(np.float64) for name, value in run_layer(layer, x, g).items()}
    rough = {name: value.astype(np.float16).astype(np.float64) for name, value in found.items()}
    assert Report("", "", compare(found, right, lambda name, _: bounds[name])).passed
    errors = {d.name: d.error for d in compare(rough, right, lambda name, _: bounds[name])}
    assert min(errors.values()) > 1.0, errors
