"""`Checkpoints`: saves a training in a folder while it runs."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import math
import os
import re
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from typing_extensions import override

from ...backends.errors import LaminaError, OptionError, users_level
from ...backends.options import integer, shown
from ..files import Content, OutputError, as_path, workplace, write_sealed
from ..files.tree import take_apart
from .callbacks import Callback, Monitor, Training
from .checkpoint_folder import checkpoints_in, epoch_of, file_name, number_of
from .metrics import Mode
from .signals import Unscored, handled, stop_of
from .state import SEAL, CheckpointWarning, check_description

LOOK = 0.5
"""The most seconds between two pauses: a signal, or a checkpoint that is due by time, waits no longer."""
_INTERVAL = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(s|epochs?|steps?)\s*")


class Interval(NamedTuple):
    """The time between two checkpoints."""

    size: float
    unit: str
    """"s", "epoch" or "step"."""


def interval(owner: str, text: object) -> Interval:
    """Return "10s", "5epochs" or "1000steps" as an interval; OptionError for another text."""
    found = _INTERVAL.fullmatch(text) if isinstance(text, str) else None
    if found is not None:
        unit = found.group(2).removesuffix("s") or "s"
        count = float(found.group(1))
        if count > 0 and (unit == "s" or count == int(count)):
            return Interval(count, unit)
    raise OptionError(f"{owner}: expected 10s, 5epochs or 1000steps, for example, got {shown(text)}")


class Checkpoints(Callback):
    """Save the training in a folder: now and then, and at the end of the fit.

    `Trainer.resume(folder)` goes on with the newest one. A thread writes the file from a copy of the state,
    so training stops for the copy alone. If a file cannot be written, since the disk is full, say, training
    goes on, one `CheckpointWarning` says so, and the files that are there stay.

    In the main thread, Ctrl-C, SIGTERM and SIGHUP end the fit after the running step: it is saved, and the
    fit raises KeyboardInterrupt, or SystemExit with the code 143 or 129. A second one raises at once. A
    handler of your own stays, and so does a signal that is ignored.

    Parameters
    ----------
    folder
        Where the files lie. It is made if it is not there. No other run may use it, and it may hold
        checkpoints only if the trainer was resumed from one of them.
    every
        The interval: "60s", "5epochs" or "1000steps".
    keep
        How many of the newest files are kept.
    best
        A column of the history, such as "validation_loss". Of the files that were written, the one whose last
        finished epoch is best in it is kept too. NaN is worst.
    mode
        "min" or "max": which values of `best` are better. Losses, accuracies and metrics that state it need
        none.
    description
        What else each file says, such as options of yours: whatever JSON can hold.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        every: str = "60s",
        *,
        keep: int = 2,
        best: str | None = None,
        mode: Mode | None = None,
        description: Any = None,
    ) -> None:
        self.folder = as_path("Checkpoints", folder)
        self.every = interval("Checkpoints: every", every)
        self.keep = integer("Checkpoints", "keep", keep)
        check_description("Checkpoints", description)
        self.description = description
        self._best = None if best is None else Monitor(best, mode, owner="Checkpoints")
        self.monitor = best
        self.pause_seconds = min(LOOK, self.every.size) if self.every.unit == "s" else LOOK
        if self.every.unit == "step":
            self.pause_steps = int(self.every.size)
        self._number = 0
        self._wrote = self._due = self._told = False
        self._next = 0.0
        self._writer: threading.Thread | None = None
        self._failure: Exception | None = None
        self._claim: contextlib.ExitStack | None = None
        self.note: Callable[[int], object] | None = None
        """Takes the number of the first signal that asks to stop."""
        self.unsaved: Exception | None = None
        """Why the fit could not be saved when a signal asked it to stop."""
        self.hurried = False
        """Whether a second signal has ended the fit at once."""
        self.stopped = False
        """Whether a signal has ended the fit, saved or `unsaved`."""
        self._signal = 0

    @override
    def on_fit_start(self, trainer: Training, epochs: int, steps: int) -> None:
        """Claim the folder; raise OutputError if it cannot be used."""
        if self._best is not None:
            self._best.on_fit_start(trainer, epochs, steps)
        for callback in trainer.callbacks:  # an error now, not after an hour
            take_apart(callback.state_dict(), type(callback).__name__, {})
        self._claim = contextlib.ExitStack()
        try:
            self._claim.enter_context(workplace("Checkpoints", self.folder))
            found = checkpoints_in(self.folder)
            self._check_own(trainer, found)
        except BaseException:
            self._release()
            raise
        self._number = max([self._number, *map(number_of, found)])
        self._due = self._told = self.hurried = False
        self._signal, self.stopped, self.unsaved = 0, False, None
        self._next = time.monotonic() + self.every.size
        self._claim.enter_context(handled(functools.partial(self._asked, trainer)))

    def _asked(self, trainer: Training, number: int) -> None:
        """Note a signal that asks to stop; raise for a second one."""
        if self._signal:
            self.hurried = True
            raise stop_of(number)
        self._signal = number
        if self.note is not None:
            self.note(number)
        if trainer.position is not None and trainer.position.scoring:
            raise Unscored

    def _check_own(self, trainer: Training, found: list[Path]) -> None:
        """Raise OutputError if the folder has checkpoints of another training."""
        source = trainer.resumed_from
        if not found or self._wrote or (source is not None and source.parent.samefile(self.folder)):
            return
        raise OutputError(
            f"Checkpoints: expected a folder without checkpoints, got '{self.folder}' with {found[-1].name}; "
            f"resume it with trainer.resume({str(self.folder)!r}), or name another folder"
        )

    @override
    def on_pause(self, trainer: Training) -> None:
        """Start to write a checkpoint if one is due, and the last one is written.

        If a signal has asked to stop, write it, wait, and raise.
        """
        position = trainer.position
        assert position is not None
        stops, last = self._signal != 0, self._is_last(trainer)
        due = self._is_due(position.total(trainer.epoch), position.step, trainer)
        self._due = self._due or due or last or stops
        if last or stops:
            self._wait()
        if stops:
            self._failure = None  # of a file before
        if self._due and not self._writes():
            self._due, self._next = False, time.monotonic() + self.every.size
            self._start(trainer, position.step)
        if last or stops:
            self._wait()
        if stops:
            self._stop()
        self._tell()

    def _is_last(self, trainer: Training) -> bool:
        """Return whether the fit is over."""
        position = trainer.position
        assert position is not None
        whole = trainer.epoch == position.first + position.epochs
        return not position.step and (position.ended or whole)

    def _stop(self) -> None:
        """Raise what the signal raises, once the fit is saved or could not be."""
        self.stopped, self.unsaved, self._failure = True, self._failure, None
        if self.unsaved is None:
            where = str(self.folder)
            raise stop_of(self._signal, f"the training is saved; trainer.resume({where!r}) goes on")
        self._check(self.unsaved)
        text = f"the training could not be saved: {self.unsaved}"
        if self.note is None:
            warnings.warn(text, CheckpointWarning, stacklevel=users_level())
        raise stop_of(self._signal, text)

    def _is_due(self, done: int, step: int, trainer: Training) -> bool:
        """Return whether the interval is over. done: the steps of the fit."""
        size, unit = self.every
        if unit == "s":
            return time.monotonic() >= self._next
        if unit == "step":
            return done % int(size) == 0
        return not step and trainer.epoch % int(size) == 0

    def _start(self, trainer: Training, step: int) -> None:
        """Copy the state, and let a thread write it."""
        try:
            captured = trainer.captured(self.description)
        except (LaminaError, MemoryError) as error:
            self._failure = error
            return
        self._number += 1
        path = self.folder / file_name(self._number, trainer.epoch, step)
        scores = (
            [] if self._best is None else [row.get(self._best.monitor, math.nan) for row in trainer.history]
        )
        # In this context, which notes the files that a command has written.
        context = contextvars.copy_context()
        self._writer = threading.Thread(
            target=context.run,
            args=(self._write, trainer, path, captured, scores),
            name="lamina-checkpoint",
            daemon=True,  # a second signal ends at once
        )
        self._writer.start()

    def _write(self, trainer: Training, path: Path, captured: Content, scores: list[float]) -> None:
        """Write a file, and remove those that are not kept. scores: of each finished epoch."""
        try:
            write_sealed(path, SEAL, *trainer.completed(captured))
            self._wrote = True
            found = checkpoints_in(self.folder)
            kept = {*found[-self.keep :], *self._best_of(found, scores)}
            for old in found:
                if old not in kept:
                    old.unlink(missing_ok=True)
        except Exception as error:
            self._failure = self._failure or error

    def _best_of(self, found: list[Path], scores: list[float]) -> list[Path]:
        """Return the file whose last epoch has the best score, the first of equals; none without `best`."""
        best: list[Path] = []
        if self._best is not None:
            self._best.best = math.nan
            for path in found:
                epoch = epoch_of(path)
                if 0 < epoch <= len(scores) and self._best.improved({self._best.monitor: scores[epoch - 1]}):
                    best = [path]
        return best

    def _writes(self) -> bool:
        return self._writer is not None and self._writer.is_alive()

    def _wait(self) -> None:
        """Wait until the thread has written."""
        if self._writer is not None:
            self._writer.join()
            self._writer = None

    def _tell(self) -> None:
        """Say once in a fit that a checkpoint could not be written."""
        failure, self._failure = self._failure, None
        if failure is None:
            return
        self._check(failure)
        if self._told:
            return
        self._told = True
        text = f"{failure} The training goes on; checkpoints that are there stay."
        warnings.warn(text, CheckpointWarning, stacklevel=users_level())

    @override
    def on_fit_end(self, trainer: Training) -> None:
        """Wait for the last file, unless a second signal came, and release the folder."""
        if not self.hurried:
            self._wait()
        self._release()
        if self.hurried:
            return
        self._tell()
        if self._signal and not self.stopped and self._is_last(trainer):
            self._stop()  # the signal came when all was saved

    def _release(self) -> None:
        claim, self._claim = self._claim, None
        if claim is not None:
            claim.close()

    @staticmethod
    def _check(failure: Exception) -> None:
        """Raise an error that is no fault of the disk or the memory."""
        if not isinstance(failure, (LaminaError, OSError, MemoryError)):
            raise failure
