"""What a training loop tells whoever listens: early stopping, the best weights, a progress bar."""

from __future__ import annotations

import math
from typing import Any, Literal, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from ...backends.errors import OptionError, did_you_mean
from ...layers import Module
from .history import History

Row = dict[str, float]
Mode = Literal["min", "max"]


class Training(Protocol):
    """What a callback sees of the `Trainer` that calls it, and may change."""

    model: Module
    history: History
    stopped: str
    """Why training ends early; a callback that stops it says so here."""
    columns: tuple[str, ...]
    """What each row of the history will hold."""


class Callback:
    """Base: every method may be overridden, and does nothing."""

    def on_fit_start(self, trainer: Training, epochs: int, steps: int) -> None:
        """Before the first of `epochs` epochs of `steps` steps each."""

    def on_step(self, trainer: Training, step: int) -> None:
        """After the step-th step of an epoch, from 1. Only called where a class overrides it."""

    def on_epoch_end(self, trainer: Training, row: Row) -> bool:
        """After an epoch, with its row of the history; return True to stop."""
        return False

    def on_fit_end(self, trainer: Training) -> None:
        """After the last epoch, however it ended."""


class _Monitor(Callback):
    """Follows one column of the history."""

    def __init__(self, monitor: str, mode: Mode | None, min_delta: float) -> None:
        if mode is None:
            mode = "max" if monitor.endswith("accuracy") else "min"
        if mode not in ("min", "max"):
            raise OptionError(f"{type(self).__name__}: mode must be 'min' or 'max', got {mode!r}")
        if not min_delta >= 0:
            raise OptionError(f"{type(self).__name__}: min_delta must be at least 0, got {min_delta}")
        self.monitor = monitor
        self.mode = mode
        self.min_delta = min_delta
        self.best = math.nan

    def on_fit_start(self, trainer: Training, epochs: int, steps: int) -> None:
        """Forget the best; refuse a column that this fit does not write."""
        self.best = math.nan
        if self.monitor not in trainer.columns:
            raise OptionError(
                f"{type(self).__name__}: no column {self.monitor!r} to monitor; there are "
                f"{', '.join(trainer.columns)}.{did_you_mean(self.monitor, trainer.columns)}"
            )

    def improved(self, row: Row) -> bool:
        """Return whether the monitored value is the best so far, by more than min_delta."""
        value = row[self.monitor]
        gain = self.best - value if self.mode == "min" else value - self.best
        if gain > self.min_delta or (math.isnan(self.best) and not math.isnan(value)):
            self.best = value
            return True
        return False


class EarlyStopping(_Monitor):
    """Stop when a column has not improved for `patience` epochs.

    Parameters
    ----------
    monitor
        The column; "validation_loss" if not given.
    patience
        Epochs without improvement that are borne.
    mode
        "min" or "max"; by default "max" for accuracies, else "min".
    min_delta
        How much counts as an improvement.

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
        if patience < 1:
            raise OptionError(f"EarlyStopping: patience must be at least 1, got {patience}")
        self.patience = patience
        self.waited = 0

    def on_fit_start(self, trainer: Training, epochs: int, steps: int) -> None:
        """Start to wait anew."""
        super().on_fit_start(trainer, epochs, steps)
        self.waited = 0

    def on_epoch_end(self, trainer: Training, row: Row) -> bool:
        """Stop when the patience is out."""
        self.waited = 0 if self.improved(row) else self.waited + 1
        if self.waited < self.patience:
            return False
        trainer.stopped = f"{self.monitor} did not improve for {self.patience} epochs"
        return True


class BestWeights(_Monitor):
    """Keep the weights of the best epoch, and put them back when training ends.

    Parameters
    ----------
    monitor, mode, min_delta
        As for `EarlyStopping`.

    """

    def __init__(
        self, monitor: str = "validation_loss", *, mode: Mode | None = None, min_delta: float = 0.0
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.state: dict[str, Any] | None = None
        self.epoch = 0
        """The best one, from 1; 0 where there is none."""

    def on_fit_start(self, trainer: Training, epochs: int, steps: int) -> None:
        """Forget the last fit's."""
        super().on_fit_start(trainer, epochs, steps)
        self.state, self.epoch = None, 0

    def on_epoch_end(self, trainer: Training, row: Row) -> bool:
        """Copy the weights where they are the best."""
        if self.improved(row):
            self.state, self.epoch = trainer.model.state_dict(), int(row["epoch"])
        return False

    def on_fit_end(self, trainer: Training) -> None:
        """Put them back."""
        if self.state is not None:
            trainer.model.load_state_dict(self.state)


class ProgressBar(Callback):
    """A rich progress bar on standard error: epochs, the last row's figures, time passed and left."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._bar: Progress | None = None

    def on_fit_start(self, trainer: Training, epochs: int, steps: int) -> None:
        """Show it."""
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
        self._task = self._bar.add_task("", total=epochs, figures="")

    def on_epoch_end(self, trainer: Training, row: Row) -> bool:
        """Advance it."""
        if self._bar is not None:
            self._bar.update(self._task, advance=1, figures=_figures(row))
        return False

    def on_fit_end(self, trainer: Training) -> None:
        """Leave it standing."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _figures(row: Row) -> str:
    loss, validation = row["train_loss"], row.get("validation_loss")
    text = f"loss {loss:.4f}" + ("" if validation is None else f", validation {validation:.4f}")
    accuracy = row.get("validation_accuracy", row.get("train_accuracy"))
    return text if accuracy is None else f"{text} ({accuracy:.1%} right)"
