"""What a loss asks of a data set: the form of its targets, the number of outputs, where classes part."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backends import DataError
from ...layers.losses import BCELoss, BCEWithLogitsLoss, Loss, NLLLoss
from ..data import Dataset, one_hot

Host = np.ndarray[Any, Any]


def targets_for(loss: Loss, data: Dataset) -> Host:
    """Return a data set's targets in the form that a loss wants.

    Labels (N,) as they are for cross-entropy and NLL; for other losses one column (N, 1) where binary
    cross-entropy meets two classes, else one-hot (N, K). Real targets (N, K) as they are.
    """
    if data.classes is None:
        if isinstance(loss, NLLLoss):
            raise DataError(
                f"{loss}: {data.name} has real targets {data.targets.shape}, not classes; use MSELoss"
            )
        return data.targets
    if isinstance(loss, NLLLoss):
        return data.targets
    if outputs_for(loss, data) == 1:
        return data.targets.reshape(-1, 1).astype(data.inputs.dtype)
    return one_hot(data.targets, len(data.classes))


def outputs_for(loss: Loss, data: Dataset) -> int:
    """Return how many outputs a model needs for a data set under a loss."""
    binary = isinstance(loss, (BCELoss, BCEWithLogitsLoss)) and data.classes is not None
    return 1 if binary and data.n_outputs == 2 else data.n_outputs


def decision_threshold(loss: Loss) -> float:
    """Return where a single output turns from class 0 to 1: 0 for logits, else .5."""
    return 0.0 if isinstance(loss, BCEWithLogitsLoss) else 0.5
