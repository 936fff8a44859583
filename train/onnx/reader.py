"""`load_onnx`: reads a file, checks it, and builds a model from its nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...backends import Backend, DataError, LaminaError, OptionError, get_backend
from ...backends.host import Host, numbers
from ...backends.options import listed, shown
from ...layers import inference
from ...layers.random import seeded
from ..files import as_path
from . import operators  # noqa: F401  # fills the table
from .budget import Budget
from .graph import Function, Graph, Input, Step, evaluate
from .inference import infer_shapes
from .library import onnx_library
from .node import Extents, Node
from .registry import OPERATORS

_NODES = 100_000
_LONGEST = 300
"""Characters of an error of the onnx package, which may repeat any text of the file."""
_DOMAINS = ("", "ai.onnx")
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_FLOATS = ("float16", "float32", "float64", "bfloat16")


def load_onnx(
    source: str | Path | bytes,
    *,
    backend: str | Backend | None = None,
    constants: Mapping[str, Any] | None = None,
) -> Graph:
    """Read an ONNX file as a model in evaluation mode.

    Floats of any width become the backend's default dtype, integers int64.

    Parameters
    ----------
    source
        A path, or a file's bytes.
    backend
        Where the model computes; the current backend if None.
    constants
        {input: value}: inputs of the file's graph to fix, as if the file stored these values.

    Raises
    ------
    DataError
        If the file is absent, truncated or damaged, or uses an operator or type that Lamina lacks.

    """
    if not isinstance(source, bytes):
        source = as_path("load_onnx", source)
    if constants is not None and not isinstance(constants, Mapping):
        raise OptionError(f"load_onnx: expected constants to be a dict, got {shown(constants)}")
    label = "the ONNX model" if isinstance(source, bytes) else f"'{source}'"
    proto = _parse(source, label)
    b = get_backend(backend)
    try:
        with (
            seeded(0),
            np.errstate(all="ignore"),
        ):  # layers draw initial weights when made; the caller's seed must not advance
            return _Reader(proto, b, constants or {}).graph().eval()
    except LaminaError as error:
        raise DataError(f"{label}: {error}") from error
    except MemoryError:
        raise
    except Exception as error:  # a value in the file that nothing expects
        raise DataError(f"{label} cannot be read: {listed([str(error) or type(error).__name__])}") from error


def read_metadata(path: str | Path) -> dict[str, str]:
    """Return the metadata texts of a file."""
    return {entry.key: entry.value for entry in _parse(path, f"'{path}'").metadata_props}


def missing_operators(proto: Any) -> dict[str, str]:
    """Return {operator: name of the first node that uses it} for operators that Lamina lacks."""
    missing: dict[str, str] = {}
    for node in proto.graph.node:
        name = node.op_type if node.domain in _DOMAINS else f"{node.domain}.{node.op_type}"
        if name not in OPERATORS:
            missing.setdefault(name, node.name or ", ".join(node.output))
    return missing


def _parse(source: str | Path | bytes, label: str) -> Any:
    """Return a file's model, checked by the onnx package, with functions inlined and shapes inferred."""
    onnx = onnx_library()
    try:
        proto = onnx.load_from_string(source) if isinstance(source, bytes) else onnx.load(str(source))
    except OSError as error:
        raise DataError(f"Cannot read {label}: {error.strerror or error}.") from error
    except Exception as error:  # protobuf's DecodeError, and onnx's errors about missing data files
        raise DataError(
            f"{label} is no ONNX file, or it is cut short or damaged: expected an ONNX model, got other bytes"
        ) from error
    if not proto.ir_version:
        raise DataError(
            f"{label} is no ONNX file, or it is cut short: expected an ONNX model, got one without a version"
        )
    try:
        onnx.checker.check_model(proto)
        if len(proto.functions):
            _check_functions(proto)
            proto = onnx_library("inliner").inline_local_functions(proto)
        if missing := missing_operators(proto):
            names = listed(f"{operator} (node {shown(name)})" for operator, name in missing.items())
            raise DataError(f"expected operators of Lamina, got some that it lacks: {names}")
        infer_shapes(proto)
    except DataError as error:
        raise DataError(f"{label}: {error}") from error
    except MemoryError:
        raise
    except Exception as error:  # onnx's own errors, and Python's: names that are no UTF-8, say
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:_LONGEST]
        raise DataError(
            f"{label} is no valid ONNX model, or it is cut short: expected one that onnx accepts, got this: "
            f"{reason}"
        ) from error
    return proto


def _check_functions(proto: Any) -> None:
    """Raise DataError if functions that call functions become too many nodes when they are inlined."""
    bodies = {(function.domain, function.name): function.node for function in proto.functions}
    counts: dict[tuple[str, str], int] = {}

    def count(nodes: Any, callers: tuple[tuple[str, str], ...]) -> int:
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            if key in callers:
                raise DataError(f"function {shown(node.op_type)} calls itself")
            if key in bodies and key not in counts:
                counts[key] = count(bodies[key], (*callers, key))
            total += counts.get(key, 1)
        return total

    found = count(proto.graph.node, ())
    if found > _NODES:
        raise DataError(f"expected at most {_NODES:,} nodes after its functions are inlined, got {found:,}")


class _Reader:
    """Builds a module for each node, and evaluates nodes that depend on constants alone."""

    def __init__(self, proto: Any, backend: Backend, constants: Mapping[str, Any]) -> None:
        graph = proto.graph
        self.backend = backend
        self.proto = graph
        self.version = max((s.version for s in proto.opset_import if s.domain in _DOMAINS), default=1)
        self.to_array = onnx_library("numpy_helper").to_array
        self.constants: dict[str, Host] = {t.name: self._array(t) for t in graph.initializer}
        self.stored = sum(value.nbytes for value in self.constants.values())
        self.budget = Budget(backend, self.stored, folds=True)
        if unknown := set(constants) - {value.name for value in graph.input}:
            raise DataError(
                f"constants: expected inputs of the graph, got {shown(sorted(unknown, key=str)[0])}"
            )
        self.constants |= {name: numbers(f"constants: {name!r}", value) for name, value in constants.items()}
        self.inputs = [self._input(v) for v in graph.input if v.name not in self.constants]
        self.shapes: dict[str, Extents] = {
            value.name: _extents(value.type.tensor_type)
            for value in (*graph.input, *graph.value_info, *graph.output)
            if value.type.tensor_type.HasField("shape")
        }
        self.shapes |= {name: value.shape for name, value in self.constants.items()}

    def graph(self) -> Graph:
        """Return the model."""
        steps: list[Step] = []
        for i, proto in enumerate(self.proto.node):
            node = self._node(proto)
            try:
                module = OPERATORS[node.operator].build(node)
            except (LaminaError, MemoryError):
                raise
            except Exception as error:  # an attribute or an input that nothing expects
                raise node.error(f"it cannot be built: {error or type(error).__name__}") from error
            name = (node.name or f"{node.operator}_{i}").replace(".", "_")
            inputs = node.inputs if isinstance(module, Function) else node.inputs[:1]
            step = Step(name, module, inputs, node.outputs)
            if all(not name or name in self.constants for name in node.inputs):
                self._fold(step)
            else:
                steps.append(step)
        counts = Counter(step.name for step in steps)
        steps = [
            step if counts[step.name] == 1 else replace(step, name=f"{step.name}_{i}")
            for i, step in enumerate(steps)
        ]
        outputs = [value.name for value in self.proto.output]
        used = {name for step in steps for name in step.inputs} | set(outputs)
        constants = {name: value for name, value in self.constants.items() if name in used}
        return Graph(steps, self.inputs, outputs, constants, self.backend, self.stored)

    def _fold(self, step: Step) -> None:
        """Evaluate a step on constants; its outputs are constants too."""
        with inference():
            results = evaluate(step, self.constants, self.backend, self.budget)
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
            return float(str(np.float32(value)))  # 0.1, not the nearest float32's 0.10000000149
        if isinstance(value, bytes):
            return value.decode(errors="replace")
        if hasattr(value, "raw_data"):
            return self._array(value)
        return tuple(value) if isinstance(value, Sequence) else value

    def _array(self, tensor: Any) -> Host:
        value: Host = self.to_array(tensor)
        _dtype(listed([tensor.name]) or "a tensor", value.dtype.name)
        return value.astype(np.float32) if value.dtype.name in ("float16", "bfloat16") else value

    def _input(self, value: Any) -> Input:
        kind = value.type.tensor_type
        if not value.type.HasField("tensor_type"):
            raise DataError(f"input {shown(value.name)}: expected a tensor, got a sequence or a map")
        try:
            dtype = onnx_library("helper").tensor_dtype_to_np_dtype(kind.elem_type).name
        except KeyError:
            wanted = f"input {shown(value.name)}: expected a type of ONNX"
            raise DataError(f"{wanted}, got {kind.elem_type}") from None
        shape = None
        if kind.HasField("shape"):
            labels = (d.dim_param or None for d in kind.shape.dim)
            shape = tuple(label if n is None else n for n, label in zip(_extents(kind), labels, strict=True))
        return Input(value.name, _dtype(f"input {shown(value.name)}", dtype), shape)


def _dtype(owner: str, name: str) -> str:
    """Return "float" (the default dtype), "int64" or "bool" for a file's type, named as numpy does."""
    if name in _FLOATS:
        return "float"
    if name in _INTEGERS:
        return "int64"
    if name == "bool":
        return "bool"
    raise DataError(f"{owner}: expected numbers or booleans, got the type {name}, which no backend has")


def _extents(kind: Any) -> Extents:
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim)
