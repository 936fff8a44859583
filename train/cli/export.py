"""`lamina export`: a trained model as an ONNX file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ...backends import DataError
from ...backends.host import Host
from ..files import new_file, workplace
from ..onnx import save_onnx
from ..onnx.save import OPSET, largest_difference
from ..runs.model_file import read_model
from ..runs.predictor import Predictor
from .app import BackendOption, Force, JsonOption, command, fail, print_json, say
from .folders import model_file

_SAMPLES = 8
_TOLERANCE = 1e-4  # relative to the largest output: float32 through a whole network


@command
def export(
    run: Annotated[str, typer.Argument(help="A run folder, or a .safetensors model file.")],
    out: Annotated[
        str | None, typer.Option("--out", help="The file to write (default: model.onnx beside the model).")
    ] = None,
    force: Force = False,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a trained model, with its scaling, as an ONNX file, and check it with onnx's own evaluator."""
    path = model_file(run)
    if path is None or path.suffix != ".safetensors":
        raise DataError(f"expected a run folder (with model.safetensors) or a .safetensors file, got '{run}'")
    predictor = Predictor.load(path)
    predictor.check_finite()
    beside = Path(run, "model.onnx") if Path(run).is_dir() else path.with_suffix(".onnx")
    target = Path(out) if out is not None else beside
    if target.suffix != ".onnx":
        raise DataError(f"--out: expected a file that ends in .onnx, got '{out}'")
    _, description = read_model(path)
    new_file(target, force=force)
    with workplace("--out", target.parent):
        save_onnx(
            target,
            predictor.model,
            predictor.input_shape,
            scaling=predictor.scaling,
            output_scaling=predictor.target_scaling,
            metadata={"lamina": json.dumps(description)},
            replace=force,
        )
        difference = largest_difference(target, predictor, [_samples(predictor)])
        if not difference <= _TOLERANCE:
            message = (
                f"'{target}' was written, but onnx computes other outputs: they differ by {difference:.2g}"
            )
            fail(message, as_json=as_json, code=1)
    size = target.stat().st_size
    if as_json:
        print_json({"file": str(target), "bytes": size, "opset": OPSET, "largest_difference": difference})
        return
    say("wrote ", (str(target), "bold"), f": {size:,} bytes, operator set {OPSET}")
    agreement = f"onnx's own evaluator agrees on {_SAMPLES} samples: largest difference {difference:.1g}"
    say(agreement, style="dim")


def _samples(predictor: Predictor) -> Host:
    """Return random inputs with the mean and spread of the training set."""
    normal = np.random.default_rng(0).standard_normal((_SAMPLES, *predictor.input_shape))
    inputs = normal if predictor.scaling is None else predictor.scaling.undo(normal)
    return inputs.astype(np.float32)
