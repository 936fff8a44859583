"""How every loss of the table behaves: dtypes, what it keeps, empty batches, labels that are ignored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rows import each

import lamina.layers
from lamina.backends import Backend, DataError, ShapeError, get_backend
from lamina.layers import Loss
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


def test_a_failed_loss_forgets_nothing_that_matters(backend64: Backend) -> None:
    b = backend64
    loss = lamina.layers.CrossEntropyLoss(backend=b)
    x = b.from_host(np.zeros((2, 3)))
    loss(x, b.from_host([0, 1]))
    with pytest.raises(DataError):
        loss(x, b.from_host([0, 7]))
    assert b.shape(loss.backward()) == (2, 3)


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
        with pytest.raises(ShapeError, match=f"^{type(loss).__name__}.*at least one"):
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
        assert [b.item(part) for part in criterion.fraction(prediction, target)] == [0.0, 0.0]
        # A weight of 0 is like an ignored label; torch's 0/0 gives NaN for every gradient.
        weighted = loss(b.from_host([0.0, 1.0, 1.0]), backend=b)
        assert np.isnan(b.item(weighted(prediction, b.from_host([0, 0]))))
        assert np.array_equal(b.to_host(weighted.backward()), np.zeros((2, 3)))
    assert b.item(lamina.layers.CrossEntropyLoss(reduction="sum", backend=b)(prediction, target)) == 0.0


@pytest.mark.parametrize("loss", [lamina.layers.CrossEntropyLoss, lamina.layers.NLLLoss])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_prediction_of_an_ignored_label_is_free(loss: Any, bad: float, backend64: Backend) -> None:
    """Its gradient is 0; torch's is NaN."""
    b = get_backend(f"autodiff+{backend64.raw.spec}", dtype="float64")
    criterion = loss(backend=b)
    prediction: Any = b.from_host([[-1.0, -2.0], [bad, bad]])
    prediction.requires_grad = True
    with b.session():
        value: Any = criterion(prediction, b.from_host([0, -100]))
        value.backward()
        gradients = prediction.grad.numpy(), b.to_host(criterion.backward())
    assert b.item(value) == b.item(criterion(b.from_host([[-1.0, -2.0]]), b.from_host([0])))
    for gradient in gradients:
        assert np.isfinite(gradient).all()
        assert gradient.any(axis=1).tolist() == [True, False]


def test_a_sample_of_weight_0_may_have_no_target(backend64: Backend) -> None:
    b = backend64
    weight = b.from_host([1.0, 0.0])
    for kind in (lamina.layers.MSELoss, lamina.layers.BCELoss, lamina.layers.BCEWithLogitsLoss):
        loss = kind(backend=b)
        value = loss(b.from_host([[0.5], [0.25]]), b.from_host([[1.0], [np.nan]]), weight)
        assert b.item(value) == b.item(kind(backend=b)(b.from_host([[0.5]]), b.from_host([[1.0]])))
        assert b.to_host(loss.backward())[1] == 0.0


class Hinge(Loss):
    """A loss of one's own: max(0, 1 - t p), weighted if asked."""

    def forward(self, prediction: Any, target: Any, weight: Any = None) -> Any:
        b = self.backend
        losses = b.maximum(b.subtract(1.0, b.multiply(prediction, target)), 0.0)
        if weight is not None:
            losses = b.multiply(losses, weight)
        if self.reduction == "none":
            return losses
        total = b.sum(losses)
        if self.reduction == "sum":
            return total
        return b.divide(total, float(b.shape(losses)[0]) if weight is None else b.sum(weight))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_loss_of_ones_own_has_a_fraction_over_its_samples(reduction: str, backend64: Backend) -> None:
    b = backend64
    loss = Hinge(reduction, backend=b)
    prediction, target = b.from_host([0.5, -1.0, 2.0]), b.from_host([1.0, 1.0, 1.0])
    assert [b.item(part) for part in loss.fraction(prediction, target)] == [2.5, 3.0]
    weighted = loss.fraction(prediction, target, b.from_host([4.0, 1.0, 0.0]))
    assert [b.item(part) for part in weighted] == [4.0, 5.0]
    assert b.item(loss.reduced(*weighted)) == (4.0 if reduction == "sum" else 0.8)
    with b.session():
        assert [b.item(part) for part in loss.fraction(prediction, target, b.full((3,), 0.0))] == [0.0, 0.0]


def test_another_forward_has_the_default_fraction(backend64: Backend) -> None:
    """The terms of a loss are those of its own forward, not of an inherited one."""

    class Doubled(lamina.layers.MSELoss):
        def forward(self, prediction: Any, target: Any, weight: Any = None) -> Any:
            return self.backend.multiply(super().forward(prediction, target, weight), 2.0)

    b = backend64
    pair = b.from_host([[1.0, 2.0], [3.0, 4.0]]), b.from_host([[0.0, 0.0], [0.0, 0.0]])
    loss = Doubled(backend=b)
    assert b.item(loss(*pair)) == 15.0
    assert [b.item(part) for part in loss.fraction(*pair)] == [30.0, 2.0]
    assert [b.item(part) for part in lamina.layers.MSELoss(backend=b).fraction(*pair)] == [30.0, 4.0]
