"""`Trainer`: the training loop, with mini-batches, validation, metrics, callbacks and a history."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from ...backends import DataError, LaminaError, OptionError, Tensor
from ...backends.host import Host
from ...backends.options import integer, number
from ...layers import Module, inference, mode, named_scopes, without_input_gradient
from ...layers.call import checked_targets
from ...layers.faults import named_error
from ...layers.losses import L2Penalty, Loss
from ..data import Dataset, batch_count, order
from ..optimizers import Optimizer, clip_grad_norm, clip_grad_value
from .callbacks import Callback, ProgressBar
from .history import History
from .samples import Metric, Pair, Samples, Tally, cuts, rows
from .schedules import Schedule


class Trainer:
    """Trains a model on data.

    Parameters
    ----------
    model, loss, optimizer
        All on one backend.
    schedule
        The factor of the learning rate, by epoch.
    metrics
        More columns of the history, by name: functions of (outputs (N, ...), targets (N, ...)) on the host.
        The history always has the loss, and the accuracy of labels.
    callbacks
        Called in this order.
    penalty
        A penalty on the parameters. Its gradient is added at each step; the reported loss excludes it.
    clip_norm, clip_value
        Gradients are clipped to that joint norm, or elementwise to that value, before each step.
    seed
        The seed of the shuffling: equal seeds give equal batches on every backend.
    progress
        Whether to show a progress bar.
    check_finite
        Whether NaN and infinities in the data raise an error before training starts.

    """

    def __init__(
        self,
        model: Module,
        loss: Loss,
        optimizer: Optimizer,
        *,
        schedule: Schedule | None = None,
        metrics: Mapping[str, Metric] | None = None,
        callbacks: Sequence[Callback] = (),
        penalty: L2Penalty | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        seed: int = 0,
        progress: bool = False,
        check_finite: bool = False,
    ) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.backend = model.backend
        for part, backend in (("loss", loss.backend), ("optimizer", optimizer.groups[0].backend)):
            if backend is not self.backend:
                raise OptionError(
                    f"Trainer: expected the {part} on the model's backend, {self.backend!r}, got {backend!r}"
                )
        if loss.reduction == "none":
            raise OptionError(f"Trainer: expected a loss with one value for a batch, got {loss}")
        self.schedule = schedule
        self.metrics = dict(metrics or {})
        if taken := {"loss", "accuracy"} & set(self.metrics):
            raise OptionError(
                f"Trainer: expected other names for metrics than loss and accuracy, got {min(taken)}"
            )
        self.callbacks = [*callbacks, *([ProgressBar()] if progress else [])]
        self.penalty = penalty
        self.clip_norm = _bound("clip_norm", clip_norm)
        self.clip_value = _bound("clip_value", clip_value)
        self.seed = seed
        self.check_finite = check_finite
        self.history = History()
        self.epoch = 0
        self.columns: tuple[str, ...] = ()
        """The names in each row of the history of the running fit."""
        self.stopped = ""
        """Why training stopped before its last epoch, if it did."""

    # -- what a user calls -------------------------------------------------------------------------

    def fit(
        self,
        train: Dataset | Pair,
        validation: Dataset | Pair | None = None,
        *,
        epochs: int = 10,
        batch_size: int = 32,
        shuffle: bool = True,
        drop_last: bool = False,
    ) -> History:
        """Train for `epochs` more epochs and return the history of all epochs.

        Every check runs before the first parameter changes. After an interrupt (Ctrl-C), the model and
        `history` keep the epochs so far. `model.train()` and `model.eval()` have no effect on a fit.

        Parameters
        ----------
        train, validation
            Data sets, or pairs (inputs (N, ...), targets).
        epochs, batch_size
            At least 1. A batch has at most N samples.
        shuffle
            Whether to shuffle the samples in each epoch.
        drop_last
            Whether to drop the last batch if it is not full.

        Raises
        ------
        DataError
            If there is no data, targets do not fit the loss, or `check_finite` fails.

        """
        epochs, batch_size = integer("fit", "epochs", epochs), integer("fit", "batch_size", batch_size)
        samples = self._samples(train, "train")
        held_out = None if validation is None else self._samples(validation, "validation")
        steps = batch_count(samples.size, batch_size, drop_last=drop_last)
        self.optimizer.check_parameters()
        self.columns = _columns(samples, held_out, self.metrics)
        self.stopped = ""
        with ExitStack() as stack:
            for scope in (mode(training=True), named_scopes(self.model), checked_targets()):
                stack.enter_context(scope)
            for callback in self.callbacks:
                stack.callback(callback.on_fit_end, self)
                callback.on_fit_start(self, epochs, steps)
            for _ in range(epochs):
                row = self._epoch(samples, held_out, batch_size, steps, shuffle)
                if self._stops(row):
                    break
        return self.history

    def predict(self, inputs: Any, *, batch_size: int = 1024) -> Host:
        """Return the model's outputs for inputs (N, ...), as a host array (N, ...)."""
        batch_size = integer("predict", "batch_size", batch_size)
        b = self.backend
        x = b.from_host(inputs)
        if not b.shape(x) or b.shape(x)[0] == 0:
            raise DataError(
                f"predict: expected inputs (N, ...) with N of at least 1, got {tuple(b.shape(x))}"
            )
        with mode(training=False), inference(), named_scopes(self.model):
            outputs = []
            for first, last in cuts(b.shape(x)[0], batch_size):
                with b.session():
                    outputs.append(b.to_host(self.model(rows(b, x, first, last))))
        return np.concatenate(outputs)

    def evaluate(self, data: Dataset | Pair, *, batch_size: int = 1024) -> dict[str, float]:
        """Return the loss over a data set, the accuracy of labels, and the metrics."""
        batch_size = integer("evaluate", "batch_size", batch_size)
        return self._score(self._samples(data, "evaluate"), batch_size)

    def train_step(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step on a batch x (N, ...), y; return the prediction and the loss before the step."""
        with self.backend.session(), named_scopes(self.model):
            self.optimizer.zero_grad()
            prediction = self.model(x)
            loss = self.loss(prediction, y)
            gradient = self.loss.backward()
            with without_input_gradient(self.model):
                self.model.backward(gradient)
            if self.penalty is not None:
                self.penalty.backward()
            if self.clip_norm is not None:
                clip_grad_norm(self.optimizer, self.clip_norm)
            if self.clip_value is not None:
                clip_grad_value(self.optimizer, self.clip_value)
            self.optimizer.step()
        return prediction, loss

    # -- an epoch ----------------------------------------------------------------------------------

    def _epoch(
        self, samples: Samples, held_out: Samples | None, batch_size: int, steps: int, shuffle: bool
    ) -> dict[str, float]:
        """Run one epoch and return its row of the history."""
        start = time.perf_counter()
        if self.schedule is not None:
            self.optimizer.lr_factor = self.schedule(self.epoch)
        row = {"epoch": float(self.epoch + 1), "learning_rate": self.optimizer.lr}
        if shuffle:
            # One gather an epoch; every batch is then a view.
            samples = samples.taken(order(samples.size, seed=self.seed, epoch=self.epoch))
        row |= _prefixed("train", self._learn(samples, cuts(samples.size, batch_size)[:steps]))
        if held_out is not None:
            row |= _prefixed("validation", self._score(held_out, max(batch_size, 1024)))
        row["seconds"] = time.perf_counter() - start
        self.epoch += 1
        self.history.append(**row)
        return row

    def _learn(self, samples: Samples, batches: list[tuple[int, int]]) -> dict[str, float]:
        """Take a step for each batch and return the scores of their predictions."""
        listeners = [c for c in self.callbacks if type(c).on_step is not Callback.on_step]
        tally = Tally.of(samples, self.loss, self.metrics)
        for step, (first, last) in enumerate(batches, start=1):
            prediction, loss = self.train_step(*samples.rows(first, last))
            tally.add(prediction, loss, last - first)
            for callback in listeners:
                callback.on_step(self, step)
        return tally.scores(samples)

    def _score(self, samples: Samples, batch_size: int) -> dict[str, float]:
        """Return the scores of the model's predictions, without training."""
        tally = Tally.of(samples, self.loss, self.metrics)
        with mode(training=False), inference(), named_scopes(self.model):
            for first, last in cuts(samples.size, batch_size):
                x, y = samples.rows(first, last)
                with self.backend.session():
                    prediction = self.model(x)
                    loss = self.loss(prediction, y)
                tally.add(prediction, loss, last - first)
        return tally.scores(samples)

    def _stops(self, row: dict[str, float]) -> bool:
        """Run the callbacks after an epoch; return whether to stop."""
        stop = [callback.on_epoch_end(self, row) for callback in self.callbacks]
        if not math.isfinite(row["train_loss"]):
            self.stopped = (
                f"the training loss became {row['train_loss']} in epoch {row['epoch']:.0f}; try a smaller "
                "learning rate, or check_finite if the data may hold NaN"
            )
            return True
        return any(stop)

    # -- data --------------------------------------------------------------------------------------

    def _samples(self, data: Dataset | Pair, part: str) -> Samples:
        """Return a data set on the backend, checked against model and loss."""
        try:
            samples = Samples.of(data, self.loss, check_finite=self.check_finite)
            self._check(samples)
        except LaminaError as error:
            raise type(error)(f"{part}: {error}") from error
        return samples

    def _check(self, samples: Samples) -> None:
        """Run the first samples through model and loss, and check all targets."""
        b = self.backend
        with mode(training=False), inference(), named_scopes(self.model), b.session():
            x, y = samples.rows(0, min(samples.size, 32))
            prediction = self.model(x)
            self.loss(prediction, y)
        try:
            self.loss.check_targets((samples.size, *b.shape(prediction)[1:]), samples.y)
        except LaminaError as error:
            raise named_error(error, self.loss) from error


def _bound(option: str, value: float | None) -> float | None:
    return None if value is None else number("Trainer", option, value, above=0.0, infinite=True)


def _columns(samples: Samples, held_out: Samples | None, metrics: Mapping[str, Metric]) -> tuple[str, ...]:
    names = ["epoch", "learning_rate"]
    for part, data in (("train", samples), ("validation", held_out)):
        if data is not None:
            accuracy = ["accuracy"] if data.labels is not None else []
            names += [f"{part}_{name}" for name in ("loss", *accuracy, *metrics)]
    return (*names, "seconds")


def _prefixed(part: str, scores: dict[str, float]) -> dict[str, float]:
    return {f"{part}_{name}": value for name, value in scores.items()}
