"""`save_onnx`: a model of ours as an ONNX file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...backends import DataError, ShapeError
from ...backends.protocol import Shape
from ...layers import Module
from ..data import Scaling
from ..files import atomic_write
from . import exporters  # noqa: F401  # fills the table
from .library import onnx_library
from .node import Host
from .writer import Writer

OPSET = 22
"""The operator set of the files: the first whose pooling has the right shapes."""
_IR = 10


def save_onnx(
    path: str | Path,
    model: Module,
    input_shape: Shape | None = None,
    *,
    input_dtype: str = "float32",
    scaling: Scaling | None = None,
    output_scaling: Scaling | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a model as it predicts (dropout off, running statistics) to an ONNX file, whole or not at all.

    The batch may be of any size; weights are float32.

    Parameters
    ----------
    path
        The file; its ending should be ".onnx".
    model
        Made of Lamina's layers.
    input_shape
        One sample's, without the batch axis; needed where the first layers do not know it.
    input_dtype
        "int64" for a model that begins with an embedding.
    scaling, output_scaling
        What inputs went through in training, and what outputs must go through: part of the file.
    metadata
        Texts that the file keeps.

    Raises
    ------
    DataError
        If a layer has no ONNX form (it is named), or the onnx package is absent.
    ShapeError
        If the input's shape is needed, or does not fit.
    OutputError
        If the file cannot be written.

    """
    shape = input_shape if input_shape is not None else model.input_shape
    if shape is None:
        raise ShapeError("save_onnx: the first layer does not know its input; pass input_shape")
    proto = _proto(model, tuple(shape), input_dtype, scaling, output_scaling)
    for key, value in (metadata or {}).items():
        proto.metadata_props.add(key=key, value=value)
    atomic_write(path, proto.SerializeToString())


def _proto(
    model: Module, shape: Shape, dtype: str, scaling: Scaling | None, output_scaling: Scaling | None
) -> Any:
    helper, types = onnx_library("helper"), onnx_library().TensorProto
    writer = Writer(model.backend, "input", (1, *shape))
    if scaling is not None:
        mean, scale = (
            writer.constant("input.mean", scaling.mean),
            writer.constant("input.scale", scaling.scale),
        )
        writer.add("Div", writer.add("Sub", "input", mean), scale)
    writer.export(model)
    if output_scaling is not None:
        mean = writer.constant("output.mean", output_scaling.mean)
        scale = writer.constant("output.scale", output_scaling.scale)
        writer.add("Add", writer.add("Mul", writer.value, scale), mean)
    if not writer.nodes:
        writer.add("Identity")
    writer.nodes[-1].output[0] = "output"
    outputs = model.output_shape((1, *shape))
    kind = {"float32": types.FLOAT, "int64": types.INT64}.get(dtype)
    if kind is None:
        raise DataError(f"save_onnx: input_dtype must be 'float32' or 'int64', got {dtype!r}")
    graph = helper.make_graph(
        writer.nodes,
        "lamina",
        [helper.make_tensor_value_info("input", kind, ["N", *shape])],
        [helper.make_tensor_value_info("output", types.FLOAT, ["N", *outputs[1:]])],
        [onnx_library("numpy_helper").from_array(value, name) for name, value in writer.weights.items()],
    )
    proto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR, producer_name="lamina"
    )
    onnx_library().checker.check_model(proto, full_check=True)
    return proto


def largest_difference(path: str | Path, predict: Callable[[Host], Host], batches: Sequence[Host]) -> float:
    """Return how far onnx's own evaluator of a file is from `predict`, relative to its largest output.

    batches: inputs (N, ...).
    """
    evaluator = onnx_library("reference").ReferenceEvaluator(str(path))
    worst = 0.0
    for batch in batches:
        theirs = evaluator.run(None, {evaluator.input_names[0]: batch})[0]
        ours = predict(batch)
        if ours.shape != theirs.shape:
            raise DataError(f"'{path}' gives {theirs.shape} for inputs {batch.shape}, not {ours.shape}")
        if ours.size:
            worst = max(worst, float(np.max(np.abs(ours - theirs))) / max(1.0, float(np.max(np.abs(ours)))))
    return worst
