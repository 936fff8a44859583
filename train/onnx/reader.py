"""`load_onnx`: from a file's bytes to a model, with an error for whatever is not right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...backends import Backend, DataError, LaminaError, get_backend
from ...layers import inference
from ...layers.random import seeded
from . import operators  # noqa: F401  # fills the table
from .graph import Function, Graph, Input, Step, of_constants
from .library import onnx_library
from .node import Host, Node
from .registry import OPERATORS

_DOMAINS = ("", "ai.onnx")
_WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_FLOATS = ("float16", "float32", "float64", "bfloat16")


def load_onnx(
    source: str | Path | bytes,
    *,
    backend: str | Backend | None = None,
    constants: Mapping[str, Any] | None = None,
) -> Graph:
    """Read an ONNX file as a model, ready to predict.

    Floats of any width become the backend's default dtype, integers int64.

    Parameters
    ----------
    source
        A path, or a file's bytes.
    backend
        Where the model computes; the current backend if None.
    constants
        Values for inputs of the graph that are to be part of the model, as if the file held them.

    Raises
    ------
    DataError
        If the file is absent, cut short, damaged, or has an operator or a type that Lamina lacks.

    """
    where = "the ONNX model" if isinstance(source, bytes) else f"'{source}'"
    proto = _parsed(source, where)
    b = get_backend(backend)
    try:
        with seeded(0):  # layers draw weights when they are made; the caller's seed goes on undisturbed
            return _Reader(proto, b, constants or {}).graph().eval()
    except LaminaError as error:
        raise DataError(f"{where}: {error}") from error


def read_metadata(path: str | Path) -> dict[str, str]:
    """Return the texts that a file keeps beside its model."""
    return {entry.key: entry.value for entry in _parsed(path, f"'{path}'").metadata_props}


def missing_operators(proto: Any) -> dict[str, str]:
    """Return {operator: name of the first node with it} for the operators of a model that Lamina lacks."""
    found: dict[str, str] = {}
    for node in proto.graph.node:
        name = node.op_type if node.domain in _DOMAINS else f"{node.domain}.{node.op_type}"
        if name not in OPERATORS:
            found.setdefault(name, node.name or node.output[0])
    return found


def _parsed(source: str | Path | bytes, where: str) -> Any:
    """Return the model of a file, checked by the onnx package, its functions written out, shapes inferred."""
    onnx = onnx_library()
    try:
        proto = onnx.load_from_string(source) if isinstance(source, bytes) else onnx.load(str(source))
    except OSError as error:
        raise DataError(f"Cannot read {where}: {error.strerror or error}.") from error
    except (
        Exception
    ) as error:  # google.protobuf's DecodeError, and what it says of data files that are missing
        raise DataError(f"{where} is no ONNX file, or it is cut short or damaged: {error}") from error
    try:
        onnx.checker.check_model(proto)
        if len(proto.functions):
            proto = onnx_library("inliner").inline_local_functions(proto)
        proto = onnx_library("shape_inference").infer_shapes(proto, data_prop=True)
    except (onnx.checker.ValidationError, onnx_library("shape_inference").InferenceError) as error:
        why = str(error).strip().splitlines()[0]
        raise DataError(f"{where} is no valid ONNX model, or it is cut short: {why}") from error
    if missing := missing_operators(proto):
        named = ", ".join(f"{operator} (node {name!r})" for operator, name in missing.items())
        raise DataError(f"{where} has operators that Lamina lacks: {named}")
    return proto


class _Reader:
    """Builds the modules of a model's nodes, in their order, and computes what follows from constants."""

    def __init__(self, proto: Any, backend: Backend, given: Mapping[str, Any]) -> None:
        graph = proto.graph
        self.backend = backend
        self.proto = graph
        self.version = max((s.version for s in proto.opset_import if s.domain in _DOMAINS), default=1)
        self.to_array = onnx_library("numpy_helper").to_array
        self.constants: dict[str, Host] = {t.name: self._array(t) for t in graph.initializer}
        if unknown := set(given) - {value.name for value in graph.input}:
            raise DataError(f"constants: the graph has no input {sorted(unknown)[0]!r}")
        self.constants |= {name: np.asarray(value) for name, value in given.items()}
        self.inputs = [self._input(v) for v in graph.input if v.name not in self.constants]
        self.shapes = {
            value.name: _extents(value.type.tensor_type)
            for value in (*graph.input, *graph.value_info, *graph.output)
            if value.type.tensor_type.HasField("shape")
        }
        self.shapes |= {name: value.shape for name, value in self.constants.items()}

    def graph(self) -> Graph:
        """Return the model."""
        steps: list[Step] = []
        for number, proto in enumerate(self.proto.node):
            node = self._node(proto)
            module = OPERATORS[node.operator].build(node)
            name = (node.name or f"{node.operator}_{number}").replace(".", "_")
            taken = node.inputs if isinstance(module, Function) else node.inputs[:1]
            step = Step(name, module, taken, node.outputs)
            if all(not one or one in self.constants for one in node.inputs):
                self._fold(step)
            else:
                steps.append(step)
        names = [step.name for step in steps]
        steps = [
            step if names.count(step.name) == 1 else Step(f"{step.name}_{i}", *_rest(step))
            for i, step in enumerate(steps)
        ]
        outputs = [value.name for value in self.proto.output]
        wanted = {name for step in steps for name in step.inputs} | set(outputs)
        kept = {name: value for name, value in self.constants.items() if name in wanted}
        return Graph(steps, self.inputs, outputs, kept, self.backend)

    def _fold(self, step: Step) -> None:
        """Compute a node whose inputs are all known, and know its outputs."""
        with inference():
            results = of_constants(step, self.constants, self.backend)
        for name, value in results.items():
            self.constants[name] = value
            self.shapes[name] = value.shape

    def _node(self, proto: Any) -> Node:
        return Node(
            operator=proto.op_type,
            name=proto.name,
            inputs=tuple(proto.input),
            outputs=tuple(proto.output),
            attributes={attribute.name: self._attribute(attribute) for attribute in proto.attribute},
            version=self.version,
            backend=self.backend,
            constants=self.constants,
            shapes=self.shapes,
        )

    def _attribute(self, attribute: Any) -> Any:
        value = onnx_library("helper").get_attribute_value(attribute)
        if isinstance(value, float):
            return float(str(np.float32(value)))  # 0.1, where a float32 of it was written
        if isinstance(value, bytes):
            return value.decode(errors="replace")
        if hasattr(value, "raw_data"):
            return self._array(value)
        return tuple(value) if isinstance(value, Sequence) else value

    def _array(self, tensor: Any) -> Host:
        value: Host = self.to_array(tensor)
        _dtype(tensor.name or "a tensor", value.dtype.name)
        return value.astype(np.float32) if value.dtype.name in ("float16", "bfloat16") else value

    def _input(self, value: Any) -> Input:
        kind = value.type.tensor_type
        if not value.type.HasField("tensor_type"):
            raise DataError(f"input {value.name!r}: expected a tensor, the file has a sequence or a map")
        names = onnx_library("helper").tensor_dtype_to_np_dtype(kind.elem_type).name
        extents = _extents(kind) if kind.HasField("shape") else None
        labels = tuple(d.dim_param or None for d in kind.shape.dim)
        shape = (
            None
            if extents is None
            else tuple(label if n is None else n for n, label in zip(extents, labels, strict=True))
        )
        return Input(value.name, _dtype(f"input {value.name!r}", names), shape)


def _dtype(what: str, name: str) -> str:
    """Return the kind of dtype that a file's is taken as: "float", "int64" or "bool"."""
    if name in _FLOATS:
        return "float"
    if name in _WHOLE:
        return "int64"
    if name == "bool":
        return "bool"
    raise DataError(f"{what} has the type {name}, which no backend has")


def _extents(kind: Any) -> tuple[int | None, ...]:
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim)


def _rest(step: Step) -> tuple[Any, ...]:
    return step.module, step.inputs, step.outputs
