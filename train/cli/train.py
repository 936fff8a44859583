"""`lamina train` and `lamina summary`: from a data set's name to a trained network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ...layers import Module
from ..checkpoint import load_model
from ..experiment import Experiment, describe
from ..recipe import Recipe, run_folder
from . import options as o
from .app import BackendOption, DtypeOption, JsonOption, command, console, errors, print_json

Out = Annotated[str | None, typer.Option("--out", help="Folder for model, history and pictures (default: runs/NAME-K).")]


@command
def train(
    source: o.Source = "digits",
    variant: o.Variant = None,
    n: o.Samples = None,
    target: o.Target = None,
    task: o.TaskOption = "auto",
    validation: o.Validation = None,
    test: o.Test = None,
    standardize: o.Standardize = None,
    check_finite: o.CheckFinite = False,
    hidden: o.Hidden = None,
    activation: o.Activation = "relu",
    output: o.Output = None,
    init: o.Init = "torch",
    loss: o.LossOption = None,
    label_smoothing: o.LabelSmoothing = None,
    optimizer: o.OptimizerOption = None,
    lr: o.LearningRate = None,
    momentum: o.Momentum = None,
    weight_decay: o.WeightDecay = None,
    schedule: o.ScheduleOption = "cosine",
    clip_norm: o.ClipNorm = None,
    epochs: o.Epochs = None,
    batch_size: o.BatchSize = 32,
    patience: o.Patience = None,
    best: o.Best = False,
    seed: o.Seed = None,
    out: Out = None,
    backend: BackendOption = None,
    dtype: DtypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a network, test it, and keep model, history and pictures in a folder."""
    recipe = Recipe(
        source=source,
        variant=variant,
        n=n,
        target=target,
        task=task,
        validation=validation,
        test=test,
        standardize=standardize,
        check_finite=check_finite,
        hidden=o.sizes(hidden),
        activation=o.names(activation),
        output=output,
        initializer=init,
        loss=loss,
        label_smoothing=label_smoothing,
        optimizer=optimizer,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        schedule=schedule,
        clip_norm=clip_norm,
        epochs=epochs,
        batch_size=batch_size,
        patience=patience,
        best=best,
        seed=o.seed_or_default(seed),
    )
    experiment = Experiment.prepare(recipe, progress=not as_json)
    folder = run_folder(out, source)
    if not as_json:
        _introduce(experiment)
    results = experiment.run()
    files = experiment.save(folder)
    if as_json:
        print_json({**results, "folder": str(folder), "files": [str(path) for path in files]})
    else:
        _report(experiment, folder, files)
    if experiment.interrupted:
        raise typer.Exit(130)


@command
def summary(
    source: Annotated[
        str, typer.Argument(help="A run folder or model file, or a data set as in `lamina train`.")
    ] = "digits",
    variant: o.Variant = None,
    target: o.Target = None,
    task: o.TaskOption = "auto",
    hidden: o.Hidden = None,
    activation: o.Activation = "relu",
    output: o.Output = None,
    loss: o.LossOption = None,
    backend: BackendOption = None,
    dtype: DtypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a network's layers: output shapes, parameters and FLOPs of one sample's forward pass."""
    path = model_file(source)
    if path is not None:
        model, description = load_model(path)
        shape = tuple(description["model"]["input_shape"])
    else:
        recipe = Recipe(
            source=source,
            variant=variant,
            target=target,
            task=task,
            hidden=o.sizes(hidden),
            activation=o.names(activation),
            output=output,
            loss=loss,
        )
        model, data = describe(recipe)
        shape = data.shape
    if as_json:
        found = model.summary(shape)
        rows = [vars(row) | {"output_shape": list(row.output_shape)} for row in found.rows]
        print_json({"layers": rows, "parameters": found.parameters, "flops": found.flops})
    else:
        show_summary(model, shape)


def model_file(source: str) -> Path | None:
    """Return the model file that a source names: itself, or the one in a run folder; else None."""
    path = Path(source)
    if path.suffix == ".safetensors":
        return path
    inside = path / "model.safetensors"
    return inside if inside.is_file() else None


def show_summary(model: Module, shape: tuple[int, ...]) -> None:
    """Print a model's summary as a table."""
    found = model.summary(shape)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for head, justify in (("layer", "left"), ("output", "left"), ("parameters", "right"), ("FLOPs", "right")):
        table.add_column(head, justify=justify)  # type: ignore[arg-type]
    for row in found.rows:
        size = ", ".join(["N", *map(str, row.output_shape[1:])])
        table.add_row(row.layer, f"({size})", f"{row.parameters:,}", f"{row.flops:,}")
    table.add_row("total", "", f"{found.parameters:,}", f"{found.flops:,}", style="bold")
    console.print(table)


def _introduce(experiment: Experiment) -> None:
    """Say what is about to be trained, on what, and where."""
    splits, recipe = experiment.splits, experiment.recipe
    parts = ", ".join(f"{len(data):,} {name}" for name, data in splits.parts().items())
    kind = "numbers" if splits.train.classes is None else f"{len(splits.train.classes)} classes"
    details = experiment.backend.details()
    console.print(f"[bold]{splits.train.name}[/]: {parts}; inputs {splits.train.shape}, {kind}", highlight=False)
    console.print(
        f"{experiment.trainer.loss}, {experiment.trainer.optimizer}, schedule {recipe.schedule}, "
        f"batches of {recipe.batch_size}, seed {recipe.seed}",
        highlight=False,
        style="dim",
    )
    console.print(
        f"backend {experiment.backend.spec} {experiment.backend.default_dtype}: "
        + ", ".join(f"{key} {value}" for key, value in details.items()),
        highlight=False,
        style="dim",
    )
    show_summary(experiment.model, splits.train.shape)
    errors.file.flush()


def _report(experiment: Experiment, folder: Path, files: list[Path]) -> None:
    """Say how it went and where the results are."""
    results: dict[str, Any] = experiment.results
    if experiment.interrupted:
        console.print(f"[yellow]Interrupted[/] after {results['epochs']} epochs; what was learnt so far is kept.")
    elif results["stopped"]:
        console.print(f"[yellow]Stopped[/] after {results['epochs']} epochs: {results['stopped']}.", highlight=False)
    time = f"{results['epochs']} epochs in {results['seconds']:.1f} s"
    if "test_accuracy" in results:
        console.print(
            f"[bold]test accuracy {results['test_accuracy']:.2%}[/] "
            f"(majority class: {results['baseline_accuracy']:.2%}), loss {results['test_loss']:.4f}; {time}",
            highlight=False,
        )
    else:
        console.print(
            f"[bold]test R² {results['test_r2']:.4f}[/] (predicting the mean: 0), "
            f"loss {results['test_loss']:.4f} in standardised units; {time}",
            highlight=False,
        )
    console.print(f"kept in [bold]{folder}{os.sep}[/]: " + ", ".join(path.name for path in files), highlight=False)
