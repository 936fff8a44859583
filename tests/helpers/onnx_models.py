"""ONNX files for tests, made of nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

FLOAT, INT64 = 1, 7


def model(
    nodes: list[Any],
    inputs: dict[str, tuple[int, list[Any]]],
    weights: dict[str, Any] | None = None,
    outputs: tuple[str, ...] = ("y",),
    functions: list[Any] | None = None,
    rank: int | None = None,
) -> bytes:
    """Return the bytes of a file; outputs have `rank` axes, by default as many as the first input."""
    helper = onnx.helper
    axes = [None] * (len(next(iter(inputs.values()))[1]) if rank is None else rank)
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, axes) for name in outputs],
        [onnx.numpy_helper.from_array(np.asarray(v), name) for name, v in (weights or {}).items()],
    )
    imports = [helper.make_opsetid("", 22)]
    if functions:
        imports.append(helper.make_opsetid("own", 1))
    proto = helper.make_model(graph, opset_imports=imports, ir_version=10, functions=functions or [])
    return bytes(proto.SerializeToString())


def node(operator: str, inputs: str, outputs: str = "y", **attributes: Any) -> Any:
    return onnx.helper.make_node(
        operator, inputs.split(), outputs.split(), name=operator.lower(), **attributes
    )
