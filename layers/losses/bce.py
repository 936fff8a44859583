"""Binary cross-entropy, from probabilities and from logits."""

from __future__ import annotations

from typing_extensions import override

from ...backends import Backend, DataError, Tensor
from ...backends.protocol import Shape
from .elementwise import ElementwiseLoss, Total


class _BinaryCrossEntropy(ElementwiseLoss):
    """Base of both: weights of the elements, and targets within [0, 1]."""

    weight: Tensor | None

    @override
    def check_targets(self, prediction_shape: tuple[int, ...], target: Tensor) -> None:
        _check_unit(self.backend, "target", target)

    def both_weights(self, shape: Shape, samples: Tensor | None) -> Tensor | None:
        """Return the weights of the elements times those of the samples; None if there are neither."""
        self.check_weight("weight", self.weight, shape)
        if self.weight is None or samples is None:
            return self.weight if samples is None else samples
        return self.backend.multiply(self.weight, samples)


class BCELoss(_BinaryCrossEntropy):
    """L = -w (t ln p + (1 - t) ln(1 - p)), each logarithm at least -100, as in torch.

    Prediction and target: (N, ...) of equal shape, within [0, 1].

    Parameters
    ----------
    weight
        A weight for each element: a tensor that broadcasts to the prediction, or None.
    reduction
        "mean", "sum" or "none".
    backend
        The backend that computes; the current one if None.

    """

    tensors = ("weight",)

    def __init__(
        self,
        weight: Tensor | None = None,
        reduction: str = "mean",
        *,
        backend: str | Backend | None = None,
    ) -> None:
        super().__init__(reduction, backend=backend)
        self.weight = self.weights("weight", weight)

    @override
    def elements(self, prediction: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Total]:
        shape, b = self.check_pair(prediction, target), self.backend
        samples = None if weight is None else self.spread(weight, shape, b.dtype(prediction))
        both = self.both_weights(shape, samples)
        if both is not None:
            prediction, target = self.selected(prediction, both), self.selected(target, both)
        if self.checks_values():
            self.check_prediction(prediction)
            self.check_targets(tuple(shape), target)
        total = self.size(shape, samples)
        self.keep(prediction, target, both, total)
        losses = b.binary_cross_entropy(prediction, target)
        return losses if both is None else b.multiply(losses, both), total

    @override
    def check_prediction(self, prediction: Tensor) -> None:
        _check_unit(self.backend, "prediction", prediction)

    @override
    def backward(self, grad_output: Tensor | None = None) -> Tensor:
        """dL/dp = w (p - t) / (p (1 - p)) / n, the denominator at least 1e-12."""
        p, t, weight, total = self.kept(grad_output)
        b = self.backend
        gradient = b.binary_cross_entropy_slope(p, t)
        if weight is not None:
            gradient = b.multiply(gradient, weight)
        return self.share(gradient, total, grad_output)


class BCEWithLogitsLoss(_BinaryCrossEntropy):
    """L = w ((1 - t) x + (1 + (v - 1) t) softplus(-x)): BCE of sigmoid(x) without overflow.

    Prediction (logits) and target: (N, ...) of equal shape, the target within [0, 1].

    Parameters
    ----------
    weight
        A weight w for each element: a tensor that broadcasts to the prediction, or None.
    reduction
        "mean", "sum" or "none".
    pos_weight
        A weight v for the positive targets of each class, a tensor that broadcasts, or None.
    backend
        The backend that computes; the current one if None.

    """

    tensors = ("weight", "pos_weight")

    def __init__(
        self,
        weight: Tensor | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
        *,
        backend: str | Backend | None = None,
    ) -> None:
        super().__init__(reduction, backend=backend)
        self.weight = self.weights("weight", weight)
        self.pos_weight = self.weights("pos_weight", pos_weight)

    @override
    def elements(self, prediction: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Total]:
        shape, b = self.check_pair(prediction, target), self.backend
        samples = None if weight is None else self.spread(weight, shape, b.dtype(prediction))
        both = self.both_weights(shape, samples)
        self.check_weight("pos_weight", self.pos_weight, shape)
        if both is not None:
            prediction, target = self.selected(prediction, both), self.selected(target, both)
        if self.checks_values():
            self.check_targets(tuple(shape), target)
        total = self.size(shape, samples)
        self.keep(prediction, target, both, total)
        tail = b.softplus(b.negative(prediction))
        if self.pos_weight is not None:
            tail = b.multiply(tail, self._slope(target))
        losses = b.add(b.multiply(b.subtract(1.0, target), prediction), tail)
        return losses if both is None else b.multiply(losses, both), total

    @override
    def backward(self, grad_output: Tensor | None = None) -> Tensor:
        """dL/dx = w ((1 + (v - 1) t) (sigmoid(x) - 1) + 1 - t) / n; w (sigmoid(x) - t) / n where v = 1."""
        x, t, weight, total = self.kept(grad_output)
        b = self.backend
        sigmoid = b.sigmoid(x)
        if self.pos_weight is None:
            gradient = b.subtract(sigmoid, t)
        else:
            fall = b.multiply(self._slope(t), b.subtract(sigmoid, 1.0))
            gradient = b.add(fall, b.subtract(1.0, t))
        if weight is not None:
            gradient = b.multiply(gradient, weight)
        return self.share(gradient, total, grad_output)

    def _slope(self, target: Tensor) -> Tensor:
        b = self.backend
        assert self.pos_weight is not None
        return b.add(b.multiply(b.subtract(self.pos_weight, 1.0), target), 1.0)


def _check_unit(b: Backend, what: str, x: Tensor) -> None:
    """Raise DataError unless all of x is within [0, 1]; NaN passes, and shows in the loss."""
    if 0 in b.shape(x):
        return
    low, high = -b.item(b.max(b.negative(x))), b.item(b.max(x))
    if low < 0.0 or high > 1.0:
        raise DataError(f"expected every {what} within [0, 1], got {low if low < 0.0 else high}")
