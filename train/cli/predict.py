"""`lamina predict`: what a trained model says of new data."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from ...backends import DataError
from .. import metrics
from ..data import Dataset
from ..files import atomic_write
from ..predictor import Predictor
from .app import BackendOption, DtypeOption, JsonOption, command, console, print_json
from .train import model_file

_SHOWN = 10


@command
def predict(
    run: Annotated[str, typer.Argument(help="A run folder, or a model file.")],
    data: Annotated[
        str | None,
        typer.Argument(help="A .csv, .tsv or .npz file, with or without targets (default: the test set it was trained with)."),
    ] = None,
    out: Annotated[str | None, typer.Option("--out", help="Write all predictions to this CSV file.")] = None,
    backend: BackendOption = None,
    dtype: DtypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict with a trained model; where the targets are known, say how good it was."""
    path = model_file(run)
    if path is None:
        raise DataError(f"'{run}' is no run folder (it has no model.safetensors) and no .safetensors file")
    predictor = Predictor.load(path)
    inputs, known = predictor.read(data)
    outputs = predictor(inputs)
    rows = _rows(predictor, outputs)
    scores = _scores(predictor, outputs, known)
    if out is not None:
        _write(out, rows)
    if as_json:
        print_json({"predictions": rows, **scores})
        return
    _show(rows)
    for name, value in scores.items():
        console.print(f"{name.replace('_', ' ')} {value:.4f}", highlight=False, style="bold")
    if out is not None:
        console.print(f"{len(rows)} predictions in {out}", highlight=False)


def _rows(predictor: Predictor, outputs: Any) -> list[dict[str, Any]]:
    """Return one dict a sample: the class and its score, or the numbers."""
    if predictor.classes is None:
        names = ["prediction"] if outputs.shape[1] == 1 else [f"prediction {k}" for k in range(outputs.shape[1])]
        return [dict(zip(names, map(float, row), strict=True)) for row in outputs]
    head = "probability" if predictor.link else "score"
    pairs = zip(predictor.labels(outputs), predictor.certainties(outputs), strict=True)
    return [{"prediction": label, head: float(certainty)} for label, certainty in pairs]


def _scores(predictor: Predictor, outputs: Any, known: Dataset | None) -> dict[str, float]:
    if known is None:
        return {}
    if predictor.classes is None:
        return {"r2": metrics.r2(outputs, known.targets), "mse": metrics.mean_squared_error(outputs, known.targets)}
    counts = np.bincount(known.targets)
    return {
        "accuracy": metrics.accuracy(outputs, known.targets, threshold=predictor.threshold),
        "majority_share": float(counts.max() / counts.sum()),
    }


def _show(rows: list[dict[str, Any]]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("row", justify="right")
    for name in rows[0]:
        table.add_column(name)
    for i, row in enumerate(rows[:_SHOWN]):
        table.add_row(str(i), *(f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values()))
    console.print(table)
    if len(rows) > _SHOWN:
        console.print(f"... and {len(rows) - _SHOWN:,} more (--out FILE writes them all)", style="dim", highlight=False)


def _write(out: str, rows: list[dict[str, Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    atomic_write(Path(out), text.getvalue().encode())
