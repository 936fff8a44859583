"""A data set under a loss: the form of its targets, the number of outputs, the decision threshold."""

from __future__ import annotations

from ...backends import DataError
from ...backends.host import Host
from ...layers.losses import BCELoss, BCEWithLogitsLoss, Loss, NLLLoss
from ..data import Dataset, one_hot


def targets_for(loss: Loss, data: Dataset) -> Host:
    """Return a data set's targets in the loss's form.

    Cross-entropy and NLL take labels (N,). Binary cross-entropy takes two classes as one column (N, 1). Other
    losses take classes one-hot, (N, K). Real targets (N, K) stay.
    """
    if isinstance(loss, NLLLoss) and data.classes is None:
        raise DataError(
            f"{loss}: expected classes, got {data.name} with real targets {data.targets.shape}; use MSELoss"
        )
    if isinstance(loss, NLLLoss) or data.classes is None:
        return data.targets
    if outputs_for(loss, data) == 1:
        return data.targets.reshape(-1, 1).astype(data.inputs.dtype)
    return one_hot(data.targets, len(data.classes))


def outputs_for(loss: Loss, data: Dataset) -> int:
    """Return the number of outputs that a model needs."""
    binary = isinstance(loss, (BCELoss, BCEWithLogitsLoss)) and data.classes is not None
    return 1 if binary and data.n_outputs == 2 else data.n_outputs


def decision_threshold(loss: Loss) -> float:
    """Return the single output above which a sample is of class 1: 0 for logits, else 0.5."""
    return 0.0 if isinstance(loss, BCEWithLogitsLoss) else 0.5
