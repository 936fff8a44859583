"""The end of a training that a signal stops: what was saved, and how to go on."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import typer

from ...backends import DataError
from ...backends.written import close_notes
from ..files import OutputError
from ..loop.checkpoint_folder import checkpoints_in
from ..loop.checkpoints import Checkpoints
from ..loop.signals import code_of, name_of
from ..runs.experiment import Experiment
from ..runs.folder import record_of
from .app import fail, last_words


@contextlib.contextmanager
def recorded(experiment: Experiment, folder: Path) -> Iterator[None]:
    """Say in run.json that a run has started, and that it failed if an error ends the `with`."""
    record_of(experiment, "running").write(folder)
    try:
        yield
    except typer.Exit:
        raise
    except Exception as error:
        experiment.results["error"] = str(error) or type(error).__name__
        with contextlib.suppress(OutputError):
            record_of(experiment, "failed").write(folder)
        raise


def end_stopped(
    experiment: Experiment, folder: Path, saves: Checkpoints, stop: BaseException, as_json: bool
) -> NoReturn:
    """Print what is saved and how to go on; end with the signal's exit code."""
    with last_words():
        if not saves.hurried:
            with contextlib.suppress(OutputError):  # the folder may be full; the message says what is there
                record_of(experiment, "interrupted").write(folder)
        close_notes()  # from here on the files stay as they are
        fail(_message(folder, saves, name_of(stop)), as_json=as_json, code=code_of(stop))


def _message(folder: Path, saves: Checkpoints, name: str) -> str:
    try:
        found = checkpoints_in(saves.folder)
    except DataError:
        found = []
    last = f"The last whole checkpoint is {found[-1].name}." if found else "There is no checkpoint."
    if saves.hurried:
        said = f"Ended at once by a second signal, {name}. {last}"
    elif saves.unsaved is not None:
        said = f"Stopped by {name}; the training could not be saved: {saves.unsaved} {last}"
    elif saves.stopped and found:
        said = f"Stopped by {name}; the training is saved in {found[-1].name}."
    else:  # before the training, or after it
        said = f"Stopped by {name}. {last}"
    again = f"lamina train --resume {shlex.quote(str(folder))}"
    return f"{said} To go on: {again}" if found else f"{said} To start again: {again}"
