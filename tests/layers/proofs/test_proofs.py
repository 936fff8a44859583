"""Every row of the table, on every backend and stack: finite differences, torch, float32."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import lamina.layers
from lamina.backends import Backend, LaminaError, get_backend
from lamina.backends.tolerance import FORWARD_BARS
from lamina.layers import Loss, Module
from lamina.layers.proofs import (
    LAYER_CASES,
    LOSS_CASES,
    LayerCase,
    LossCase,
    Report,
    check_layer,
    check_loss,
    compare_layer,
    compare_loss,
)
from lamina.layers.proofs.passes import bring, host

TORCH_LAYERS = [case for case in LAYER_CASES if case.torch is not None]
TORCH_LOSSES = [case for case in LOSS_CASES if case.torch is not None]


def each(cases: Sequence[Any]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


# -- the table ------------------------------------------------------------------------------------


def test_names_are_unique() -> None:
    for cases in (LAYER_CASES, LOSS_CASES):
        names = [case.name for case in cases]
        assert len(set(names)) == len(names)


def test_every_public_layer_and_loss_has_a_row() -> None:
    numpy = get_backend("numpy", dtype="float64")
    public = {
        value
        for value in vars(lamina.layers).values()
        if inspect.isclass(value) and issubclass(value, Module | Loss) and value not in (Module, Loss)
    }
    made = {type(case.build(numpy)) for case in (*LAYER_CASES, *LOSS_CASES)}
    assert {kind.__name__ for kind in public - made} == set(), "these lack a row in train/proofs/cases/"


def test_names_begin_with_the_class() -> None:
    numpy = get_backend("numpy")
    for case in (*LAYER_CASES, *LOSS_CASES):
        assert case.name.split()[0] == type(case.build(numpy)).__name__


def test_building_a_case_leaves_the_seed_alone() -> None:
    case = next(case for case in LAYER_CASES if case.name == "Sequential")
    numpy = get_backend("numpy")
    lamina.layers.manual_seed(3)
    first = lamina.layers.Linear(2, 2, backend=numpy).state_dict()
    lamina.layers.manual_seed(3)
    one, two = case.build(numpy).state_dict(), case.build(numpy).state_dict()
    again = lamina.layers.Linear(2, 2, backend=numpy).state_dict()
    assert all(np.array_equal(first[k], again[k]) for k in first)
    assert all(np.array_equal(one[k], two[k]) for k in one)


# -- finite differences ---------------------------------------------------------------------------


@each([case for case in LAYER_CASES if case.whole_derivative])
def test_layer_against_finite_differences(case: LayerCase, backend64: Backend) -> None:
    report = check_layer(case.build(backend64), case.inputs())
    names = {name for name, _ in case.build(backend64).named_parameters()}
    assert {d.name for d in report.differences} == names | ({"input"} if not case.integers else set())
    assert report.passed, str(report)


@each(LOSS_CASES)
def test_loss_against_finite_differences(case: LossCase, backend64: Backend) -> None:
    report = check_loss(case.build(backend64), *case.inputs())
    assert report.passed, str(report)


def row(name: str) -> LayerCase:
    return next(case for case in LAYER_CASES if case.name == name)


def test_finite_differences_need_float64() -> None:
    case = row("Sequential")
    with pytest.raises(LaminaError, match="need float64"):
        check_layer(case.build(get_backend("numpy")), case.inputs())


def test_finite_differences_leave_the_parameters_as_they_were(backend64: Backend) -> None:
    layer = row("Sequential nested").build(backend64)
    before = layer.state_dict()
    check_layer(layer, row("Sequential nested").inputs())
    assert all(before[name].tobytes() == value.tobytes() for name, value in layer.state_dict().items())


# -- torch ----------------------------------------------------------------------------------------


def agrees(report: Report) -> None:
    assert report.passed, str(report)


@each(TORCH_LAYERS)
def test_layer_against_torch(case: LayerCase, backend64: Backend) -> None:
    pytest.importorskip("torch", reason="the oracle is torch.nn")
    assert case.torch is not None
    agrees(compare_layer(case.build(backend64), case.torch(), case.inputs()))


@each([case for case in TORCH_LAYERS if case.special])
def test_layer_against_torch_at_the_edges(case: LayerCase, backend64: Backend) -> None:
    pytest.importorskip("torch", reason="the oracle is torch.nn")
    x = case.special_inputs()
    assert x is not None
    assert case.torch is not None
    agrees(compare_layer(case.build(backend64), case.torch(), x))


@each(TORCH_LOSSES)
def test_loss_against_torch(case: LossCase, backend64: Backend) -> None:
    pytest.importorskip("torch", reason="the oracle is torch.nn")
    assert case.torch is not None
    agrees(compare_loss(case.build(backend64), case.torch(), *case.inputs()))


def at_the_edges(case: LossCase, b: Backend) -> None:
    pytest.importorskip("torch", reason="the oracle is torch.nn")
    special = case.special_inputs()
    assert special is not None
    assert case.torch is not None
    agrees(compare_loss(case.build(b), case.torch(), *special))


@each([case for case in TORCH_LOSSES if case.special and "NLLLoss" not in case.name])
def test_loss_against_torch_at_the_edges(case: LossCase, backend64: Backend) -> None:
    at_the_edges(case, backend64)


@each([case for case in TORCH_LOSSES if case.special and "NLLLoss" in case.name])
def test_nll_of_an_impossible_class_that_is_not_the_label(case: LossCase, backend64: Backend) -> None:
    at_the_edges(case, backend64)


# -- float32 against the float64 oracle -----------------------------------------------------------


def oracle() -> Backend:
    return get_backend("numpy", dtype="float64")


def within_the_bar(actual: Any, expected: Any) -> None:
    rtol, atol = FORWARD_BARS["float32"]
    np.testing.assert_allclose(actual.astype(np.float64), expected, rtol=rtol, atol=atol, strict=True)


@each(LAYER_CASES)
def test_float32_forward_of_a_layer(case: LayerCase, backend: Backend) -> None:
    layer, exact = case.build(backend), case.build(oracle())
    exact.load_state_dict(layer.state_dict())
    x = case.inputs().astype("int64" if case.integers else "float32")
    y = layer(backend.from_host(x))
    assert backend.dtype(y) == "float32"
    expected = exact(oracle().from_host(x))
    within_the_bar(host(backend, y), host(oracle(), expected))


@each(LOSS_CASES)
def test_float32_forward_of_a_loss(case: LossCase, backend: Backend) -> None:
    prediction, target = case.inputs()
    prediction = prediction.astype(np.float32)
    if target.dtype.kind == "f":
        target = target.astype(np.float32)
    value = case.build(backend)(bring(backend, prediction), bring(backend, target))
    assert backend.dtype(value) == "float32"
    expected = case.build(oracle())(bring(oracle(), prediction), bring(oracle(), target))
    within_the_bar(host(backend, value), host(oracle(), expected))


# -- values that the page of numbers gives --------------------------------------------------------


def test_values_in_dangerous_places(backend64: Backend) -> None:
    from lamina.layers import BCELoss, BCEWithLogitsLoss, LogSoftmax, ReLU, Softmax

    b = backend64

    def at(*values: float) -> Any:
        return b.from_host(np.array(values))

    assert b.item(BCELoss(backend=b)(at(0.0), at(1.0))) == 100.0
    assert b.item(BCELoss(backend=b)(at(1.0), at(0.0))) == 100.0
    assert b.item(BCEWithLogitsLoss(backend=b)(at(1000.0), at(0.0))) == 1000.0
    assert b.item(BCEWithLogitsLoss(backend=b)(at(1000.0), at(1.0))) == 0.0
    assert host(b, LogSoftmax(backend=b)(b.from_host([[0.0, 1000.0]]))).tolist() == [[-1000.0, 0.0]]
    assert host(b, Softmax(backend=b)(b.from_host([[-np.inf, 0.0]]))).tolist() == [[0.0, 1.0]]
    relu = ReLU(backend=b)
    y = host(b, relu(at(np.nan, 0.0, -1.0, np.inf)))
    assert np.array_equal(y, [np.nan, 0.0, 0.0, np.inf], equal_nan=True)
    assert host(b, relu.backward(at(1.0, 1.0, 1.0, 1.0))).tolist()[1:] == [0.0, 0.0, 1.0]
