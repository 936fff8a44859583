"""`lamina runs`: the runs in a folder, and the state of each."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from ...backends import DataError
from ..runs.listing import Listed, list_runs
from .app import JsonOption, command, print_json, say, show_table


@command
def runs(
    folder: Annotated[
        str | None, typer.Argument(help="The folder of the runs, or of one run (default: runs).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List training runs: state, data, epochs, accuracy and age.

    A run is running, done, interrupted (a signal stopped it, or it was killed) or failed (an error ended it,
    or it became NaN or infinite). Until it is done, the accuracy is that of the validation set in its last
    checkpoint. The age is the time since its start, or since its end.
    """
    place = Path("runs" if folder is None else folder)
    if folder is not None and not place.is_dir():
        raise DataError(f"expected the folder of runs, got {folder!r}")
    found = list_runs(place) if place.is_dir() else []
    if as_json:
        print_json({"runs": [_facts(run) for run in found]})
        return
    if not found:
        say(f"There are no runs in '{place}'; `lamina train` makes one.")
        return
    right = ("epochs", "accuracy", "age")
    heads = {
        name: "right" if name in right else "left"
        for name in ("run", "state", "data", "epochs", "accuracy", "age")
    }
    show_table(heads, [_row(run) for run in found])
    for run in found:
        if run.fault:
            say(f"{run.folder}: {run.fault}", style="dim")
    if stopped := next((run for run in found if run.state == "interrupted"), None):
        say(f"next: lamina train --resume {shlex.quote(str(stopped.folder))}", style="dim")


def _facts(run: Listed) -> dict[str, Any]:
    return {**vars(run), "folder": str(run.folder)}


def _row(run: Listed) -> tuple[str, ...]:
    score = ""
    if run.score is not None:
        score = f"{run.score:.2%}" if run.measure == "accuracy" else f"R2 {run.score:.4f}"
    of = " (validation)" if score and run.of == "validation" else ""
    epochs = f"{run.epochs} of {run.planned}" if run.planned else ""
    return str(run.folder), run.state, run.data, epochs, f"{score}{of}", _age(run.age)


def _age(seconds: float) -> str:
    """Return 90 as "1 min"."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
