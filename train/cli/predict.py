"""`lamina predict`: the predictions of a trained model for new data."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ...backends import DataError, OptionError
from ...backends.host import Host
from ..files import atomic_write, new_file
from ..loop import metrics
from ..loop.checkpoint_folder import is_checkpoint
from ..runs.new_data import NewData, read_new_data
from ..runs.predictor import Predictor
from .app import BackendOption, DtypeOption, Force, JsonOption, command, print_json, say, show_table
from .folders import model_file

_SHOWN = 10


@command
def predict(
    run: Annotated[
        str,
        typer.Argument(
            help="A run folder, or a model file (.safetensors, .onnx). Of a run that is not done, the last "
            "checkpoint predicts."
        ),
    ],
    data: Annotated[
        str | None,
        typer.Argument(
            help="A .csv, .tsv or .npz file, with or without targets, or a folder of IDX files "
            "(default: the test set of disc, cubes or digits, if that was the training's data)."
        ),
    ] = None,
    test_set: Annotated[
        bool,
        typer.Option("--test-set", help="DATA is the training's data: predict its test set alone."),
    ] = False,
    header: Annotated[
        bool | None,
        typer.Option(
            "--header/--no-header",
            help="CSV: whether the first row names the columns (default: as in the training, else it does if "
            "none of its cells is a number).",
        ),
    ] = None,
    out: Annotated[str | None, typer.Option("--out", help="Write all predictions to this CSV file.")] = None,
    force: Force = False,
    backend: BackendOption = None,
    dtype: DtypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict with a trained model, and score the predictions if the data have targets."""
    path = model_file(run)
    if path is None:
        raise DataError(
            f"expected a run folder (with model.safetensors) or a .safetensors or .onnx file, got '{run}'; "
            "`lamina train` makes one"
        )
    file = None if out is None else new_file(out, force=force)
    predictor = Predictor.load(path)
    predictor.check_finite()
    if test_set and data is None:
        raise OptionError("--test-set: expected DATA, the training's data, with it, got none")
    new = read_new_data(predictor, data, test_set=test_set, header=header)
    outputs = predictor(new.inputs)
    rows = _rows(predictor, outputs)
    scores = _scores(predictor, outputs, new)
    if file is not None:
        atomic_write(file, _csv(rows), replace=force)
    overflowed = np.flatnonzero(_finite_rows(new.inputs) & ~_finite_rows(outputs))
    if as_json:
        notes = {"note": new.note, "reading": new.reading}
        notes["checkpoint"] = path.name if is_checkpoint(path) else ""
        print_json({"predictions": rows, **scores, **{key: text for key, text in notes.items() if text}})
    else:
        if is_checkpoint(path):
            say(f"The run is not done: the network is that of its checkpoint {path.name}.", style="yellow")
        _print(rows, scores, new, file)
        if len(overflowed):
            say(
                f"{len(overflowed):,} predictions for finite inputs are NaN or infinite; the first is in row "
                f"{overflowed[0]}",
                style="red",
            )
    if len(overflowed):
        raise typer.Exit(1)


def _finite_rows(values: Host) -> Host:
    return np.asarray(np.isfinite(values.reshape(len(values), -1)).all(axis=1))


def _print(rows: list[dict[str, Any]], scores: dict[str, float], new: NewData, file: Path | None) -> None:
    if new.reading:
        say(f"{new.reading}.", style="dim")
    _show(rows)
    for name, value in scores.items():
        say((f"{name.replace('_', ' ')} {_number(value)}", "bold"))
    if new.note:
        say(f"no score: {new.note}", style="yellow")
    if file is not None:
        say(f"wrote {len(rows):,} predictions to ", (str(file), "bold"))


def _rows(predictor: Predictor, outputs: Any) -> list[dict[str, Any]]:
    """Return a dict for each sample: the class and its probability or score, or the predicted numbers."""
    if predictor.classes is None:
        names = (
            ["prediction"] if outputs.shape[1] == 1 else [f"prediction {k}" for k in range(outputs.shape[1])]
        )
        return [dict(zip(names, map(float, row), strict=True)) for row in outputs]
    head = "probability" if predictor.link else "score"
    pairs = zip(predictor.labels(outputs), predictor.certainties(outputs), strict=True)
    return [{"prediction": label, head: float(certainty)} for label, certainty in pairs]


def _scores(predictor: Predictor, outputs: Any, new: NewData) -> dict[str, float]:
    targets = new.targets
    if targets is None:
        return {}
    if predictor.classes is None:
        mse = metrics.mean_squared_error(outputs, targets)
        return {"r2": metrics.r2(outputs, targets), "mse": mse, "rmse": mse**0.5}
    return {
        "accuracy": metrics.accuracy(outputs, targets, threshold=predictor.threshold),
        "majority_share": float(np.bincount(targets).max() / len(targets)),
    }


def _show(rows: list[dict[str, Any]]) -> None:
    heads = {"row": "right", **dict.fromkeys(rows[0], "left")}
    show_table(heads, [(str(i), *map(_number, row.values())) for i, row in enumerate(rows[:_SHOWN])])
    if len(rows) > _SHOWN:
        say(f"... and {len(rows) - _SHOWN:,} more (--out FILE writes all of them)", style="dim")


def _number(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.6g}"


def _csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
