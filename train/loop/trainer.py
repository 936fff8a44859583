"""`Trainer`: the training loop, with mini-batches, validation, metrics, callbacks and a history."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from ...backends import DataError, LaminaError, OptionError, Tensor
from ...layers import Module, inference, mode, named_scopes, without_input_gradient
from ...layers.faults import named_error
from ...layers.losses import L2Penalty, Loss
from ..data import Dataset, batch_count, order
from ..optimizers import Optimizer, clip_grad_norm, clip_grad_value
from .callbacks import Callback, ProgressBar
from .history import History
from .samples import Metric, Pair, Samples, Tally, cuts, rows
from .schedules import Schedule

Host = np.ndarray[Any, Any]


class Trainer:
    """Fits a model to data.

    Parameters
    ----------
    model, loss, optimizer
        All on one backend.
    schedule
        What multiplies the learning rate at each epoch.
    metrics
        What else each epoch's history holds, by name: functions of (outputs (N, ...), targets (N, ...)) on
        the host. Losses, and the accuracy of labels, are there without.
    callbacks
        Told of every epoch, in this order.
    penalty
        A penalty on the parameters, whose gradient is added at each step; the loss that is shown is without.
    clip_norm, clip_value
        Gradients are clipped to that joint norm, or elementwise to that value, before each step.
    seed
        Of the shuffling: equal seeds see equal batches, on every backend.
    progress
        Whether a progress bar is shown.
    check_finite
        Whether NaN and infinities in the data are an error before training starts.

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
        for what, other in (("loss", loss.backend), ("optimizer", optimizer.groups[0].backend)):
            if other is not self.backend:
                raise OptionError(f"Trainer: the model is on {self.backend!r} and the {what} on {other!r}")
        if loss.reduction == "none":
            raise OptionError(
                f"Trainer: {loss} gives a loss for each element; choose a reduction that gives one"
            )
        for option, bound in (("clip_norm", clip_norm), ("clip_value", clip_value)):
            if bound is not None and not bound > 0:
                raise OptionError(f"Trainer: {option} must be above 0 (or None), got {bound!r}")
        self.schedule = schedule
        self.metrics = dict(metrics or {})
        if taken := {"loss", "accuracy"} & set(self.metrics):
            raise OptionError(f"Trainer: metrics need names of their own, {taken.pop()!r} is taken")
        self.callbacks = [*callbacks, *([ProgressBar()] if progress else [])]
        self.penalty = penalty
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.seed = seed
        self.check_finite = check_finite
        self.history = History()
        self.epoch = 0
        self.columns: tuple[str, ...] = ()
        """The names in each row of the history that the running fit writes."""
        self.stopped = ""
        """Why training ended before its last epoch, if it did."""

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
        """Train for `epochs` more epochs and return the history of all.

        Whatever does not fit is an error before any parameter changes. After an interruption (Ctrl-C),
        `history` and the model hold what was learnt so far. The modes set
        by `model.train()` and `eval()` are neither read nor changed.

        Parameters
        ----------
        train, validation
            Data sets, or pairs (inputs (N, ...), targets).
        epochs, batch_size
            At least 1. A batch never has more samples than there are.
        shuffle
            Whether each epoch has an order of its own.
        drop_last
            Whether a last batch that is not full is left out.

        Raises
        ------
        DataError
            If there is no data, targets do not fit the loss, or (on request) something is not finite.

        """
        for option, value in (("epochs", epochs), ("batch_size", batch_size)):
            if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
                raise OptionError(f"fit: {option} must be an integer of at least 1, got {value!r}")
        samples = self._samples(train, "train")
        held_out = None if validation is None else self._samples(validation, "validation")
        steps = batch_count(samples.size, batch_size, drop_last=drop_last)
        self.columns = _columns(samples, held_out, self.metrics)
        self.stopped = ""
        self.optimizer.check_parameters()
        with ExitStack() as ending, self._training():
            for callback in self.callbacks:
                ending.callback(callback.on_fit_end, self)
                callback.on_fit_start(self, epochs, steps)
            for _ in range(epochs):
                row = self._epoch(samples, held_out, batch_size, steps, shuffle)
                if self._told(row):
                    break
        return self.history

    def predict(self, inputs: Any, *, batch_size: int = 1024) -> Host:
        """Return the model's outputs for inputs (N, ...), as a host array (N, ...)."""
        b = self.backend
        x = b.from_host(inputs)
        if not b.shape(x) or b.shape(x)[0] == 0:
            raise DataError(
                f"predict: expected inputs (N, ...) with N of at least 1, got {tuple(b.shape(x))}"
            )
        with mode(training=False), inference(), named_scopes(self.model):
            parts = []
            for first, last in cuts(b.shape(x)[0], batch_size):
                with b.session():
                    parts.append(b.to_host(self.model(rows(b, x, first, last))))
        return np.concatenate(parts)

    def evaluate(self, data: Dataset | Pair, *, batch_size: int = 1024) -> dict[str, float]:
        """Return the loss, and for classes the accuracy, over a data set."""
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
        row |= _named("train", self._learn(samples, batch_size, steps, shuffle))
        if held_out is not None:
            row |= _named("validation", self._score(held_out, max(batch_size, 1024)))
        row["seconds"] = time.perf_counter() - start
        self.epoch += 1
        self.history.append(**row)
        return row

    def _learn(self, samples: Samples, batch_size: int, steps: int, shuffle: bool) -> dict[str, float]:
        """Take the steps of one epoch; return the mean of what the batches gave."""
        if shuffle:
            # One gather an epoch, then every batch is a view.
            samples = samples.taken(order(samples.size, seed=self.seed, epoch=self.epoch))
        listeners = [c for c in self.callbacks if type(c).on_step is not Callback.on_step]
        tally = Tally(self.loss, self.metrics, self._wants_predictions(samples))
        for i, (first, last) in enumerate(cuts(samples.size, batch_size)[:steps]):
            prediction, loss = self.train_step(*samples.rows(first, last))
            self.loss.validate = False  # the targets were looked at as a whole, the first prediction now
            tally.add(prediction, loss, last - first)
            for callback in listeners:
                callback.on_step(self, i + 1)
        return tally.scores(samples)

    def _score(self, samples: Samples, batch_size: int) -> dict[str, float]:
        """Return loss and, for labels, accuracy, with nothing learnt."""
        tally = Tally(self.loss, self.metrics, self._wants_predictions(samples))
        with mode(training=False), inference(), named_scopes(self.model):
            for first, last in cuts(samples.size, batch_size):
                x, y = samples.rows(first, last)
                with self.backend.session():
                    prediction = self.model(x)
                    loss = self.loss(prediction, y)
                tally.add(prediction, loss, last - first)
        return tally.scores(samples)

    def _wants_predictions(self, samples: Samples) -> bool:
        return samples.labels is not None or bool(self.metrics)

    def _told(self, row: dict[str, float]) -> bool:
        """Tell the callbacks; return whether to stop."""
        stop = [callback.on_epoch_end(self, row) for callback in self.callbacks]
        if not math.isfinite(row["train_loss"]):
            self.stopped = (
                f"the training loss became {row['train_loss']} in epoch {row['epoch']:.0f}; try a smaller "
                "learning rate, or check_finite where the data may hold NaN"
            )
            return True
        return any(stop)

    # -- states ------------------------------------------------------------------------------------

    @contextmanager
    def _training(self) -> Iterator[None]:
        """Train the model inside a `with`; the loss may stop looking at targets until its end."""
        checked = self.loss.validate
        try:
            with mode(training=True), named_scopes(self.model):
                yield
        finally:
            self.loss.validate = checked

    # -- data --------------------------------------------------------------------------------------

    def _samples(self, data: Dataset | Pair, what: str) -> Samples:
        """Return a data set on the backend, with targets as the loss wants them, all checked."""
        try:
            samples = Samples.of(data, self.loss, check_finite=self.check_finite)
            self._check_fit(samples)
        except LaminaError as error:
            raise type(error)(f"{what}: {error}") from error
        return samples

    def _check_fit(self, samples: Samples) -> None:
        """Run one sample through model and loss: what does not fit is said before anything changes."""
        b = self.backend
        with mode(training=False), inference(), named_scopes(self.model), b.session():
            prediction = self.model(samples.rows(0, 1)[0])
            self.loss(prediction, samples.rows(0, 1)[1])
        try:
            self.loss.check_targets((samples.size, *b.shape(prediction)[1:]), samples.y)
        except LaminaError as error:
            raise named_error(error, self.loss) from error


def _columns(samples: Samples, held_out: Samples | None, metrics: Mapping[str, Metric]) -> tuple[str, ...]:
    names = ["epoch", "learning_rate"]
    for part, data in (("train", samples), ("validation", held_out)):
        if data is not None:
            accuracy = ["accuracy"] if data.labels is not None else []
            names += [f"{part}_{name}" for name in ("loss", *accuracy, *metrics)]
    return (*names, "seconds")


def _named(part: str, scores: dict[str, float]) -> dict[str, float]:
    return {f"{part}_{name}": value for name, value in scores.items()}
