"""A negative control: the proofs must catch every fault in dense layers, activations and losses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from planted import objections, planted
from rows import row

import lamina.layers
from lamina.backends import Backend
from lamina.layers import Loss, Module
from lamina.layers.proofs import LAYER_CASES, LOSS_CASES, check_differences
from lamina.layers.proofs.check import DIFFERENCES, GRAPH, TORCH

pytestmark = pytest.mark.raw_only

# -- layers ---------------------------------------------------------------------------------------


class SwappedTranspose(lamina.layers.Linear):
    def backward(self, grad_output: Any) -> Any:
        super().backward(grad_output)
        return self.backend.matmul(grad_output, self.backend.permute_dims(self.weight.data, (1, 0)))


class ForgottenAccumulate(lamina.layers.Linear):
    def backward(self, grad_output: Any) -> Any:
        b, (x,) = self.backend, self.kept()
        self.weight.accumulate(b.linear_grad(grad_output, x)[0])
        return b.matmul(grad_output, self.weight.data)


class BiasMean(lamina.layers.Linear):
    def backward(self, grad_output: Any) -> Any:
        b, (x,) = self.backend, self.kept()
        self.weight.accumulate(b.linear_grad(grad_output, x)[0])
        self.bias.accumulate(b.mean(grad_output, axis=0))
        return b.matmul(grad_output, self.weight.data)


class AssignsInsteadOfAdding(lamina.layers.Linear):
    def backward(self, grad_output: Any) -> Any:
        self.weight.zero_grad()
        return super().backward(grad_output)


class ReLUPassesAtZero(lamina.layers.ReLU):
    def backward(self, grad_output: Any) -> Any:
        b, (y,) = self.backend, self.kept()
        return b.where(b.less(y, 0.0), 0.0, grad_output)


class ReLUHalfAtZero(lamina.layers.ReLU):
    def forward(self, x: Any) -> Any:
        self.keep(x)
        return self.backend.relu(x)

    def backward(self, grad_output: Any) -> Any:
        b, (x,) = self.backend, self.kept()
        return b.multiply(grad_output, b.multiply(b.add(b.sign(x), 1.0), 0.5))


class ReLUSwallowsNaN(lamina.layers.ReLU):
    def forward(self, x: Any) -> Any:
        b = self.backend
        y = b.where(b.greater(x, 0.0), x, 0.0)
        self.keep(y)
        return y


class SlopeMissing(lamina.layers.LeakyReLU):
    def backward(self, grad_output: Any) -> Any:
        b, (x,) = self.backend, self.kept()
        return b.relu_grad(grad_output, x)


class SigmoidPlus(lamina.layers.Sigmoid):
    def backward(self, grad_output: Any) -> Any:
        b, (y,) = self.backend, self.kept()
        return b.multiply(grad_output, b.multiply(y, b.add(y, 1.0)))


class TanhNotSquared(lamina.layers.Tanh):
    def backward(self, grad_output: Any) -> Any:
        b, (y,) = self.backend, self.kept()
        return b.multiply(grad_output, b.subtract(1.0, y))


class SoftmaxWithoutInnerSum(lamina.layers.Softmax):
    def backward(self, grad_output: Any) -> Any:
        b, (y,) = self.backend, self.kept()
        return b.multiply(y, b.subtract(grad_output, b.multiply(grad_output, y)))


class LogSoftmaxWrongAxis(lamina.layers.LogSoftmax):
    def backward(self, grad_output: Any) -> Any:
        (y,) = self.kept()
        return self.backend.log_softmax_grad(grad_output, y, axis=0)


# -- losses ---------------------------------------------------------------------------------------


class MSEFactorMissing(lamina.layers.MSELoss):
    def backward(self, grad_output: Any = None) -> Any:
        return self.backend.multiply(super().backward(grad_output), 0.5)


class MSEMeanMissing(lamina.layers.MSELoss):
    def backward(self, grad_output: Any = None) -> Any:
        difference, *_ = self.kept(grad_output)
        return self.backend.multiply(difference, 2.0)


class BCEWeightMissing(lamina.layers.BCELoss):
    def backward(self, grad_output: Any = None) -> Any:
        p, t, _, total = self.kept(grad_output)
        self.keep(p, t, None, total)
        return super().backward(grad_output)


class BCEUnclamped(lamina.layers.BCELoss):
    def forward(self, prediction: Any, target: Any) -> Any:
        super().forward(prediction, target)
        b = self.backend
        gain = b.add(
            b.multiply(target, b.log(prediction)),
            b.multiply(b.subtract(1.0, target), b.log1p(b.negative(prediction))),
        )
        return b.negative(b.mean(gain))


class PosWeightOnNegatives(lamina.layers.BCEWithLogitsLoss):
    def backward(self, grad_output: Any = None) -> Any:
        x, t, *_ = self.kept(grad_output)
        b = self.backend
        gradient = b.multiply(b.subtract(b.sigmoid(x), t), self.pos_weight)
        return self.share(gradient, 12.0, grad_output)


class SmoothingForgotten(lamina.layers.CrossEntropyLoss):
    def forward(self, prediction: Any, target: Any) -> Any:
        loss = super().forward(prediction, target)
        smoothing, self.label_smoothing = self.label_smoothing, 0.0
        super().forward(prediction, target)
        self.label_smoothing = smoothing
        return loss


class IgnoredNotMasked(lamina.layers.CrossEntropyLoss):
    def forward(self, prediction: Any, target: Any) -> Any:
        loss = super().forward(prediction, target)
        ignored, self.ignore_index = self.ignore_index, -100
        super().forward(prediction, target)
        self.ignore_index = ignored
        return loss


class PlainMeanOfWeighted(lamina.layers.NLLLoss):
    """Wrong alike in forward and backward: only another implementation can tell."""

    def forward(self, prediction: Any, target: Any) -> Any:
        self.reduction = "sum"
        total = super().forward(prediction, target)
        self.reduction = "mean"
        return self.backend.multiply(total, 1.0 / 6.0)

    def backward(self, grad_output: Any = None) -> Any:
        self.reduction = "sum"
        gradient = super().backward(grad_output)
        self.reduction = "mean"
        return self.backend.multiply(gradient, 1.0 / 6.0)


# -- caught ---------------------------------------------------------------------------------------


ALL = {DIFFERENCES, GRAPH, TORCH}
LAYER_FAULTS: list[tuple[type[Module], str, set[str]]] = [
    # the class, the case it breaks, and the oracles that object
    (SwappedTranspose, "Linear square, batch of one", ALL),
    (ForgottenAccumulate, "Linear with bias", ALL),
    (BiasMean, "Linear with bias", ALL),
    (ReLUPassesAtZero, "ReLU", ALL),
    (ReLUHalfAtZero, "ReLU", {GRAPH, TORCH}),
    (ReLUSwallowsNaN, "ReLU", {TORCH}),
    (SlopeMissing, "LeakyReLU", ALL),
    (SigmoidPlus, "Sigmoid", ALL),
    (TanhNotSquared, "Tanh", ALL),
    (SoftmaxWithoutInnerSum, "Softmax dim=-1 of 3x4", ALL),
    (LogSoftmaxWrongAxis, "LogSoftmax dim=-1 of 3x4", ALL),
]


@pytest.mark.parametrize(
    ("kind", "name", "oracles"), LAYER_FAULTS, ids=lambda v: getattr(v, "__name__", None)
)
def test_a_planted_fault_in_a_layer_is_caught(
    kind: type[Module], name: str, oracles: set[str], backend64: Backend
) -> None:
    pytest.importorskip("torch", reason="only another implementation sees some faults")
    assert objections(planted(row(LAYER_CASES, name), kind), backend64) == oracles


LOSS_FAULTS: list[tuple[type[Loss], str, set[str]]] = [
    (MSEFactorMissing, "MSELoss sum", ALL),
    (MSEMeanMissing, "MSELoss mean", ALL),
    (BCEWeightMissing, "BCELoss weighted", ALL),
    (BCEUnclamped, "BCELoss mean", {GRAPH, TORCH}),
    (PosWeightOnNegatives, "BCEWithLogitsLoss pos_weight", ALL),
    (SmoothingForgotten, "CrossEntropyLoss smoothed", ALL),
    (IgnoredNotMasked, "CrossEntropyLoss ignoring 1", ALL),
    (PlainMeanOfWeighted, "NLLLoss weighted mean", {TORCH}),
]


@pytest.mark.parametrize(("kind", "name", "oracles"), LOSS_FAULTS, ids=lambda v: getattr(v, "__name__", None))
def test_a_planted_fault_in_a_loss_is_caught(
    kind: type[Loss], name: str, oracles: set[str], backend64: Backend
) -> None:
    pytest.importorskip("torch", reason="only another implementation sees some faults")
    assert objections(planted(row(LOSS_CASES, name), kind), backend64) == oracles


def test_gradients_that_do_not_add_up_are_caught(backend64: Backend) -> None:
    case = row(LAYER_CASES, "Sequential with a shared weight")

    def make(b: Backend) -> Module:
        model = case.make(b)
        for layer in model:
            if isinstance(layer, lamina.layers.Linear):
                layer.__class__ = AssignsInsteadOfAdding
        return model

    report = check_differences(replace(case, make=make).build(backend64), *case.inputs())
    assert {d.name for d in report.differences if d.error > 1.0} == {"0.weight"}
