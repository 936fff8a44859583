"""Losses: called with prediction and target, `backward()` gives the gradient of the prediction."""

from .bce import BCELoss, BCEWithLogitsLoss
from .l2 import L2Penalty
from .loss import Loss
from .mse import MSELoss
from .nll import CrossEntropyLoss, NLLLoss

__all__ = ["BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "L2Penalty", "Loss", "MSELoss", "NLLLoss"]
