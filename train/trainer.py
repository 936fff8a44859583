"""`Trainer`: the training loop, with mini-batches, validation, metrics, callbacks and a history."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..backends import DataError, OptionError, Tensor
from ..layers import Module, inference
from ..layers.losses import BCELoss, BCEWithLogitsLoss, Loss, NLLLoss
from . import metrics
from .callbacks import Callback, ProgressBar
from .data import Dataset, one_hot, order
from .history import History
from .optimizers import Optimizer, clip_grad_norm, clip_grad_value
from .schedules import Schedule

Host = np.ndarray[Any, Any]
Pair = tuple[Any, Any]


class Trainer:
    """Fits a model to data.

    Parameters
    ----------
    model, loss, optimizer
        All on one backend.
    schedule
        What multiplies the learning rate at each epoch.
    callbacks
        Told of every epoch.
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
        callbacks: Sequence[Callback] = (),
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
        self.schedule = schedule
        self.callbacks = [*callbacks, *([ProgressBar()] if progress else [])]
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.seed = seed
        self.check_finite = check_finite
        self.history = History()
        self.epoch = 0
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

        After an interruption (Ctrl-C), `history` and the model hold what was learnt so far.

        Parameters
        ----------
        train, validation
            Data sets, or pairs (inputs (N, ...), targets).
        epochs, batch_size
            At least 1.
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
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise OptionError(f"fit: {option} must be an integer of at least 1, got {value!r}")
        inputs, targets, labels = self._data(train, "train")
        held_out = None if validation is None else self._data(validation, "validation")
        n = self.backend.shape(inputs)[0]
        steps = n // batch_size if drop_last else math.ceil(n / batch_size)
        if steps == 0:
            raise DataError(f"fit: drop_last leaves nothing of {n} samples in batches of {batch_size}")
        self.stopped = ""
        for callback in self.callbacks:
            callback.on_fit_start(self, epochs, steps)
        try:
            with self._training():
                for _ in range(epochs):
                    row = self._epoch(inputs, targets, labels, held_out, batch_size, steps, shuffle)
                    if self._told(row):
                        break
        finally:
            for callback in self.callbacks:
                callback.on_fit_end(self)
        return self.history

    def predict(self, inputs: Any, *, batch_size: int = 1024) -> Host:
        """Return the model's outputs for inputs (N, ...), as a host array (N, ...)."""
        x = self.backend.from_host(inputs)
        return self._forward(x, batch_size)

    def evaluate(self, data: Dataset | Pair, *, batch_size: int = 1024) -> dict[str, float]:
        """Return the loss, and for classes the accuracy, over a data set."""
        inputs, targets, labels = self._data(data, "evaluate")
        return self._score(inputs, targets, labels, batch_size)

    def train_step(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step on a batch x (N, ...), y; return the prediction and the loss before the step."""
        with self.backend.session():
            self.optimizer.zero_grad()
            prediction = self.model(x)
            loss = self.loss(prediction, y)
            self.model.backward(self.loss.backward())
            if self.clip_norm is not None:
                clip_grad_norm(self.optimizer, self.clip_norm)
            if self.clip_value is not None:
                clip_grad_value(self.optimizer, self.clip_value)
            self.optimizer.step()
        return prediction, loss

    # -- inside ------------------------------------------------------------------------------------

    def _epoch(
        self,
        inputs: Tensor,
        targets: Tensor,
        labels: Host | None,
        held_out: tuple[Tensor, Tensor, Host | None] | None,
        batch_size: int,
        steps: int,
        shuffle: bool,
    ) -> dict[str, float]:
        """Run one epoch and return its row of the history."""
        b, start = self.backend, time.perf_counter()
        if self.schedule is not None:
            self.optimizer.lr_factor = self.schedule(self.epoch)
        n = b.shape(inputs)[0]
        rows = order(n, seed=self.seed, epoch=self.epoch, shuffle=shuffle)
        # One gather an epoch, then every batch is a view.
        index = b.from_host(rows)
        x, y = b.take(inputs, index, axis=0), b.take(targets, index, axis=0)
        listeners = [c for c in self.callbacks if type(c).on_step is not Callback.on_step]
        predictions, losses, sizes = [], [], []
        for i in range(steps):
            first, last = i * batch_size, min((i + 1) * batch_size, n)
            prediction, loss = self.train_step(_rows(b, x, first, last), _rows(b, y, first, last))
            self.loss.validate = False  # the targets were looked at as a whole, the first prediction now
            predictions.append(prediction)
            losses.append(loss)
            sizes.append(last - first)
            for callback in listeners:
                callback.on_step(self, i + 1)
        mean = metrics.Mean()
        for loss, size in zip(losses, sizes, strict=True):
            mean.add(b.item(loss), size)
        row = {"epoch": float(self.epoch + 1), "learning_rate": self.optimizer.lr, "train_loss": mean.value}
        if labels is not None:
            seen = labels[rows][: sum(sizes)]
            row["train_accuracy"] = self._accuracy(b.to_host(b.concat(predictions, axis=0)), seen)
        if held_out is not None:
            scores = self._score(*held_out, max(batch_size, 1024))
            row |= {f"validation_{name}": value for name, value in scores.items()}
        row["seconds"] = time.perf_counter() - start
        self.epoch += 1
        self.history.append(**row)
        return row

    def _told(self, row: dict[str, float]) -> bool:
        """Tell the callbacks; return whether to stop."""
        stop = [callback.on_epoch_end(self, row) for callback in self.callbacks]
        if not math.isfinite(row["train_loss"]):
            self.stopped = (
                f"the training loss became {row['train_loss']} in epoch {row['epoch']:.0f}; "
                "try a smaller learning rate"
            )
            return True
        return any(stop)

    @contextmanager
    def _training(self) -> Iterator[None]:
        """Put model and loss into the state for training, and back after it."""
        wanted, checked = self.model.input_gradient, self.loss.validate
        self.model.train()
        self.model.input_gradient = False
        try:
            yield
        finally:
            self.model.input_gradient, self.loss.validate = wanted, checked
            self.model.eval()

    def _forward(self, x: Tensor, batch_size: int) -> Host:
        b, parts, training = self.backend, [], self.model.training
        n = b.shape(x)[0]
        self.model.eval()
        try:
            for first in range(0, n, batch_size):
                with b.session(), inference():
                    parts.append(b.to_host(self.model(_rows(b, x, first, min(first + batch_size, n)))))
        finally:
            self.model.train(training)
        if not parts:
            raise DataError("predict: there are no inputs")
        return np.concatenate(parts)

    def _score(self, x: Tensor, y: Tensor, labels: Host | None, batch_size: int) -> dict[str, float]:
        b = self.backend
        outputs = self._forward(x, batch_size)
        mean, n = metrics.Mean(), len(outputs)
        for first in range(0, n, batch_size):
            last = min(first + batch_size, n)
            part = b.from_host(outputs[first:last], dtype=str(outputs.dtype))
            mean.add(b.item(self.loss(part, _rows(b, y, first, last))), last - first)
        scores = {"loss": mean.value}
        if labels is not None:
            scores["accuracy"] = self._accuracy(outputs, labels)
        return scores

    def _accuracy(self, outputs: Host, labels: Host) -> float:
        return float(metrics.accuracy(outputs, labels, threshold=decision_threshold(self.loss)))

    def _data(self, data: Dataset | Pair, what: str) -> tuple[Tensor, Tensor, Host | None]:
        """Return (inputs, targets as the loss wants them, labels or None) of a data set, checked."""
        b = self.backend
        if isinstance(data, Dataset):
            inputs, targets = data.inputs, targets_for(self.loss, data)
            labels = data.targets if data.classes is not None else None
        else:
            inputs, targets = data
            host = np.asarray(targets)
            labels = host if isinstance(self.loss, NLLLoss) and host.dtype.kind in "iu" else None
        x, y = b.from_host(inputs), b.from_host(targets)
        rows, others = b.shape(x)[:1], b.shape(y)[:1]
        if not rows or rows != others or rows[0] == 0:
            raise DataError(
                f"{what}: inputs and targets need equally many samples, and at least one; got shapes "
                f"{tuple(b.shape(x))} and {tuple(b.shape(y))}"
            )
        if self.check_finite:
            checked = data if isinstance(data, Dataset) else Dataset(what, _columns(inputs), _columns(targets))
            checked.check_finite()
        outputs = (rows[0], *self.model.output_shape((1, *b.shape(x)[1:]))[1:])
        self.loss.check_targets(outputs, y)
        return x, y, labels


def targets_for(loss: Loss, data: Dataset) -> Host:
    """Return a data set's targets in the form that a loss wants.

    Labels (N,) as they are for cross-entropy and NLL; for other losses one column (N, 1) where binary
    cross-entropy meets two classes, else one-hot (N, K). Real targets (N, K) as they are.
    """
    if data.classes is None:
        if isinstance(loss, NLLLoss):
            raise DataError(f"{loss}: {data.name} has real targets {data.targets.shape}, not classes; use MSELoss")
        return data.targets
    if isinstance(loss, NLLLoss):
        return data.targets
    if outputs_for(loss, data) == 1:
        return data.targets.reshape(-1, 1).astype(data.inputs.dtype)
    return np.asarray(one_hot(data.targets, len(data.classes)))


def outputs_for(loss: Loss, data: Dataset) -> int:
    """Return how many outputs a model needs for a data set under a loss."""
    binary = isinstance(loss, (BCELoss, BCEWithLogitsLoss)) and data.classes is not None
    return 1 if binary and data.n_outputs == 2 else data.n_outputs


def decision_threshold(loss: Loss) -> float:
    """Return where a single output turns from class 0 to 1: 0 for logits, else .5."""
    return 0.0 if isinstance(loss, BCEWithLogitsLoss) else 0.5


def _rows(b: Any, x: Tensor, first: int, last: int) -> Tensor:
    shape = b.shape(x)
    return b.slice(x, (first, *(0,) * (len(shape) - 1)), (last, *shape[1:]))  # type: ignore[no-any-return]


def _columns(values: Any) -> Host:
    array = np.asarray(values)
    array = array if array.dtype.kind in "fiu" else array.astype(np.float64)
    if array.dtype.kind in "iu" or array.ndim > 1:
        return array.astype(np.float64) if array.dtype.kind in "iu" else array
    return array.reshape(-1, 1)
