"""How every loss of the table behaves: dtypes, what it keeps, empty batches, labels that are ignored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rows import each

import lamina.layers
from lamina.backends import Backend, ShapeError, StateError, get_backend
from lamina.layers import inference
from lamina.layers.proofs import LOSS_CASES, LossCase
from lamina.layers.proofs.subject import bring, cotangent, host


@each(LOSS_CASES)
def test_a_loss_keeps_dtypes_and_its_arguments(case: LossCase, backend: Backend) -> None:
    b = backend
    loss = case.build(b)
    arguments = [b.from_host(value) for value in case.inputs()]
    value = loss(*arguments)
    g = b.from_host(cotangent(b.shape(value)))
    seen = [host(b, tensor) for tensor in (*arguments, g)]
    grad = loss.backward(g) if loss.reduction == "none" else loss.backward()
    for tensor, old in zip((*arguments, g), seen, strict=True):
        assert host(b, tensor).tobytes() == old.tobytes()
    assert b.dtype(value) == b.dtype(grad) == "float32"
    assert b.shape(grad) == b.shape(arguments[0])
    assert (b.shape(value) == ()) == (loss.reduction != "none")


@each(LOSS_CASES)
def test_a_loss_without_the_call_before(case: LossCase, backend: Backend) -> None:
    b = backend
    loss = case.build(b)
    arguments = [b.from_host(value) for value in case.inputs()]
    name = type(loss).__name__
    with pytest.raises(StateError, match=rf"^{name}\(.*\): backward needs a call"):
        loss.backward()
    with inference():
        shape = b.shape(loss(*arguments))
    with pytest.raises(StateError, match="inference"):
        loss.backward()
    loss(*arguments)
    wrong = None if loss.reduction == "none" else b.full(shape, 1.0)
    with pytest.raises(StateError, match=rf"^{name}\(.*\): backward (needs the|takes no) gradient"):
        loss.backward(wrong)
    if loss.reduction == "none":
        with pytest.raises(ShapeError, match=rf"^{name}\(.*\): backward: expected shape"):
            loss.backward(b.full((1, *shape), 1.0))


@each(LOSS_CASES)
def test_the_loss_of_an_empty_batch(case: LossCase, backend64: Backend) -> None:
    b = backend64
    loss = case.build(b)
    prediction, *rest = (value[:0] for value in case.inputs())
    if getattr(loss, "weight", None) is not None and len(b.shape(loss.weight)) == 2:
        loss.weight = None  # it has a row for each sample
    arguments = b.from_host(prediction), *(bring(b, value) for value in rest)
    if loss.reduction == "none":
        assert loss(*arguments) is not None
    elif loss.reduction == "sum":
        assert b.item(loss(*arguments)) == 0.0
        assert b.shape(loss.backward()) == prediction.shape
        assert [b.item(value) for value in loss.fraction(*arguments)] == [0.0, 0.0]
    else:
        with pytest.raises(ShapeError, match=f"^{type(loss).__name__}.*empty batch"):
            loss(*arguments)


@each(LOSS_CASES)
def test_a_loss_that_does_not_validate_gives_the_same(case: LossCase, backend64: Backend) -> None:
    b = backend64
    loss, trusting = case.build(b), case.build(b)
    trusting.validate = False
    arguments = [bring(b, value) for value in case.inputs()]
    assert host(b, trusting(*arguments)).tobytes() == host(b, loss(*arguments)).tobytes()


def test_a_class_of_probability_zero_costs_nothing_unless_it_is_the_label() -> None:
    b = get_backend("numpy", dtype="float64")
    loss = lamina.layers.NLLLoss(backend=b)
    certain = b.from_host([[0.0, -np.inf]])
    assert b.item(loss(certain, b.from_host([0]))) == 0.0
    assert b.item(loss(certain, b.from_host([1]))) == np.inf


@pytest.mark.parametrize("loss", [lamina.layers.CrossEntropyLoss, lamina.layers.NLLLoss])
def test_all_labels_ignored(loss: Any, backend64: Backend) -> None:
    b = backend64
    prediction, target = b.from_host(np.zeros((2, 3))), b.from_host([-100, -100])
    with b.session():
        criterion = loss(backend=b)
        assert np.isnan(b.item(criterion(prediction, target)))
        # As torch: a batch that says nothing must not poison the weights.
        assert np.array_equal(b.to_host(criterion.backward()), np.zeros((2, 3)))
    assert b.item(lamina.layers.CrossEntropyLoss(reduction="sum", backend=b)(prediction, target)) == 0.0
