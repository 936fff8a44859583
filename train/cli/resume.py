"""`lamina train --resume RUN`: the recipe and the backend of a run that was stopped."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from ...backends import Backend, DataError, OptionError, get_backend
from ...backends.options import shown
from ..runs.assemble import backend_of
from ..runs.recipe import OPTIONS, Recipe
from ..runs.record import Record
from .options import given


def resumed(run: str, context: typer.Context, options: Mapping[str, Any]) -> tuple[Recipe, Backend]:
    """Return the recipe and the backend to go on with.

    Parameters
    ----------
    run
        The folder of the run.
    context
        The command line.
    options
        Its options of a recipe.

    Raises
    ------
    DataError
        If the folder holds no run, or one that is finished.
    OptionError
        If an option is another than that of the run, and is not the number of epochs.

    """
    if not run.strip() or not os.path.isdir(run):
        raise DataError(f"--resume: expected the folder of a run, got {shown(run)}")
    record = Record.read(Path(run))
    _check_given(run, record, context, options)
    recipe = replace(record.recipe, epochs=options.get("epochs", record.recipe.epochs)).settled()
    _check_unfinished(run, record, recipe)
    spec = record.backend if context.params["backend"] is None else backend_of(recipe).spec
    return recipe, get_backend(spec, dtype=record.dtype)


def _check_given(run: str, record: Record, context: typer.Context, options: Mapping[str, Any]) -> None:
    """Raise OptionError for an option that is another than that of the run."""
    if given(context, "out"):
        raise OptionError(f"--out: expected none with --resume, got {context.params['out']!r}")
    pairs = [(OPTIONS[name].flag, name, OPTIONS[name].checked(value)) for name, value in options.items()]
    pairs += [
        ("the data set", "source", context.params["source"]),
        ("--dtype", "dtype", context.params["dtype"]),
    ]
    for flag, name, value in pairs:
        wanted = record.dtype if name == "dtype" else getattr(record.recipe, name)
        if name != "epochs" and given(context, name) and value != wanted:
            raise OptionError(
                f"{flag}: expected {shown(wanted)}, as in the run '{run}', got {shown(value)}; only "
                "--epochs, --checkpoint-every and --backend may change"
            )


def _check_unfinished(run: str, record: Record, recipe: Recipe) -> None:
    """Raise DataError for a run that is finished, unless it gets more epochs."""
    planned, epochs = record.recipe.epochs, recipe.epochs
    assert planned is not None and epochs is not None  # noqa: PT018
    done = record.results.get("epochs")
    done = done if isinstance(done, int) else 0
    if record.state == "done" and (epochs == planned or epochs <= done):
        why = record.results.get("stopped") or f"it has {done} of {planned} epochs"
        more = f"lamina train --resume {shlex.quote(run)} --epochs {max(2 * planned, done + 1)}"
        raise DataError(
            f"--resume: expected a run that is not finished, got '{run}': {why}; to train on, give more "
            f"epochs: {more}"
        )
