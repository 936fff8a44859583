"""The graph of the operators that led to a Variable, with shapes on the arrows and layers as groups."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..drawing import Graph, Group
from .tape import GradOperator, operators
from .variable import Variable

LARGE = 40
"""A graph of more operators is drawn with a box for each layer."""
_HEAVY = ("contract", "window")


def draw_operators(
    root: Variable,
    title: str = "",
    *,
    names: Mapping[str, Variable] | None = None,
    layers: Mapping[str, str] | None = None,
    kinds: Mapping[str, str] | None = None,
    constants: Mapping[str, str] | None = None,
) -> Graph:
    """Return the graph of the operators that led to a Variable, or of their layers if they are many.

    Parameters
    ----------
    root
        The result.
    title
        Stands above the picture.
    names
        Variables by name.
    layers
        The layers' names, by path.
    kinds
        The kinds of the layers' boxes, by path: keys of the graph's `colours`. The default is the kind of a
        layer's main operator.
    constants
        One name for all constants of a layer, by path: "target" for a loss.

    Raises
    ------
    StateError
        If `backward` freed the operators.

    """
    return _Sketch(root, title, names or {}, layers or {}, kinds or {}, constants or {}).result()


class _Sketch:
    """A graph in the making."""

    def __init__(
        self,
        root: Variable,
        title: str,
        names: Mapping[str, Variable],
        layers: Mapping[str, str],
        kinds: Mapping[str, str],
        constants: Mapping[str, str],
    ) -> None:
        self.root, self.layers, self.kinds, self.constants = root, layers, kinds, constants
        self.names = {id(variable): name for name, variable in names.items()}
        self.operators = operators(root, "draw_graph")[::-1]
        self.large = len(self.operators) > LARGE
        self.sizes = Counter(node.path for node in self.operators)
        self.graph = Graph(title)
        self.boxes: dict[Any, int] = {}

    def result(self) -> Graph:
        """Add the operators, then the arrows to them and their other arguments, then the result."""
        for node in self.operators:
            self._add(node)
        for node in self.operators:
            for variable in node.variables():
                self._connect(variable, node)
        shape = _shape(self.root)
        last = self.graph.add(f"{self.names.get(id(self.root), 'result')}\n{shape}", "result")
        if self.root.grad_op is not None:
            self.graph.connect(self.boxes[id(self.root.grad_op)], last, shape)
        graph = self.graph.folded(LARGE) if self.large else self.graph
        filled = {node.group for node in graph.nodes}
        graph.groups = {path: group for path, group in graph.groups.items() if path in filled}
        return graph

    def _add(self, node: GradOperator) -> None:
        path = self._group(node.path)
        for outer in itertools.accumulate(path.split(".") if path else [], "{}.{}".format):
            if outer not in self.graph.groups:
                self.graph.groups[outer] = self._layer(outer)
        label = node.op.name if path == node.path else f"{node.op.name}\n{self._caption(node.path)}"
        self.boxes[id(node)] = self.graph.add(label, node.op.kind, path)

    def _caption(self, path: str) -> str:
        return f"{path}: {self.layers[path]}" if path in self.layers else path

    def _group(self, path: str) -> str:
        """Return the group of a layer's operators; a small graph has none around a single operator."""
        alone = self.sizes[path] == 1 and not any(other.startswith(f"{path}.") for other in self.sizes)
        return path.rpartition(".")[0] if alone and not self.large else path

    def _layer(self, path: str) -> Group:
        """Return a layer's group: its kind is the given one, or that of its product or of most operators."""
        inside = [node.op for node in self.operators if f"{node.path}.".startswith(f"{path}.")]
        what = inside[0].name if len(inside) == 1 else f"{len(inside)} operators"
        label = f"{self.layers[path]}\n{path}: {what}" if path in self.layers else f"{path}\n{what}"
        counts = Counter(op.kind for op in inside)
        main = max(counts, key=lambda kind: (kind in _HEAVY, counts[kind]))
        return Group(self._caption(path), label, self.kinds.get(path, main))

    def _connect(self, variable: Variable, node: GradOperator) -> None:
        """Draw the arrow from an argument to an operator."""
        target = self.boxes[id(node)]
        if variable.grad_op is not None:
            self.graph.connect(self.boxes[id(variable.grad_op)], target, _shape(variable))
            return
        name = self.names.get(id(variable), "")
        parameter = variable.cell is not None and variable.requires_grad
        group = "" if self.large else self._group(node.path)
        constants = "" if name or variable.requires_grad else self.constants.get(node.path, "")
        if constants:
            key: Any = f"constants {node.path}"
            if key not in self.boxes:
                self.boxes[key] = self.graph.add(constants, "input", group)
            self.graph.connect(self.boxes[key], target, _shape(variable))
            return
        beside = not name and any(v.grad_op is not None for v in node.variables())
        if self.large and (parameter or beside):
            return  # inside a layer's box
        if id(variable) not in self.boxes:
            kind = "parameter" if parameter else "input"
            nameless = "variable" if variable.requires_grad else "constant"
            label = name or ("parameter" if parameter else nameless)
            inside = parameter or not (name or variable.requires_grad)
            self.boxes[id(variable)] = self.graph.add(
                f"{label}\n{_shape(variable)}", kind, group if inside else ""
            )
        self.graph.connect(self.boxes[id(variable)], target)


def _shape(variable: Variable) -> str:
    return f"({', '.join(map(str, variable.shape))})"
