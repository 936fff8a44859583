"""The last finite weights of a training that explodes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from typing_extensions import override

from ...backends import DataError
from ...backends.options import integer
from ...layers import Module
from ..data import Dataset
from ..loop.callbacks import Callback, Row, Training
from ..loop.trainer import Trainer

State = dict[str, Any]


class LastFinite(Callback):
    """Keep the weights of the start and of the last two epochs with finite losses.

    Without validation data an epoch's losses are from before its last step, so the later of the two may have
    exploded already.
    """

    def __init__(self, model: Module) -> None:
        self.states: list[tuple[int, State]] = [(0, model.state_dict())]

    @override
    def on_epoch_end(self, trainer: Training, row: Row) -> bool:
        losses = (row["train_loss"], row.get("validation_loss", 0.0))
        if all(map(math.isfinite, losses)) and finite_weights(trainer.model):
            self.states[1:] = [*self.states[1:][-1:], (int(row["epoch"]), trainer.model.state_dict())]
        return False

    @override
    def state_dict(self) -> dict[str, Any]:
        """Return all but the weights of the start, which a new model of the recipe has."""
        return {"states": self.states[1:]}

    @override
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        first = {name: value.shape for name, value in self.states[0][1].items()}
        states = [(integer("LastFinite", "epoch", epoch), weights) for epoch, weights in state["states"]]
        for _, weights in states:
            if {name: getattr(value, "shape", None) for name, value in weights.items()} != first:
                raise DataError("LastFinite: expected weights of the network, got others")
        self.states[1:] = states

    def restore(self, trainer: Trainer, data: Dataset) -> int:
        """Load the latest of these weights that are finite; return their epoch, 0 for the initial ones."""
        for epoch, state in self.states[:0:-1]:
            trainer.model.load_state_dict(state)
            if finite_model(trainer, data):
                return epoch
        trainer.model.load_state_dict(self.states[0][1])
        return 0


def finite_weights(model: Module) -> bool:
    """Return whether no weight and no statistic is NaN or infinite."""
    return all(bool(np.isfinite(value).all()) for value in model.state_dict().values())


def finite_model(trainer: Trainer, data: Dataset) -> bool:
    """Return whether the weights are finite, and the loss of finite data too.

    A training that skips steps lives with samples whose loss is not finite.
    """
    if not finite_weights(trainer.model):
        return False
    if trainer.skip_nonfinite:
        return True
    return math.isfinite(trainer.evaluate(data)["loss"]) or not finite_data(data)


def finite_data(data: Dataset) -> bool:
    """Return whether no input and no target is NaN or infinite."""
    try:
        data.check_finite()
    except DataError:
        return False
    return True
