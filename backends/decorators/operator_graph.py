"""The picture of a tape: operators that led to a Variable, shapes on the arrows, layers as frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from .drawing import Dot, fitting_depth
from .tape import GradOperator, operators
from .variable import Variable

LARGE = 40
"""More operators than this are drawn a box for each layer."""
_HEAVY = ("contract", "window")


def draw_operators(
    root: Variable,
    title: str = "",
    *,
    names: Mapping[str, Variable] | None = None,
    layers: Mapping[str, str] | None = None,
    kinds: Mapping[str, str] | None = None,
    constants: Mapping[str, str] | None = None,
) -> Dot:
    """Return the graph of operators that led to a Variable; of more than `LARGE`, a layer is one box.

    Parameters
    ----------
    root
        The result.
    title
        Stands above the picture.
    names
        What Variables are called.
    layers
        What layers are called, by path.
    kinds
        What colours the box of a layer, by path: a key of the picture's `colours`. Of one that is not in it,
        that is what its ops are.
    constants
        What the unrecorded arguments in a layer are together called, by path: a loss's target, for one.

    Raises
    ------
    StateError
        If the operators were let go of by `backward`.

    """
    return _Sketch(root, title, names or {}, layers or {}, kinds or {}, constants or {}).dot


class _Sketch:
    """A graph while it is drawn: a box for each operator, or for each layer."""

    def __init__(
        self,
        root: Variable,
        title: str,
        names: Mapping[str, Variable],
        layers: Mapping[str, str],
        kinds: Mapping[str, str],
        constants: Mapping[str, str],
    ) -> None:
        self.names = {id(variable): name for name, variable in names.items()}
        self.layers, self.kinds, self.constants = layers, kinds, constants
        self.found = operators(root, "draw_graph")[::-1]
        self.large = len(self.found) > LARGE
        depth = fitting_depth([node.path for node in self.found], LARGE) if self.large else None
        self.paths = {id(node): ".".join(node.path.split(".")[:depth]) for node in self.found}
        self.sizes = Counter(self.paths.values())
        self.containers = {
            outer for path in self.sizes for outer in self.sizes if outer and path.startswith(f"{outer}.")
        }
        self.dot = Dot(title)
        self.boxes: dict[Any, str] = {}
        for node in self.found:
            self._add(node)
        drawn: dict[tuple[str, str, str], None] = {}
        for node in self.found:
            for variable in node.variables():
                source, text = self._source(variable, node)
                if source and source != self.boxes[id(node)]:
                    drawn[source, self.boxes[id(node)], text] = None
        last = self.dot.add(f"{self.names.get(id(root), 'result')}\n{_shape(root)}", "result")
        if root.grad_op is not None:
            drawn[self.boxes[id(root.grad_op)], last, _shape(root)] = None
        self.dot.arrows = list(drawn)
        self.dot.labels = {path: self._called(path) for path in self.dot.groups}

    def _called(self, path: str) -> str:
        return f"{path}: {self.layers[path]}" if path in self.layers else path

    def _frame(self, path: str) -> str:
        """Return the frame for the operators of a layer: its own, unless it is only one."""
        alone = self.sizes[path] == 1 and path not in self.containers
        return path.rpartition(".")[0] if alone else path

    def _add(self, node: GradOperator) -> None:
        path = self.paths[id(node)]
        whole = self.large and path != "" and path not in self.containers
        key = path if whole else id(node)
        if key not in self.boxes:
            count = self.sizes[path]
            if whole:
                size = f"{count} operators" if count > 1 else node.op.name
                label = f"{self.layers[path]}\n{path}: {size}" if path in self.layers else f"{path}\n{size}"
                self.boxes[key] = self.dot.add(label, self._kind(path), path.rpartition(".")[0])
            else:
                frame = self._frame(path)
                label = node.op.name if frame == path else f"{node.op.name}\n{self._called(path)}"
                self.boxes[key] = self.dot.add(label, node.op.kind, frame)
        self.boxes[id(node)] = self.boxes[key]

    def _kind(self, path: str) -> str:
        """Return the kind of a layer's box; if none is given, that of its product, or of most of its ops."""
        if path in self.kinds:
            return self.kinds[path]
        kinds = Counter(node.op.kind for node in self.found if self.paths[id(node)] == path)
        return max(kinds, key=lambda kind: (kind in _HEAVY, kinds[kind]))

    def _source(self, variable: Variable, node: GradOperator) -> tuple[str, str]:
        """Return the box that an argument comes from and what its arrow says; "" if it is not drawn."""
        if variable.grad_op is not None:
            return self.boxes[id(variable.grad_op)], _shape(variable)
        path, name = self.paths[id(node)], self.names.get(id(variable), "")
        parameter = variable.cell is not None and variable.requires_grad
        frame = self._frame(path) if not self.large else ""
        if not name and not variable.requires_grad and path in self.constants:
            key: Any = f"constants {path}"
            if key not in self.boxes:
                self.boxes[key] = self.dot.add(self.constants[path], "input", frame)
            return self.boxes[key], _shape(variable)
        inner = not name and any(v.grad_op is not None for v in node.variables())
        if self.large and (parameter or inner):
            return "", ""  # a layer's own
        if id(variable) not in self.boxes:
            kind = "parameter" if parameter else "input"
            nameless = "variable" if variable.requires_grad else "constant"
            what = name or ("parameter" if parameter else nameless)
            own = frame if parameter or not (name or variable.requires_grad) else ""
            self.boxes[id(variable)] = self.dot.add(f"{what}\n{_shape(variable)}", kind, own)
        return self.boxes[id(variable)], ""


def _shape(variable: Variable) -> str:
    return f"({', '.join(map(str, variable.shape))})"
