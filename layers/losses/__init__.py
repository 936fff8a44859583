"""Losses: called with prediction and target, `backward()` gives the gradient of the prediction."""

from .bce import BCELoss, BCEWithLogitsLoss
from .loss import Loss
from .mse import MSELoss
from .nll import CrossEntropyLoss, NLLLoss

__all__ = ["BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "Loss", "MSELoss", "NLLLoss"]
