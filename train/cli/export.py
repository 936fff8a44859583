"""`lamina export`: a trained model as an ONNX file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ...backends import DataError
from ..onnx import save_onnx
from ..onnx.save import OPSET, largest_difference
from ..runs.checkpoint import read_model
from ..runs.predictor import Predictor
from .app import BackendOption, JsonOption, command, fail, print_json, say
from .folders import model_file

Host = np.ndarray[Any, Any]
_SAMPLES = 8
_BAR = 1e-4  # relative to the largest output: float32 through a whole network


@command
def export(
    run: Annotated[str, typer.Argument(help="A run folder, or a .safetensors model file.")],
    out: Annotated[
        str | None, typer.Option("--out", help="The file to write (default: model.onnx beside the model).")
    ] = None,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a trained model as an ONNX file, scaling included, and check it with onnx's own evaluator."""
    path = model_file(run)
    if path is None or path.suffix != ".safetensors":
        raise DataError(f"'{run}' is no run folder (it has no model.safetensors) and no .safetensors file")
    predictor = Predictor.load(path)
    target = Path(out) if out is not None else path.with_suffix(".onnx")
    if target.suffix != ".onnx":
        raise DataError(f"--out: expected a file that ends in .onnx, got '{out}'")
    _, description = read_model(path)
    save_onnx(
        target,
        predictor.model,
        predictor.input_shape,
        scaling=predictor.scaling,
        output_scaling=predictor.target_scaling,
        metadata={"lamina": json.dumps(description)},
    )
    worst = largest_difference(target, predictor, [_samples(predictor)])
    if not worst <= _BAR:
        fail(
            f"'{target}' was written, but onnx computes other values: off by {worst:.2g}",
            as_json=as_json,
            code=1,
        )
    size = target.stat().st_size
    if as_json:
        print_json({"file": str(target), "bytes": size, "opset": OPSET, "largest_difference": worst})
        return
    say(("wrote ", ""), (str(target), "bold"), f": {size:,} bytes, operator set {OPSET}")
    say(f"onnx's own evaluator agrees on {_SAMPLES} samples: largest difference {worst:.1g}", style="dim")


def _samples(predictor: Predictor) -> Host:
    """Return inputs like those that the model was trained on."""
    drawn = np.random.default_rng(0).standard_normal((_SAMPLES, *predictor.input_shape))
    raw = drawn if predictor.scaling is None else predictor.scaling.undo(drawn)
    return raw.astype(np.float32)
