"""Classification losses, for files that contain a training graph."""

from __future__ import annotations

from ....backends import Backend, Tensor
from ....layers import CrossEntropyLoss, NLLLoss
from ..node import Node
from ..registry import function


@function("SoftmaxCrossEntropyLoss")
def cross_entropy(
    b: Backend, node: Node, scores: Tensor, labels: Tensor, weight: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return CrossEntropyLoss and the log-probabilities."""
    loss = CrossEntropyLoss(weight, reduction=node.get("reduction", "mean"), backend=b)
    return _loss(loss, node, scores, labels), b.log_softmax(scores, axis=1)


@function("NegativeLogLikelihoodLoss")
def negative_log_likelihood(
    b: Backend, node: Node, log_probabilities: Tensor, labels: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Return NLLLoss."""
    loss = NLLLoss(weight, reduction=node.get("reduction", "mean"), backend=b)
    return _loss(loss, node, log_probabilities, labels)


def _loss(loss: NLLLoss, node: Node, prediction: Tensor, labels: Tensor) -> Tensor:
    loss.ignore_index = node.get("ignore_index", loss.ignore_index)
    return loss(prediction, labels)
