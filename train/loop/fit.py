"""`Fit`: a fit that runs, epoch by epoch, with its pauses."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...backends import Tensor
from ...backends.host import Host
from ...backends.loop import Plan, batches
from ...backends.protocol import Run
from ..data import order
from .callbacks import Callback, Row
from .guard import SKIPPED, skipped
from .metrics import Metric
from .passes import take_steps
from .pauses import Pauses
from .position import Position
from .samples import Samples, Tally
from .signals import Unscored
from .trace import Moment, finite_results, origin

if TYPE_CHECKING:
    from .trainer import Trainer


class Fit:
    """A fit of a trainer on samples.

    Parameters
    ----------
    trainer
        The trainer.
    samples, held_out
        The training set, and the validation set if there is one.
    position
        Where it starts.

    """

    def __init__(
        self, trainer: Trainer, samples: Samples, held_out: Samples | None, position: Position
    ) -> None:
        self.trainer, self.samples, self.held_out, self.position = trainer, samples, held_out, position
        self._pauses = Pauses(trainer.callbacks)
        self._start = time.perf_counter()

    def run(self, run: Run) -> None:
        """Train until the last epoch, or until a callback stops. run: a run of the training step."""
        trainer, position = self.trainer, self.position
        while not position.ended and trainer.epoch < position.first + position.epochs:
            try:
                row = self._epoch(run)
            except Unscored:
                self._pauses.call(trainer)  # it saves and raises
                continue
            position.ended = self._stops(row)
            self._pauses.call(trainer)

    def saved(self) -> Position:
        """Return what a checkpoint holds of the position."""
        position = self.position
        if len(results := position.results) > 1:  # the tally has the same list
            b = self.trainer.backend
            results[:] = [tuple(b.concat(parts, axis=0) for parts in zip(*results, strict=True))]
        passed = time.perf_counter() - self._start if position.step else 0.0
        return replace(position, seconds=position.seconds + passed, results=list(position.results))

    def digest(self) -> str:
        """Return the digest of the data; a thread may compute it."""
        if not self.position.data:
            self.position.data = digest(self.samples, self.held_out)
        return self.position.data

    def _epoch(self, run: Run) -> Row:
        """Run one epoch, or the rest of one; return its row of the history."""
        trainer, position, samples = self.trainer, self.position, self.samples
        self._start = time.perf_counter()
        if not position.step:
            if trainer.schedule is not None:
                trainer.optimizer.lr_factor = trainer.schedule(trainer.epoch)
            position.learning_rate, position.seconds = trainer.optimizer.lr, 0.0
        row = {"epoch": float(trainer.epoch + 1), "learning_rate": position.learning_rate}
        rows = order(samples.size, seed=trainer.seed, epoch=trainer.epoch) if position.shuffle else None
        start = Moment(trainer, position.step) if trainer.trace_nonfinite and not trainer.nonfinite else None
        scores = self._learn(run, rows)
        position.scoring = True
        try:
            if start is not None and (start.broke(trainer) or not finite_results(trainer, position.results)):
                trainer.nonfinite = origin(trainer, start, samples, rows, position)
            row |= self._scores(scores)
        finally:
            position.scoring = False
        if trainer.skip_nonfinite:
            row[SKIPPED] = float(sum(skipped(trainer.backend, part).sum() for part in position.results))
        row["seconds"] = position.seconds + time.perf_counter() - self._start
        trainer.history.append(**row)
        position.step, position.results = 0, []
        return row

    def _scores(self, scores: dict[str, float]) -> Row:
        """Return the scores of an epoch whose steps are done. scores: those of the steps."""
        trainer, size = self.trainer, self.position.batch_size
        trainer.optimizer.drop_denormals()
        if any((callback.monitor or "").startswith("train_") for callback in trainer.callbacks):
            # A monitored score must belong to the weights at the end of the epoch, but `_learn` scores each
            # batch before its step.
            scores = trainer.score(self.samples, size, skips=trainer.skip_nonfinite)
        row = _prefixed("train", scores)
        if self.held_out is not None:
            row |= _prefixed("validation", trainer.score(self.held_out, size))
        return row

    def _learn(self, run: Run, rows: Host | None) -> dict[str, float]:
        """Take the steps that are left; return the scores of the predictions, each made before its step."""
        trainer, position, samples, pauses = self.trainer, self.position, self.samples, self._pauses
        tally = Tally.of(samples, trainer.loss, trainer.metrics)
        if trainer.skip_nonfinite:
            tally.skips = position.batch_size
        tally.results = position.results
        size = min(position.steps * position.batch_size, samples.size)
        rows = None if rows is None else rows[:size]
        while position.step < position.steps:
            count = pauses.steps(position, position.total(trainer.epoch))
            count = count if trainer.guard is None else trainer.guard.limited(count)
            first = position.step * position.batch_size
            last = min(first + count * position.batch_size, size)
            start = time.perf_counter()
            if rows is None:
                self._take(run, samples.rows(first, last), None, count, last - first)
            else:
                self._take(run, samples.parts, rows[first:last], count, last - first)
            pauses.ran(count, time.perf_counter() - start)
            if position.step < position.steps:
                pauses.call(trainer)
        return tally.scores(samples, rows)

    def _take(self, run: Run, data: Sequence[Tensor], rows: Host | None, steps: int, size: int) -> None:
        """Take steps on a number of rows; note their results."""
        trainer, position = self.trainer, self.position
        listeners = [c for c in trainer.callbacks if type(c).on_step is not Callback.on_step]
        if not listeners:
            self._run(run, data, rows, steps)
            return
        for batch in batches(trainer.backend, data, rows, Plan(size, position.batch_size)):
            self._run(run, batch, None, 1)
            for callback in listeners:
                callback.on_step(trainer, position.step)

    def _run(self, run: Run, data: Sequence[Tensor], rows: Host | None, steps: int) -> None:
        """Take steps in one run; note the results of those that count."""
        trainer, position = self.trainer, self.position
        optimizer, size = trainer.optimizer, position.batch_size
        results = take_steps(run, optimizer, steps, data, rows, batch_size=size)
        if trainer.guard is not None:
            results, steps = trainer.guard.done(results, optimizer, steps, size)
        position.results.append(results)
        position.step += steps

    def _stops(self, row: Row) -> bool:
        """Run the callbacks' `on_epoch_end`; return whether training stops."""
        trainer = self.trainer
        stop = [callback.on_epoch_end(trainer, row) for callback in trainer.callbacks]
        if math.isfinite(row["train_loss"]):
            return any(stop)
        fault = self.samples.fault()
        advice = (
            f"the data have {fault}; remove these samples, or replace the values"
            if fault
            else f"the data are finite; try a smaller learning rate than {row['learning_rate']:g}"
        )
        if row.get(SKIPPED, 0.0) == self.position.steps:
            found = f"all steps of epoch {row['epoch']:.0f} were skipped"
        else:
            found = f"the training loss became {row['train_loss']} in epoch {row['epoch']:.0f}"
        where = f"{trainer.nonfinite}; " if trainer.nonfinite else ""
        trainer.stopped = f"{found}; {where}{advice}"
        trainer.exploded = True
        return True


def digest(samples: Samples, held_out: Samples | None) -> str:
    """Return a SHA-256 of the data of a fit, equal on every backend."""
    found = hashlib.sha256()
    for part in (*samples.parts, *(() if held_out is None else held_out.parts)):
        array = samples.backend.to_host(part)
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(memoryview(array).cast("B") if array.size else b"")
    return found.hexdigest()


def columns(
    samples: Samples, held_out: Samples | None, metrics: Mapping[str, Metric], *, skips: bool
) -> tuple[str, ...]:
    """Return the names in each row of a fit's history. skips: whether it may skip steps."""
    names = ["epoch", "learning_rate"]
    for part, data in (("train", samples), ("validation", held_out)):
        if data is not None:
            accuracy = ["accuracy"] if data.labels is not None else []
            names += [f"{part}_{name}" for name in ("loss", *accuracy, *metrics)]
    return (*names, *((SKIPPED,) if skips else ()), "seconds")


def _prefixed(part: str, scores: dict[str, float]) -> dict[str, float]:
    return {f"{part}_{name}": value for name, value in scores.items()}
