"""Every row of the table on every backend and stack: numpy's results, torch's, float32.

`test_check` proves numpy's gradients by finite differences.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from rows import each, row

import lamina.layers
from lamina.backends import Backend, get_backend
from lamina.backends.tolerance import FORWARD_BARS
from lamina.layers import Loss, Module
from lamina.layers.proofs import (
    LAYER_CASES,
    LOSS_CASES,
    LayerCase,
    LossCase,
    check_differences,
    compare_with_torch,
)
from lamina.layers.proofs.against_backend import compare_with_backend
from lamina.layers.proofs.subject import bring, host

EVERY = (*LAYER_CASES, *LOSS_CASES)
WITH_TORCH = [case for case in EVERY if case.torch is not None]


def oracle() -> Backend:
    return get_backend("numpy", dtype="float64")


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
    made = {type(case.build(numpy)) for case in EVERY}
    assert {kind.__name__ for kind in public - made} == set(), "these lack a row in layers/proofs/cases/"


def test_names_begin_with_the_class() -> None:
    numpy = get_backend("numpy")
    for case in EVERY:
        assert case.name.split()[0] == type(case.build(numpy)).__name__


def test_building_a_case_leaves_the_seed_alone() -> None:
    case = row(LAYER_CASES, "Sequential")
    numpy = get_backend("numpy")
    lamina.layers.manual_seed(3)
    first = lamina.layers.Linear(2, 2, backend=numpy).state_dict()
    lamina.layers.manual_seed(3)
    one, two = case.build(numpy).state_dict(), case.build(numpy).state_dict()
    again = lamina.layers.Linear(2, 2, backend=numpy).state_dict()
    assert all(np.array_equal(first[k], again[k]) for k in first)
    assert all(np.array_equal(one[k], two[k]) for k in one)


# -- numpy ----------------------------------------------------------------------------------------


@each(EVERY)
def test_results_gradients_and_state_are_those_of_numpy(case: Any, backend64: Backend) -> None:
    report = compare_with_backend(case.build(backend64), oracle(), *case.inputs())
    assert report.passed, str(report)


def test_finite_differences_leave_the_parameters_as_they_were(backend64: Backend) -> None:
    case = row(LAYER_CASES, "Sequential nested")
    layer = case.build(backend64)
    before = layer.state_dict()
    check_differences(layer, *case.inputs())
    assert all(before[name].tobytes() == value.tobytes() for name, value in layer.state_dict().items())


# -- torch ----------------------------------------------------------------------------------------


@each(WITH_TORCH)
def test_torch(case: Any, backend64: Backend) -> None:
    pytest.importorskip("torch", reason="the oracle is torch.nn")
    report = compare_with_torch(case.build(backend64), case.torch(), *case.inputs())
    assert report.passed, str(report)


@each([case for case in WITH_TORCH if case.special])
def test_torch_at_the_edges(case: Any, backend64: Backend) -> None:
    """Kinks, huge values, infinities; NLL of an impossible class that is not the label."""
    pytest.importorskip("torch", reason="the oracle is torch.nn")
    report = compare_with_torch(case.build(backend64), case.torch(), *case.special_inputs())
    assert report.passed, str(report)


# -- float32 against the float64 oracle -----------------------------------------------------------


def within_the_bar(actual: Any, expected: Any) -> None:
    rtol, atol = FORWARD_BARS["float32"]
    np.testing.assert_allclose(actual.astype(np.float64), expected, rtol=rtol, atol=atol, strict=True)


@each(LAYER_CASES)
def test_float32_forward_of_a_layer(case: LayerCase, backend: Backend) -> None:
    layer, exact = case.build(backend), case.build(oracle())
    exact.load_state_dict(layer.state_dict())
    x = case.input().astype("int64" if case.integers else "float32")
    y = layer(backend.from_host(x))
    assert backend.dtype(y) == "float32"
    expected = exact(oracle().from_host(x))
    within_the_bar(host(backend, y), host(oracle(), expected))


@each(LOSS_CASES)
def test_float32_forward_of_a_loss(case: LossCase, backend: Backend) -> None:
    arguments = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in case.inputs()]
    value = case.build(backend)(*(bring(backend, a) for a in arguments))
    assert backend.dtype(value) == "float32"
    expected = case.build(oracle())(*(bring(oracle(), a) for a in arguments))
    within_the_bar(host(backend, value), host(oracle(), expected))


# -- the values of docs/numerics.md -----------------------------------------------------------------


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
