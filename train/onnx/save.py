"""`save_onnx`: writes a model as an ONNX file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...backends import DataError, OptionError, ShapeError
from ...backends.host import Host
from ...backends.options import choice, integer, shown
from ...backends.protocol import Shape
from ...layers import Module
from ..data import Scaling
from ..files import as_path, atomic_write, check_target
from . import exporters  # noqa: F401  # fills the table
from .library import onnx_library
from .writer import Writer

OPSET = 22
"""The operator set of written files: the first with the right pooling shapes."""
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
    replace: bool = True,
) -> None:
    """Write a model as it predicts (no dropout, running statistics) to an ONNX file, atomically.

    The file takes batches of any size; its weights are float32.

    Parameters
    ----------
    path
        The file; its name should end in ".onnx".
    model
        Made of Lamina's layers.
    input_shape
        One sample's shape, without the batch axis; needed if the first layer does not know it.
    input_dtype
        "float32", or "int64" for a model that begins with an embedding.
    scaling, output_scaling
        The standardisation of inputs in training, and of outputs; both become part of the file.
    metadata
        Texts to store in the file.
    replace
        Whether to replace an existing file.

    Raises
    ------
    DataError
        If a layer has no ONNX form (the error names it), or the onnx package is absent.
    OptionError
        If an argument is of a wrong type.
    ShapeError
        If the input's shape is needed, or does not fit.
    OutputError
        If the file cannot be written.

    """
    target = check_target(as_path("save_onnx", path))
    if not isinstance(model, Module):
        raise OptionError(f"save_onnx: expected model to be a Module, got {shown(model)}")
    for what, given in (("scaling", scaling), ("output_scaling", output_scaling)):
        if given is not None and not isinstance(given, Scaling):
            raise OptionError(f"save_onnx: expected {what} to be a Scaling or None, got {shown(given)}")
    choice("save_onnx", "input_dtype", input_dtype, ("float32", "int64"))
    shape = input_shape if input_shape is not None else model.input_shape
    if shape is None:
        raise ShapeError(
            "save_onnx: expected input_shape, got none, and the first layer does not know its input"
        )
    if not isinstance(shape, (tuple, list)):
        raise OptionError(f"save_onnx: expected input_shape to be a tuple of integers, got {shown(shape)}")
    shape = tuple(integer("save_onnx", f"input_shape[{i}]", n) for i, n in enumerate(shape))
    proto = _proto(model, shape, input_dtype, scaling, output_scaling)
    for key, value in (metadata or {}).items():
        proto.metadata_props.add(key=key, value=value)
    atomic_write(target, proto.SerializeToString(), replace=replace)


def _proto(
    model: Module, shape: Shape, dtype: str, scaling: Scaling | None, output_scaling: Scaling | None
) -> Any:
    helper, types = onnx_library("helper"), onnx_library().TensorProto
    kind = {"float32": types.FLOAT, "int64": types.INT64}[dtype]
    writer = Writer(model.backend, "input", (1, *shape))
    if scaling is not None:
        centred = writer.add("Sub", "input", writer.constant("input.mean", scaling.mean))
        writer.add("Div", centred, writer.constant("input.scale", scaling.scale))
    writer.export(model)
    if output_scaling is not None:
        scaled = writer.add("Mul", writer.value, writer.constant("output.scale", output_scaling.scale))
        writer.add("Add", scaled, writer.constant("output.mean", output_scaling.mean))
    if not writer.nodes:
        writer.add("Identity")
    writer.nodes[-1].output[0] = "output"
    outputs = model.output_shape((1, *shape))
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
    """Return the largest difference between `predict` and onnx's evaluation of a file.

    Each batch (N, ...) counts relative to its largest output, or to 1 if that is larger; a NaN gives NaN.
    """
    evaluator = onnx_library("reference").ReferenceEvaluator(str(path))
    differences = [0.0]
    for batch in batches:
        with np.errstate(all="ignore"):
            theirs = evaluator.run(None, {evaluator.input_names[0]: batch})[0]
        ours = predict(batch)
        if ours.shape != theirs.shape:
            raise DataError(
                f"'{path}', inputs {batch.shape}: expected outputs {ours.shape}, got {theirs.shape}"
            )
        if ours.size:
            size = max(1.0, float(np.max(np.abs(ours))))
            with np.errstate(invalid="ignore"):  # of two infinities it is NaN
                differences.append(float(np.max(np.abs(ours - theirs))) / size)
    return float(np.max(differences))
