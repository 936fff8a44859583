"""`Trainer`: the training loop, with mini-batches, validation, metrics, callbacks and a history."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ... import __version__
from ...backends import DataError, LaminaError, OptionError, StateError, Tensor
from ...backends.host import Host
from ...backends.loop import Compilation
from ...backends.options import flag, integer, number, shown
from ...layers import Module, inference, mode, named_scopes, without_input_gradient
from ...layers.call import checked_targets, in_own_context, run_all
from ...layers.faults import check_made
from ...layers.losses import L2Penalty, Loss
from ..data import Dataset, batch_count
from ..files import Content, write_sealed
from ..optimizers import Optimizer
from .callbacks import Callback, ProgressBar
from .checkpoint_folder import read_checkpoint
from .fit import Fit, columns, digest
from .guard import SKIPPED, Guard
from .history import History
from .metrics import Metric
from .passes import Runs
from .position import Position
from .rehearsal import (
    check_belongs,
    check_kind,
    check_loss,
    check_metrics,
    check_schedule,
    check_values,
    rehearse,
)
from .samples import Pair, Samples, Tally, fitting_batch
from .schedules import Schedule
from .state import SEAL, CheckpointWarning, Pending, capture, restoring
from .step import keyed_step, take_step


class Trainer:
    """Trains a model on data.

    Parameters
    ----------
    model, loss, optimizer
        The three must be on one backend.
    schedule
        A `Schedule`: in each epoch it gives a factor that multiplies the learning rate. None keeps the
        learning rate constant.
    metrics
        Additional scores for the history. Each name maps to a function that takes the outputs (N, ...) and
        the targets (N, ...) on the host and returns a number. The history always has the loss, and the
        accuracy if the targets are class labels. If a callback without a `mode` monitors a metric, wrap the
        metric in `larger_is_better` or `smaller_is_better`.
    callbacks
        `on_fit_start`, `on_step` and `on_epoch_end` of the callbacks run in the given order, `on_fit_end` in
        reverse order.
    penalty
        An `L2Penalty` on parameters of the model. Each step adds the gradient of the penalty; the reported
        loss does not include the penalty.
    clip_norm, clip_value
        Before each update, one factor scales all gradients so that their joint 2-norm is at most clip_norm.
        Then each element is clipped to ±clip_value. None turns that scaling or clipping off.
    seed
        The seed of the shuffle; equal seeds give equal batches on every backend.
    progress
        Whether to show a progress bar.
    check_finite
        Whether `fit` and `evaluate` raise DataError, before they start, if the data have NaN or infinity.
    trace_nonfinite
        Whether `fit` says in which layer and pass a NaN or infinity first appeared, if one reaches a loss, a
        gradient or a parameter. It then runs the epoch again from its start, op by op; else it costs a copy
        of the parameters and moments in each epoch.
    skip_nonfinite
        Whether a step whose loss or gradients are not all finite changes nothing: no parameter, no moment, no
        statistic and no counter. The history counts these steps in "skipped_steps", and leaves their batches
        out of the scores of the training set.

    Raises
    ------
    OptionError
        If the loss or the optimizer is on another backend than the model, the loss has reduction "none", the
        optimizer or the penalty was made for another model's parameters, a metric is named "loss" or
        "accuracy", or a value is out of range or of the wrong type.
    StateError
        If the constructor of the model or of the loss did not call `super().__init__()`.

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
        trace_nonfinite: bool = False,
        skip_nonfinite: bool = False,
    ) -> None:
        parts: tuple[tuple[str, object, Any], ...] = (
            ("model", model, Module),
            ("loss", loss, Loss),
            ("optimizer", optimizer, Optimizer),
            ("schedule", schedule, Schedule | None),
            ("penalty", penalty, L2Penalty | None),
            ("metrics", metrics, Mapping | None),
            ("callbacks", callbacks, Sequence),
        )
        for what, given, kind in parts:
            check_kind("Trainer", what, given, kind)
        check_made(model)
        check_made(loss)
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.backend = model.backend
        for part, backend in (("loss", loss.backend), ("optimizer", optimizer.groups[0].backend)):
            if backend is not self.backend:
                raise OptionError(
                    f"Trainer: expected the {part} on the model's backend, {self.backend!r}, got {backend!r}"
                )
        check_loss(loss)
        check_belongs(model, optimizer, penalty)
        self.schedule = schedule
        self.metrics: Mapping[str, Metric] = dict(metrics or {})
        check_metrics(self.metrics)
        for callback in callbacks:
            check_kind("Trainer", "each of callbacks", callback, Callback)
        bar = [ProgressBar()] if flag("Trainer", "progress", progress) else []
        self.callbacks = [*callbacks, *bar]
        self.penalty = penalty
        self.clip_norm = _bound("clip_norm", clip_norm)
        self.clip_value = _bound("clip_value", clip_value)
        self.seed = integer("Trainer", "seed", seed, least=0, most=2**64 - 1)
        self.check_finite = flag("Trainer", "check_finite", check_finite)
        self.trace_nonfinite = flag("Trainer", "trace_nonfinite", trace_nonfinite)
        self.skip_nonfinite = flag("Trainer", "skip_nonfinite", skip_nonfinite)
        self.nonfinite = ""
        """With trace_nonfinite: where the first NaN or infinity of the last fit appeared; "" if none did."""
        self.history = History()
        self.columns: tuple[str, ...] = ()
        """The names of the history's columns in the running fit, or else in the last fit."""
        self.stopped = ""
        """The reason why the last fit stopped early.

        Empty if the fit did not stop early, or if the callback that stopped it gave no reason. A fit that
        raises an error before its callbacks start does not change the reason.
        """
        self.exploded = False
        """Whether the training loss became NaN or infinite in the last fit that started its callbacks."""
        self.compilations: Mapping[str, Sequence[Compilation]] = {}
        """What the fits so far compiled, for their steps of "training" and "scoring".

        Both are empty on a backend that runs each op at once.
        """
        self.resumed_from: Path | None = None
        """The file of the last `resume`."""
        self._runs = Runs(self.backend)
        self._fit: Fit | None = None
        self._pending: Pending | None = None
        self._guard: Guard | None = None

    @property
    def position(self) -> Position | None:
        """Where the running fit stands; None if none runs."""
        return None if self._fit is None else self._fit.position

    @property
    def epoch(self) -> int:
        """The number of finished epochs in all fits, which is the number of rows of the history."""
        return len(self.history)

    @property
    def guard(self) -> Guard | None:
        """What skips steps in the running fit, if anything does."""
        return None if self._fit is None else self._guard

    @property
    def skipped(self) -> int:
        """The number of steps that were skipped in all finished epochs."""
        return sum(int(row.get(SKIPPED, 0)) for row in self.history)

    # -- methods for users --------------------------------------------------------------------------

    @in_own_context
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
        """Train for `epochs` more epochs; return the history of all epochs, including those of earlier fits.

        Before any parameter changes, `fit` checks the data: it runs one batch of each size through the model
        and the loss, or all batches if the model has a layer, such as Embedding, that refuses some values.
        After an interrupt (Ctrl-C), the model keeps the steps of the unfinished epoch, unless a `BestWeights`
        callback restores earlier weights; `history` has only the finished epochs. `model.train()` and
        `model.eval()` have no effect on a fit. Other threads may call `predict` during a fit.

        Parameters
        ----------
        train, validation
            Each is a Dataset, a tuple (inputs, targets), or a tuple (inputs, targets, weights). Inputs and
            targets are (N, ...). Weights are (N,), one for each sample. If a sample has several losses, such
            as one for each pixel, weights may have more axes: for losses (N, H, W), their shape is (N,), (N,
            H) or (N, H, W). Weights affect the loss, not the accuracy or the metrics.
        epochs, batch_size
            Integers of at least 1. If batch_size is above the number of samples, all samples form one batch;
            with drop_last this is a DataError. Validation uses the same batch_size.
        shuffle
            Whether to shuffle the training samples in each epoch.
        drop_last
            Whether to drop the last training batch of each epoch if it has fewer than batch_size samples.

        Raises
        ------
        OptionError
            If epochs or batch_size is not an integer of at least 1, shuffle or drop_last is not a bool,
            `train` or `validation` has another form, the schedule gives a factor that the optimizer refuses,
            a metric does not return one number, a callback monitors a column that this fit does not have, a
            callback needs a `mode`, or parameters of the model were replaced after the optimizer or the
            penalty was made.
        DataError
            If there are no samples, the numbers of inputs, targets and weights differ, a label, an index or a
            weight is out of range, all samples have an ignored label or weight 0, `check_finite` finds NaN or
            infinity, or drop_last leaves no batch.
        DtypeError
            If the data are not numbers, or have a dtype that the model or the loss does not take.
        ShapeError
            If the shapes do not fit the model or the loss, or a batch is too small for a layer.
        StateError
            If the model got parameters after the optimizer was made, or if the optimizer's parameters have
            since been moved to another backend or put into other groups by a newer optimizer.

        """
        epochs, batch_size = integer("fit", "epochs", epochs), integer("fit", "batch_size", batch_size)
        shuffle, drop_last = flag("fit", "shuffle", shuffle), flag("fit", "drop_last", drop_last)
        samples = self._samples(train, "train")
        held_out = None if validation is None else self._samples(validation, "validation")
        plan = Position(
            self.epoch if self._pending is None else self._pending.position.first,
            epochs,
            batch_size,
            shuffle,
            drop_last,
            samples.size,
            0 if held_out is None else held_out.size,
            batch_count(samples.size, batch_size, drop_last=drop_last),
        )
        check_belongs(self.model, self.optimizer, self.penalty)
        self.optimizer.check_parameters()
        check_schedule(self.schedule, self.optimizer, plan.first, epochs)
        self._rehearse("train", samples, batch_size, training=True, drop_last=drop_last)
        if held_out is not None:
            self._rehearse("validation", held_out, batch_size, training=False)
        pending, position = self._pending, self._started(plan, samples, held_out)
        self.columns = columns(samples, held_out, self.metrics, skips=self.skip_nonfinite)
        if not position.ended:
            self.stopped, self.nonfinite, self.exploded = "", "", False
        with ExitStack() as stack:
            scopes = mode(training=True), named_scopes(self.model), checked_targets()
            for scope in (*scopes, without_input_gradient(self.model)):
                stack.enter_context(scope)
            stack.callback(lambda: setattr(self, "_fit", None))
            fit = self._fit = Fit(self, samples, held_out, position)
            for callback in self.callbacks:
                stack.callback(callback.on_fit_end, self)
                callback.on_fit_start(self, epochs, position.steps)
            for callback, state in () if pending is None else pending.callbacks:
                callback.load_state_dict(state)
            self._pending = None
            keeps = Tally.of(samples, self.loss, self.metrics).keeps_predictions
            owners = self.model, self.loss, self.optimizer, self.penalty
            self._runs.renew()
            self._guard = self._guard_of()
            run = self._runs.training(owners, lambda: keyed_step(self, predictions=keeps), predictions=keeps)
            stack.callback(lambda: setattr(self, "compilations", self._runs.compilations))
            fit.run(run)
        return self.history

    def _guard_of(self) -> Guard | None:
        """Return what skips steps, ready for a fit; None without `skip_nonfinite`."""
        if not self.skip_nonfinite:
            return None
        guard = self._guard or Guard(self.backend)
        guard.start(self.model, self.optimizer)
        return guard

    def _started(self, plan: Position, samples: Samples, held_out: Samples | None) -> Position:
        """Return where a fit starts: at its beginning, or where the fit stood that was resumed."""
        if self._pending is None:
            return plan
        saved = self._pending.position
        plan.check_continues(saved, self.epoch - saved.first)
        if saved.data and saved.data != digest(samples, held_out):
            raise DataError("fit: expected the data of the fit that was resumed, got others")
        ended = saved.ended and plan.epochs == saved.epochs
        return replace(saved, epochs=plan.epochs, ended=ended, results=list(saved.results))

    @in_own_context
    def predict(self, inputs: Any, *, batch_size: int | None = None) -> Host:
        """Return the model's outputs for inputs (N, ...), as a host array (N, ...).

        batch_size: None means up to 1,024, and fewer if the samples are large. Raises OptionError if
        batch_size is not an integer of at least 1, DataError if there are no samples, and ShapeError,
        DtypeError or DataError if the model refuses the inputs.
        """
        b = self.backend
        batch_size = None if batch_size is None else integer("predict", "batch_size", batch_size)
        with _named("predict"):
            x = b.from_host(inputs)
        if not b.shape(x) or b.shape(x)[0] == 0:
            raise DataError(f"predict: expected inputs (N, ...) with N at least 1, got {tuple(b.shape(x))}")
        size = batch_size or fitting_batch(b.shape(x))
        with mode(training=False), inference(), named_scopes(self.model):
            self._runs.renew()
            (outputs,) = self._runs.predicting(self.model)((x,), batch_size=size)
        return np.asarray(b.to_host(outputs))

    @in_own_context
    def evaluate(self, data: Dataset | Pair, *, batch_size: int | None = None) -> dict[str, float]:
        """Return the loss over a data set, the metrics, and the accuracy if the targets are class labels.

        The keys are "loss", "accuracy" and the names of the metrics. data: as for `fit`. batch_size: None
        means up to 1,024, and fewer if the samples are large. Raises OptionError, DataError, DtypeError or
        ShapeError if the data or batch_size do not fit. The loss is NaN if all samples have an ignored label
        or weight 0.
        """
        batch_size = None if batch_size is None else integer("evaluate", "batch_size", batch_size)
        samples = self._samples(data, "evaluate")
        size = batch_size or fitting_batch(self.backend.shape(samples.x))
        with _named("evaluate"):
            self._runs.renew()
            return self.score(samples, size)

    def save(self, path: str | os.PathLike[str], description: Any = None) -> None:
        """Write a checkpoint: all that `resume` needs to go on with the same bits.

        That is the parameters and all other cells, the optimizer, the callbacks with a `state_dict`, the
        history, the seed, and where the running fit stands, if one runs. In a fit, `Checkpoints` saves as
        often as you like. The file is written whole or not at all, and has a checksum over every byte.

        Parameters
        ----------
        path
            The file.
        description
            What else the file says, such as options of yours: whatever JSON can hold.

        Raises
        ------
        OutputError
            If the file cannot be written.
        OptionError
            If a callback's state holds what no file can.

        """
        write_sealed(path, SEAL, *self.completed(self.captured(description)))

    def captured(self, description: Any = None) -> Content:
        """Return what `save` writes once it is `completed`: copies, which a thread may go on with."""
        return capture(self, description)

    def completed(self, content: Content) -> Content:
        """Add to what was captured in a fit what takes long: the digest of the data."""
        if (fit := self._fit) is not None:
            content.description["state"]["position"]["data"] = fit.digest()
        return content

    def resume(self, path: str | os.PathLike[str]) -> Path:
        """Restore a checkpoint into this trainer, of the same network; return its file.

        If the checkpoint was written in a fit, the next `fit` goes on with that fit. It takes the same data
        and options; only `epochs` may differ, and counts those that the fit has done. On the same machine,
        with the same backend and number of threads, it ends with the bits that the fit would have had.

        Parameters
        ----------
        path
            A checkpoint, or a folder of `Checkpoints`: the newest one that is whole.

        Raises
        ------
        DataError
            If the file is absent, damaged, no checkpoint or of another network, loss, optimizer or schedule.
            The trainer is as before.
        StateError
            In a fit.

        """
        if self._fit is not None:
            raise StateError("Trainer.resume: expected no fit to run, got a call in one")
        found, arrays, description = read_checkpoint(path)
        plan = restoring(self, found, arrays, description)
        if plan.version != __version__:
            warnings.warn(
                f"'{found}' was written by Lamina {shown(plan.version)[1:-1]}, this is Lamina {__version__}: "
                "the bits of the training may differ",
                CheckpointWarning,
                stacklevel=2,
            )
        run_all([*plan.actions, partial(vars(self).update, _pending=plan.pending, resumed_from=found)])
        return found

    def saved_position(self) -> Position | None:
        """Return where the running fit, or the one that was resumed, stands; None if there is none."""
        if self._fit is not None:
            return self._fit.saved()
        return None if self._pending is None else self._pending.position

    def train_step(self, batch: tuple[Tensor, ...], numbers: Mapping[str, float]) -> tuple[Tensor, ...]:
        """Take one step, as `Backend.compile` takes it; the optimizer counts it only in `fit`.

        Return (numerator, denominator, prediction), all from before the parameters change. The first two are
        0-d handles; `loss.reduced(numerator, denominator)` returns the loss.

        Parameters
        ----------
        batch
            x (N, ...) and y (N, ...), and weights (N,) or (N, ...) if there are any.
        numbers
            The optimizer's `scalars` of this step.

        """
        return take_step(self, batch, numbers, self.guard)

    def score(self, samples: Samples, batch_size: int, *, skips: bool = False) -> dict[str, float]:
        """Return the scores of the model's predictions for samples on the backend, as `evaluate` does.

        skips: whether batches with a loss that is NaN or infinite do not count.
        """
        loss, tally = self.loss, Tally.of(samples, self.loss, self.metrics)
        late = loss.checks_late()
        run = self._runs.scoring(self.model, loss, predictions=tally.keeps_predictions or late)
        with mode(training=False), inference(), named_scopes(self.model), checked_targets(late):
            results = run(samples.parts, batch_size=batch_size)
        if late:
            check_values(loss, results[2], samples.y)
        tally.skips = batch_size if skips else 0
        tally.add(results if tally.keeps_predictions else results[:2])
        return tally.scores(samples)

    # -- data --------------------------------------------------------------------------------------

    def _samples(self, data: Dataset | Pair, part: str) -> Samples:
        """Return a data set's samples on the backend."""
        with _named(part):
            return Samples.of(data, self.loss, check_finite=self.check_finite)

    def _rehearse(
        self, part: str, samples: Samples, batch_size: int, *, training: bool, drop_last: bool = False
    ) -> None:
        """Check that the model, loss and metrics accept all batches."""
        with _named(part):
            rehearse(
                self.model,
                self.loss,
                samples,
                batch_size,
                training=training,
                drop_last=drop_last,
                metrics=self.metrics,
            )


@contextmanager
def _named(part: str) -> Iterator[None]:
    """Put `part`, the name of a method or of a data set, before the text of each error."""
    try:
        yield
    except LaminaError as error:
        raise type(error)(f"{part}: {error}") from error


def _bound(option: str, value: float | None) -> float | None:
    return None if value is None else number("Trainer", option, value, above=0.0, infinite=True)
