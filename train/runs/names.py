"""Losses and optimizers by name: the values of --loss and --optimizer."""

from __future__ import annotations

from collections.abc import Callable

from ...layers.losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, Loss, MSELoss, NLLLoss
from ..optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

LOSSES: dict[str, Callable[..., Loss]] = {
    "cross_entropy": CrossEntropyLoss,
    "nll": NLLLoss,
    "mse": MSELoss,
    "bce": BCELoss,
    "bce_with_logits": BCEWithLogitsLoss,
}
OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "adam": Adam,
    "adamw": AdamW,
}
OUTPUT_OF_LOSS = {"nll": "log_softmax", "bce": "sigmoid", "bce_with_logits": ""}
"""The --output that a loss requires; the other losses allow any."""
