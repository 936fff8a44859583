"""`lamina train`: a network trained and tested on a data set."""

from __future__ import annotations

import functools
import math
import os
import shlex
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from ...backends.errors import EagerWarning
from ..data import SOURCES
from ..files import OutputError, visible
from ..loop.checkpoint_folder import checkpoints_in
from ..loop.checkpoints import interval
from ..loop.signals import STOPS, code_of, name_of, stop_of
from ..loop.state import CheckpointWarning
from ..runs.assemble import backend_of
from ..runs.compiled import sentence
from ..runs.experiment import Experiment
from ..runs.folder import CHECKPOINTS, draw_run, record_of, save_checkpoints, save_run
from ..runs.recipe import Recipe
from .app import (
    EXPLODED,
    BackendOption,
    DtypeOption,
    JsonOption,
    command,
    errors,
    print_json,
    say,
    stops_deferred,
)
from .crosscheck import KeepGoing, Tolerance, chosen_crosscheck, show_crosscheck
from .folders import resumed_folder, run_folder
from .options import recipe_flags
from .resume import resumed
from .stopped import end_stopped, recorded
from .summary import show_summary

Source = Annotated[
    str,
    typer.Argument(help="digits, disc, cubes, a .csv, .tsv or .npz file, or a folder of IDX files (MNIST)."),
]
Out = Annotated[
    str | None, typer.Option("--out", help="Folder for model, history and pictures (default: runs/NAME-K).")
]
Every = Annotated[
    str | None,
    typer.Option(
        "--checkpoint-every",
        help="Save the training now and then, so that --resume can go on: 10s, 5epochs or 1000steps, for "
        "example (default: 60s).",
    ),
]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="RUN",
        help="Go on with the run in this folder, with its options; only --epochs, --checkpoint-every, "
        "--backend and --json may be given.",
    ),
]


@command
@recipe_flags()
def train(
    options: dict[str, Any],
    context: typer.Context,
    source: Source = "digits",
    out: Out = None,
    checkpoint_every: Every = None,
    resume: Resume = None,
    tolerance: Tolerance = None,
    keep_going: KeepGoing = False,
    backend: BackendOption = None,
    dtype: DtypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a network, test it, and save the model, its history and pictures in a folder.

    Exit codes: 1 if test outputs are NaN or infinite, or if backends diverge; 2 for an error; 3 if the
    training became NaN or infinite (the last finite network is saved); 130 after Ctrl-C, 143 after SIGTERM
    and 129 after SIGHUP: the training is saved, and --resume goes on. A second signal ends it at once.
    """
    every = "60s" if checkpoint_every is None else checkpoint_every
    interval("--checkpoint-every", every)
    if resume is None:
        recipe = Recipe(source=source, **options).settled()
        chosen = backend_of(recipe)
    else:
        recipe, chosen = resumed(resume, context, options)
    crosscheck = chosen_crosscheck(chosen, tolerance, keep_going)
    place = run_folder(out, source) if resume is None else resumed_folder(resume)
    with place as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", EagerWarning)  # the report says it
        warnings.simplefilter("always", CheckpointWarning)
        warnings.showwarning = functools.partial(_show_warning, warnings.showwarning)
        experiment = Experiment.prepare(recipe, chosen, progress=not as_json)
        saves = save_checkpoints(experiment, folder, every)
        if resume is not None and checkpoints_in(folder / CHECKPOINTS):
            experiment.resumes = folder / CHECKPOINTS
        if not as_json:
            with experiment.threads():
                _introduce(experiment)
            if resume is not None:
                _tell_resumed(experiment)
        with recorded(experiment, folder):
            try:
                saves.note = None if as_json else _note
                experiment.train()
            except STOPS as stop:
                end_stopped(experiment, folder, saves, stop, as_json)
            with stops_deferred("Saving the network ...") as late:
                results = experiment.test()
                if not as_json:
                    _report(experiment)
                try:
                    files = save_run(experiment, folder)
                except OutputError as error:
                    if not as_json:
                        raise
                    print_json({**results, "error": str(error)})
                    raise typer.Exit(2) from error
                drawn, not_drawn = draw_run(experiment, folder)
                files += drawn
                record_of(experiment, "done").write(folder)
    if crosscheck is not None:
        results["divergences"] = crosscheck.report().divergences
    if as_json:
        places = {"folder": str(folder), "files": [str(path) for path in files]}
        print_json({**results, **places, **({"not_drawn": not_drawn} if not_drawn else {})})
    else:
        _show_files(experiment, folder, files, not_drawn)
        if crosscheck is not None:
            show_crosscheck(crosscheck)
    if late:
        raise typer.Exit(code_of(stop_of(late[0])))
    if experiment.exploded:
        raise typer.Exit(EXPLODED)
    if not math.isfinite(results["test_loss"]) or results.get("divergences"):
        raise typer.Exit(1)


def _note(number: int) -> None:
    """Say that a signal was noticed."""
    name = name_of(stop_of(number))
    errors.print(f"{name}: saving the training after this step; again to end at once.", highlight=False)


def _show_warning(
    other: Callable[..., object], message: Warning | str, category: type[Warning], *rest: Any
) -> None:
    """Print a warning about checkpoints as a line, and any other one as Python does."""
    if issubclass(category, CheckpointWarning):
        errors.print(Text(visible(str(message)), style="yellow"), highlight=False, soft_wrap=True)
    else:
        other(message, category, *rest)


def _introduce(experiment: Experiment) -> None:
    """Print the data, the plan of the training, the backend and the network."""
    splits, recipe, backend = experiment.splits, experiment.recipe, experiment.backend
    parts = ", ".join(f"{len(data):,} {name}" for name, data in splits.parts().items())
    kind = "numbers" if splits.train.classes is None else f"{len(splits.train.classes)} classes"
    details = ", ".join(f"{key} {value}" for key, value in backend.details().items())
    say((splits.train.name, "bold"), f": {parts}; inputs {splits.train.shape}, {kind}")
    for note in splits.train.notes:
        say(f"{note}.", style="dim")
    say(f"{experiment.loss}, {experiment.trainer.optimizer}", style="dim")
    plan = f"schedule {recipe.schedule}, epochs {recipe.epochs}, batches of {recipe.batch_size}"
    say(f"{plan}, seed {recipe.seed}", style="dim")
    say(f"backend {backend.spec} {backend.default_dtype}: {details}", style="dim")
    show_summary(experiment.model, splits.train.shape)


def _tell_resumed(experiment: Experiment) -> None:
    """Print where the training goes on."""
    found = [] if experiment.resumes is None else checkpoints_in(experiment.resumes)
    if not found:
        say("No checkpoint was written yet: the training starts from its beginning.", style="yellow")
    else:
        say(f"The training goes on from {found[-1].name}.", style="yellow")


def _report(experiment: Experiment) -> None:
    """Print what was compiled, and the scores."""
    results: dict[str, Any] = experiment.results
    if told := sentence(results):
        say(told, style="dim")
    epochs = f"{results['epochs']} epoch" + ("s" if results["epochs"] != 1 else "")
    if results["stopped"]:
        say(("Stopped", "yellow"), f" after {epochs}: {results['stopped']}.")
    if skipped := results["skipped_steps"]:
        steps = f"{skipped:,} step" + ("s" if skipped != 1 else "")
        say(f"{steps} with a NaN or infinity in the loss or the gradients: skipped.", style="yellow")
    if results["nonfinite"] and results["nonfinite"] not in results["stopped"]:
        say(f"{results['nonfinite']}.", style="yellow")
    _tell_kept(experiment)
    time = f"{epochs} in {results['seconds']:.1f} s"
    if "test_accuracy" in results:
        say(
            (f"test accuracy {results['test_accuracy']:.2%}", "bold"),
            f" (majority class: {results['baseline_accuracy']:.2%}), loss {results['test_loss']:.4f}; {time}",
        )
    else:
        name = experiment.splits.train.target_name
        say(
            (f"test R2 {results['test_r2']:.4f}", "bold"),
            f" (always the mean: 0), root mean squared error {results['test_rmse']:.6g}",
            f" in {name}" if name else "",
            f"; {time}",
        )
    if not (math.isfinite(results["test_loss"]) or results["stopped"]):
        say(
            "Some outputs for the test set are NaN or infinite; --check-finite locates them in the data.",
            style="red",
        )


def _show_files(experiment: Experiment, folder: Path, files: list[Path], not_drawn: list[str]) -> None:
    """Print the folder of the results and the next command."""
    for problem in not_drawn:
        say(problem, style="yellow")
    say("saved in ", (f"{folder}{os.sep}", "bold"), ": " + ", ".join(path.name for path in files))
    if math.isfinite(experiment.results["test_loss"]):
        source = experiment.recipe.source
        data = "" if source in SOURCES else f" {shlex.quote(source)} --test-set"
        say(f"next: lamina predict {shlex.quote(str(folder))}{data}", style="dim")


def _tell_kept(experiment: Experiment) -> None:
    """Say which epoch's network is kept, if not the last one's, and whether the validation loss rose."""
    results, history = experiment.results, experiment.trainer.history
    kept, best, last = results["kept_epoch"], results["best_epoch"], results["epochs"]
    network = f"the network of epoch {kept}" if kept else "the untrained network"
    if experiment.exploded:
        why = "" if results["stopped"] else "The last steps gave NaN or infinity; try a smaller --lr. "
        say(f"{why}Kept: {network}, whose numbers are finite.", style="yellow")
    elif best is not None and best < last:
        low, end = (history[epoch - 1]["validation_loss"] for epoch in (best, last))
        hint = "" if kept == best else f"; --best keeps that of epoch {best}"
        rose = f"rose from {low:.4g} in epoch {best} to {end:.4g}"
        change = rose if f"{low:.4g}" != f"{end:.4g}" else f"was lowest in epoch {best}"
        say(f"The validation loss {change}; {network} is kept{hint}.")
    elif kept != last:
        say(f"The training loss was lowest in epoch {kept}; its network is kept.")
