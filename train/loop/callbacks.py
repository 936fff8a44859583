"""Callbacks of `Trainer`: early stopping, the best weights, a progress bar."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column
from typing_extensions import override

from ...backends.errors import OptionError, StateError, did_you_mean
from ...backends.options import choice, integer, number, shown
from ...layers import Module
from ...layers.call import run_all
from ..files import Content
from .history import History
from .metrics import Metric, Mode, direction
from .position import Position

Row = dict[str, float]
_DIRECTIONS: dict[str, Mode] = {"loss": "min", "accuracy": "max"}


class Training(Protocol):
    """The part of a `Trainer` that callbacks may read and change."""

    model: Module
    history: History
    stopped: str
    """Why training stopped early; set by the callback that stops it."""
    columns: tuple[str, ...]
    """The names in each row of the history."""
    metrics: Mapping[str, Metric]
    callbacks: list[Callback]
    resumed_from: Path | None
    """The file of the last `resume`."""

    @property
    def epoch(self) -> int:
        """The finished epochs of all fits."""

    @property
    def position(self) -> Position | None:
        """Where the running fit stands."""

    def captured(self, description: Any = None) -> Content:
        """Return what a checkpoint's file holds, as a copy."""

    def completed(self, content: Content) -> Content:
        """Add what takes long; a thread may call it."""


class Callback:
    """Base of callbacks: its methods do nothing.

    A callback that counts or remembers defines `state_dict` and `load_state_dict`; then a resumed training
    goes on with what it had.
    """

    monitor: str | None = None
    """The column that it decides by, if any. For one of the training set, "train_loss", the trainer measures
    the training set at the end of each epoch, as it measures the validation set: a loss from before the
    steps is not the loss of the weights after them."""
    pause_seconds: float | None = None
    """The time between two calls of `on_pause`: about that, and at least a step."""
    pause_steps: int | None = None
    """`on_pause` also runs after each so many steps of a fit."""

    def on_fit_start(self, trainer: Training, epochs: int, steps: int) -> None:
        """Run before the first of `epochs` epochs of `steps` steps each.

        In a training that was resumed, `load_state_dict` follows.
        """

    def on_step(self, trainer: Training, step: int) -> None:
        """Run after the step-th step of an epoch, from 1."""

    def on_epoch_end(self, trainer: Training, row: Row) -> bool:
        """Run after an epoch, with its row of the history; return True to stop."""
        return False

    def on_pause(self, trainer: Training) -> None:
        """Run after each epoch, and between steps as `pause_seconds` and `pause_steps` say.

        All other methods of all callbacks have run by then. A compiled epoch is one call, and each pause cuts
        it; the results are the same.
        """

    def on_fit_end(self, trainer: Training) -> None:
        """Run after the last epoch, or when an error or interrupt ends the fit."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint saves of the callback; by default nothing.

        It may hold dicts with texts as keys, lists, tuples, texts, numbers, None and numpy arrays.
        """
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a `state_dict`; called by `Trainer.resume`, and again after `on_fit_start`.

        For a state that it cannot take, it raises an error and changes nothing.
        """


class Monitor(Callback):
    """Base of callbacks that follow one column of the history."""

    monitor: str

    def __init__(
        self, monitor: str, mode: Mode | None, min_delta: float = 0.0, *, owner: str | None = None
    ) -> None:
        self._owner = owner or type(self).__name__
        if mode is not None:
            choice(self._owner, "mode", mode, ("min", "max"))
        if not isinstance(monitor, str):
            raise OptionError(f"{self._owner}: expected monitor to be a column, got {shown(monitor)}")
        self.monitor = monitor
        self._stated = mode or _DIRECTIONS.get(_measure(monitor))
        self.mode = self._stated
        """Which values are better; None until a fit, if the metric has to say."""
        self.min_delta = number(self._owner, "min_delta", min_delta, least=0.0)
        self.best = math.nan

    @override
    def on_fit_start(self, trainer: Training, epochs: int, steps: int) -> None:
        self.best = math.nan
        if self.monitor not in trainer.columns:
            raise OptionError(
                f"{self._owner}: expected monitor to be a column of this fit "
                f"({', '.join(trainer.columns)}), got {shown(self.monitor)}."
                f"{did_you_mean(self.monitor, trainer.columns)}"
            )
        metric = trainer.metrics.get(_measure(self.monitor))
        self.mode = self._stated or (None if metric is None else direction(metric))
        if self.mode is None:
            raise OptionError(
                f"{self._owner}: expected mode 'min' or 'max' for {self.monitor!r}, got None; "
                "or give the trainer larger_is_better(metric) or smaller_is_better(metric)"
            )

    def improved(self, row: Row) -> bool:
        """Return whether the column improved on its best value by more than min_delta.

        NaN and infinities are worse than every number.
        """
        value = row[self.monitor]
        gain = self.best - value if self.mode == "min" else value - self.best
        if math.isfinite(value) and (math.isnan(self.best) or gain > self.min_delta):
            self.best = value
            return True
        return False

    def _best_of(self, state: Mapping[str, Any], *names: str) -> float:
        """Return "best" of a state; StateError unless it has these names, and a number or NaN as the best."""
        wanted = {"best", *names}
        if not isinstance(state, Mapping) or set(state) != wanted or not isinstance(state["best"], float):
            raise StateError(f"{self._owner}: expected a state of {sorted(wanted)}, got {shown(state)}")
        return state["best"]


class EarlyStopping(Monitor):
    """Stop when a column has not improved for `patience` epochs.

    Parameters
    ----------
    monitor
        The column.
    patience
        The number of epochs without improvement.
    mode
        "min" or "max": which values are better. Losses, accuracies and metrics that state it need none.
    min_delta
        The smallest change that counts as an improvement.

    """

    def __init__(
        self,
        monitor: str = "validation_loss",
        patience: int = 10,
        *,
        mode: Mode | None = None,
        min_delta: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = integer("EarlyStopping", "patience", patience)
        self.waited = 0

    @override
    def on_fit_start(self, trainer: Training, epochs: int, steps: int) -> None:
        super().on_fit_start(trainer, epochs, steps)
        self.waited = 0

    @override
    def on_epoch_end(self, trainer: Training, row: Row) -> bool:
        self.waited = 0 if self.improved(row) else self.waited + 1
        if self.waited < self.patience:
            return False
        trainer.stopped = f"{self.monitor} did not improve for {self.patience} epochs"
        return True

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    @override
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        best = self._best_of(state, "waited")
        self.waited = integer("EarlyStopping", "waited", state["waited"], least=0)
        self.best = best


class BestWeights(Monitor):
    """Keep the weights of the best epoch, and restore them when training ends, all or none.

    Parameters
    ----------
    monitor, mode, min_delta
        As for `EarlyStopping`.

    """

    def __init__(
        self, monitor: str = "validation_loss", *, mode: Mode | None = None, min_delta: float = 0.0
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        # One attribute: an interrupt cannot part the weights from their epoch.
        self._record: tuple[dict[str, Any] | None, int] = (None, 0)

    @property
    def state(self) -> dict[str, Any] | None:
        """The weights of the best epoch of the last fit; None if there is none."""
        return self._record[0]

    @property
    def epoch(self) -> int:
        """The best epoch, from 1; 0 if there is none."""
        return self._record[1]

    @override
    def on_fit_start(self, trainer: Training, epochs: int, steps: int) -> None:
        self._record = (None, 0)  # first: the weights of an earlier fit may be another model's
        super().on_fit_start(trainer, epochs, steps)

    @override
    def on_epoch_end(self, trainer: Training, row: Row) -> bool:
        if self.improved(row):
            self._record = (trainer.model.state_dict(), int(row["epoch"]))
        return False

    @override
    def on_fit_end(self, trainer: Training) -> None:
        if self.state is not None:
            run_all([partial(trainer.model.load_state_dict, self.state)])  # also if Ctrl-C comes now

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "epoch": self.epoch, "weights": self.state}

    @override
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        best, weights = self._best_of(state, "epoch", "weights"), state["weights"]
        epoch = integer("BestWeights", "epoch", state["epoch"], least=0)
        if not (weights is None or isinstance(weights, Mapping)):
            raise StateError(f"BestWeights: expected weights by name, got {shown(weights)}")
        self.best, self._record = best, (None if weights is None else dict(weights), epoch)


class ProgressBar(Callback):
    """A progress bar on standard error: epochs, the last losses and accuracy, time passed and left."""

    def __init__(self, console: Console | None = None) -> None:
        if console is not None and not isinstance(console, Console):
            raise OptionError(
                f"ProgressBar: expected a rich Console or none, got {shown(console)}; fit takes the epochs"
            )
        self.console = console or Console(stderr=True)
        self._bar: Progress | None = None

    @override
    def on_fit_start(self, trainer: Training, epochs: int, steps: int) -> None:
        whole = Column(no_wrap=True, min_width=2 * len(str(epochs)) + 1)
        self._bar = Progress(
            TextColumn("epoch"),
            MofNCompleteColumn(table_column=whole),
            BarColumn(bar_width=8),
            TextColumn("{task.fields[figures]}", table_column=Column(no_wrap=True)),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=self.console,
        )
        self._bar.start()
        position = trainer.position
        done = 0 if position is None else len(trainer.history) - position.first
        self._task = self._bar.add_task("", total=epochs, completed=done, figures="")

    @override
    def on_epoch_end(self, trainer: Training, row: Row) -> bool:
        if self._bar is not None:
            self._bar.update(self._task, advance=1, figures=_figures(row))
        return False

    @override
    def on_fit_end(self, trainer: Training) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _measure(column: str) -> str:
    """Return what a column measures: "loss" for "validation_loss"."""
    return column.removeprefix("train_").removeprefix("validation_")


def _figures(row: Row) -> str:
    loss, validation = row["train_loss"], row.get("validation_loss")
    text = f"loss {loss:.4f}" + ("" if validation is None else f", validation {validation:.4f}")
    accuracy = row.get("validation_accuracy", row.get("train_accuracy"))
    return text if accuracy is None else f"{text} ({accuracy:.1%} right)"
