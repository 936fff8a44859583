"""The shapes of a file's values, as far as the onnx package infers them."""

from __future__ import annotations

from typing import Any

from ...backends import DataError
from ...backends.options import shown
from .library import onnx_library

_SAME_SHAPE = ("EyeLike", "LayerNormalization")
"""Operators whose first output has the first input's shape, and which onnx infers badly: it ends the process
where the input's type is unknown, or where an axis is none of the input's."""


def infer_shapes(proto: Any) -> None:
    """Add the shapes of intermediate values to a checked model without functions.

    Values of shapes are not followed: of `ConstantOfShape(2**62)` onnx would make a list.
    """
    for node in proto.graph.node:
        if node.op_type == "Split":
            _check_split(node)
    twin = type(proto)()
    twin.CopyFrom(proto)
    for node in twin.graph.node:
        if node.op_type in _SAME_SHAPE and node.input and node.output:
            first, result = node.input[0], node.output[0]
            node.Clear()
            node.op_type = "Identity"
            node.input.append(first)
            node.output.append(result)
    inferred = onnx_library("shape_inference").infer_shapes(twin).graph
    del proto.graph.value_info[:], proto.graph.output[:]
    proto.graph.value_info.extend(inferred.value_info)
    proto.graph.output.extend(inferred.output)


def _check_split(node: Any) -> None:
    """Raise DataError if a Split has another number of outputs than it says; onnx would end the process."""
    for attribute in node.attribute:
        said = {"num_outputs": attribute.i, "split": len(attribute.ints)}.get(attribute.name)
        if said not in (None, len(node.output)):
            wanted = f"expected {attribute.name} for {len(node.output)} outputs"
            raise DataError(f"Split {shown(node.name)}: {wanted}, got {said}")
