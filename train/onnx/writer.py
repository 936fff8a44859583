"""`Writer`: collects what a file will hold, and the table of how each kind of layer is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...backends import Backend, DataError
from ...backends.protocol import Shape
from ...layers import Module
from .library import onnx_library
from .node import Host

EXPORTERS: dict[type[Module], Callable[[Writer, Any], None]] = {}
"""By class; a subclass is written as its nearest base in the table is. exporters.py fills it."""


def exporter(*kinds: type[Module]) -> Callable[[Any], Any]:
    """Register a function (writer, module) that adds the module's nodes, for some classes."""

    def register(function: Callable[[Writer, Any], None]) -> Callable[[Writer, Any], None]:
        EXPORTERS.update(dict.fromkeys(kinds, function))
        return function

    return register


class Writer:
    """Collects the nodes and the weights of a file. A module's exporter calls `add`.

    `value` is the name of what the model has computed so far, `shape` what shape it has for one sample.
    """

    def __init__(self, backend: Backend, value: str, shape: Shape) -> None:
        self.backend = backend
        self.value, self.shape = value, shape
        self.path: tuple[str, ...] = ()
        self.nodes: list[Any] = []
        self.weights: dict[str, Host] = {}

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node, of `inputs` or else of `value`; its result, whose name is returned, is `value` then."""
        name = "/".join((*self.path, operator))
        number = sum(node.op_type == operator and node.name.startswith(name) for node in self.nodes)
        name = f"{name}_{number}" if number else name
        given = {key: value for key, value in attributes.items() if value is not None}
        made = onnx_library("helper").make_node(
            operator, list(inputs or (self.value,)), [f"{name}_output"], name=name, **given
        )
        self.nodes.append(made)
        self.value = made.output[0]
        return self.value

    def constant(self, name: str, value: Any, dtype: str = "") -> str:
        """Keep a constant in the file, under a name of its own, and return that."""
        array = np.asarray(value)
        array = array.astype(dtype or ("float32" if array.dtype.kind == "f" else "int64"))
        path = ".".join((*self.path, name))
        while path in self.weights:
            path += "_"
        self.weights[path] = array
        return path

    def state(self, module: Module, name: str) -> str | None:
        """Keep a parameter or buffer of a module, and return its name; None if the module has none."""
        item = getattr(module, name)
        return None if item is None else self.constant(name, module.backend.to_host(item.data))

    def module(self, name: str, module: Module) -> None:
        """Add what a sub-module is."""
        outer, shape, self.path = self.path, self.shape, (*self.path, name)
        try:
            self.export(module)
            self.shape = module.output_shape(shape)
        finally:
            self.path = outer

    def export(self, module: Module) -> None:
        """Add a module's nodes. Raises DataError, which names it, where it has no ONNX form."""
        found = next((EXPORTERS[kind] for kind in type(module).__mro__ if kind in EXPORTERS), None)
        if found is None:
            where = f" at {'.'.join(self.path)}" if self.path else ""
            raise DataError(
                f"{type(module).__name__}{where} has no ONNX form; give it one with "
                "lamina.train.onnx.exporter"
            )
        found(self, module)
