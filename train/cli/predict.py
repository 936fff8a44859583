"""`lamina predict`: what a trained model says of new data."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ...backends import DataError
from ..files import atomic_write
from ..loop import metrics
from ..runs.predictor import NewData, Predictor
from .app import BackendOption, DtypeOption, JsonOption, command, print_json, say, show_table
from .folders import model_file

_SHOWN = 10


@command
def predict(
    run: Annotated[str, typer.Argument(help="A run folder, or a model file (.safetensors, .onnx).")],
    data: Annotated[
        str | None,
        typer.Argument(
            help="A .csv, .tsv or .npz file, with or without targets, or a folder of IDX files "
            "(default: the test set it was trained with)."
        ),
    ] = None,
    out: Annotated[str | None, typer.Option("--out", help="Write all predictions to this CSV file.")] = None,
    backend: BackendOption = None,
    dtype: DtypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict with a trained model; where the targets are known, say how good it was."""
    path = model_file(run)
    if path is None:
        raise DataError(
            f"'{run}' is no run folder (it has no model.safetensors) and no .safetensors or .onnx file"
        )
    predictor = Predictor.load(path)
    new = predictor.read(data)
    outputs = predictor(new.inputs)
    rows = _rows(predictor, outputs)
    scores = _scores(predictor, outputs, new)
    if out is not None:
        _write(out, rows)
    if as_json:
        print_json({"predictions": rows, **scores, **({"note": new.note} if new.note else {})})
        return
    _show(rows)
    for name, value in scores.items():
        say((f"{name.replace('_', ' ')} {_number(value)}", "bold"))
    if new.note:
        say(f"no score: {new.note}", style="yellow")
    if out is not None:
        say(f"{len(rows)} predictions in {out}")


def _rows(predictor: Predictor, outputs: Any) -> list[dict[str, Any]]:
    """Return one dict a sample: the class and its score, or the numbers."""
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
        say(f"... and {len(rows) - _SHOWN:,} more (--out FILE writes them all)", style="dim")


def _number(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.6g}"


def _write(out: str, rows: list[dict[str, Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    atomic_write(Path(out), text.getvalue().encode())
