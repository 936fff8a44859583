"""`Writer`: collects an ONNX file's nodes and weights; `exporter` registers how a layer is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...backends import Backend, DataError
from ...backends.host import Host
from ...backends.options import shown
from ...backends.protocol import Shape
from ...layers import Module
from .library import onnx_library

EXPORTERS: dict[type[Module], Callable[[Writer, Any], None]] = {}
"""By class; a subclass uses its nearest base's exporter. exporters.py fills the table."""


def exporter(*kinds: type[Module]) -> Callable[[Any], Any]:
    """Register, for some classes, a function (writer, module) that adds the module's nodes."""

    def register(function: Callable[[Writer, Any], None]) -> Callable[[Writer, Any], None]:
        EXPORTERS.update(dict.fromkeys(kinds, function))
        return function

    return register


class Writer:
    """Collects the nodes and weights of a file; exporters call `add`.

    `value` is the name of the latest result, the next module's input; `shape` is its shape for one sample.
    """

    def __init__(self, backend: Backend, value: str, shape: Shape) -> None:
        self.backend = backend
        self.value, self.shape = value, shape
        self.path: tuple[str, ...] = ()
        self.nodes: list[Any] = []
        self.weights: dict[str, Host] = {}

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return its result's name, the new `value`. It takes `value` if `inputs` is empty."""
        name = "/".join((*self.path, operator))
        number = sum(node.op_type == operator and node.name.startswith(name) for node in self.nodes)
        name = f"{name}_{number}" if number else name
        attributes = {key: value for key, value in attributes.items() if value is not None}
        node = onnx_library("helper").make_node(
            operator, list(inputs or (self.value,)), [f"{name}_output"], name=name, **attributes
        )
        self.nodes.append(node)
        self.value = node.output[0]
        return self.value

    def constant(self, name: str, value: Any, dtype: str = "") -> str:
        """Store a constant, and return the unique name that it gets."""
        array = np.asarray(value)
        array = array.astype(dtype or ("float32" if array.dtype.kind == "f" else "int64"))
        path = ".".join((*self.path, name))
        while path in self.weights:
            path += "_"
        self.weights[path] = array
        return path

    def state(self, module: Module, name: str) -> str | None:
        """Store a module's parameter or buffer and return its name; None if the module has none."""
        item = getattr(module, name)
        return None if item is None else self.constant(name, module.backend.to_host(item.data))

    def module(self, name: str, module: Module) -> None:
        """Add a sub-module's nodes."""
        outer, shape, self.path = self.path, self.shape, (*self.path, name)
        try:
            self.export(module)
            self.shape = module.output_shape(shape)
        finally:
            self.path = outer

    def export(self, module: Module) -> None:
        """Add a module's nodes. Raises DataError, naming the module, if it has no ONNX form."""
        export = next((EXPORTERS[kind] for kind in type(module).__mro__ if kind in EXPORTERS), None)
        if export is None:
            where = f" at {'.'.join(self.path)}" if self.path else ""
            raise DataError(
                f"{type(module).__name__}{where} has no ONNX form: expected a layer with an exporter, got "
                f"{shown(module)}; give it one with lamina.train.onnx.exporter"
            )
        export(self, module)
