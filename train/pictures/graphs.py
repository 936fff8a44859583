"""Graphs of a network: its layers and the shapes between them, or the operators of a training step."""

from __future__ import annotations

import copy
import textwrap
from dataclasses import dataclass
from typing import Any

from ...backends import OptionError, Tensor
from ...backends.decorators.autodiff import AutodiffBackend
from ...backends.decorators.operator_graph import draw_operators
from ...backends.decorators.variable import Variable
from ...backends.drawing import COLOURS, Graph, Group
from ...backends.host import is_floating
from ...backends.protocol import Shape
from ...layers import Module, Residual, Sequential, named_scopes, output_shapes
from ...layers.losses import Loss
from ..onnx import Graph as OnnxGraph

LARGE = 60
"""A graph of more boxes is drawn with a box for each container."""
# By the file or folder of `layers/` that defines a layer or its base class.
_COLOURS = COLOURS | {
    "linear": "#cde4f5",
    "embedding": "#cde4f5",
    "convolution": "#d3eeee",
    "activations": "#fdf1cf",
    "normalization": "#e9d8f3",
    "pooling": "#fde3c4",
    "dropout": "#f3dfe6",
    "shaping": "#eef3ea",
    "losses": COLOURS["result"],
}
_HOME = Module.__module__.rpartition(".")[0]
_WIDTH, _LISTED = 46, 6


def draw_layers(model: Module, input_shape: Shape | None = None, title: str = "") -> Graph:
    """Return the graph of a model's layers, with the shapes of the values between them.

    `Residual` is drawn as two paths that meet in a "+". A custom container is one box that lists its layers.

    Parameters
    ----------
    model
        A layer or a model. Nothing in it is changed.
    input_shape
        One sample's shape; needed if the first layer does not know it.
    title
        Stands above the picture.

    Raises
    ------
    ShapeError
        If the model cannot take such a sample.

    """
    shape = input_shape if input_shape is not None else model.input_shape
    sketch = _Sketch(title, output_shapes(model, shape))
    first = (1, *(shape or ()))
    end = sketch.draw(model, "", _End(sketch.graph.add(f"input\n{_text(first)}", "input"), first), "")
    sketch.connect(end, sketch.graph.add(f"output\n{_text(end.shape)}", "result"))
    return sketch.graph.folded(LARGE)


def draw_step(model: Module, loss: Loss, x: Tensor, y: Tensor, title: str = "") -> Graph:
    """Return the graph of the operators from a batch to its loss, or of the layers if they are many.

    Parameters
    ----------
    model, loss
        On an `autodiff` stack. A copy of the model runs, in training.
    x, y
        Inputs (N, ...) and targets, on the same stack.
    title
        Stands above the picture.

    Raises
    ------
    OptionError
        If the model or the batch is on another backend.

    """
    b = model.backend
    if not isinstance(b, AutodiffBackend):
        raise OptionError(f"draw_step: expected a model on a stack that begins with autodiff, got {b!r}")
    if not isinstance(x, Variable) or not isinstance(y, Variable):
        got = f"{type(x).__name__} and {type(y).__name__}"
        raise OptionError(f"draw_step: expected tensors of {b!r} (its from_host makes them), got {got}")
    twin, start = copy.deepcopy(model).train(), x.detach()
    # Ops on the input alone, such as a convolution's unfold, are then recorded too.
    start.requires_grad = is_floating(start.dtype)
    with named_scopes(twin):
        prediction = twin(start)  # type: ignore[arg-type]
        with b.scope("loss"):
            result = loss(prediction, y)
    assert isinstance(result, Variable)
    modules: dict[str, Module | Loss] = {
        path or type(one).__name__: one for path, one in twin.named_modules()
    }
    modules["loss"] = loss
    names: dict[str, Any] = {name: parameter.data for name, parameter in twin.named_parameters()}
    graph = draw_operators(
        result,
        title,
        names={**names, "input": start, "target": y, "loss": result},
        layers={path: _name(one) for path, one in modules.items()},
        kinds={path: _kind(one) for path, one in modules.items()},
        constants={"loss": "target"},
    )
    graph.colours = _COLOURS
    return graph


@dataclass(frozen=True)
class _End:
    """The node that a value comes from, and the value's shape (1, ...), or () if it is not known."""

    node: int
    shape: Shape


class _Sketch:
    """A graph of layers in the making."""

    def __init__(self, title: str, shapes: dict[str, Shape]) -> None:
        self.graph, self.shapes = Graph(title, colours=_COLOURS), shapes

    def draw(self, module: Module, path: str, end: _End, group: str) -> _End:
        """Draw a module with input `end` in a group, and return its output."""
        if type(module).forward is Sequential.forward:
            group = self._group(module, path, group)
            for name, child in module.named_children():
                end = self.draw(child, _join(path, name), end, group)
            return end
        if isinstance(module, Residual) and type(module).forward is Residual.forward:
            return self._residual(module, path, end, self._group(module, path, group))
        if isinstance(module, OnnxGraph) and type(module).forward is OnnxGraph.forward:
            return self._steps(module, path, end, self._group(module, path, group))
        node = self.graph.add(_label(module), _kind(module), group)
        self.connect(end, node)
        return _End(node, self.shapes.get(path, ()))

    def connect(self, end: _End, node: int) -> None:
        """Draw an arrow, labelled with the value's shape unless it comes from the input's box."""
        known = end.shape and self.graph.nodes[end.node].kind != "input"
        self.graph.connect(end.node, node, _text(end.shape) if known else "")

    def _group(self, module: Module, path: str, outer: str) -> str:
        """Return the group of a container's layers: none for the model, the Residual's for its body."""
        if not path or path == f"{outer}.body":
            return outer
        self.graph.groups[path] = Group(f"{path}: {type(module).__name__}", _label(module), _kind(module))
        return path

    def _residual(self, module: Residual, path: str, end: _End, group: str) -> _End:
        through = self.draw(module.body, _join(path, "body"), end, group)
        around = end
        if module.shortcut is not None:
            around = self.draw(module.shortcut, _join(path, "shortcut"), end, group)
        plus = self.graph.add("+", "binary", group)
        self.connect(through, plus)
        self.connect(around, plus)
        return _End(plus, self.shapes.get(path, ()))

    def _steps(self, onnx: OnnxGraph, path: str, end: _End, group: str) -> _End:
        ends = {onnx.inputs[0].name: end}
        for step in onnx.steps:
            node = self.graph.add(_label(step.module), _kind(step.module), group)
            for name in step.inputs:
                if name in ends:  # constants are not drawn
                    self.connect(ends[name], node)
            shape = self.shapes.get(_join(path, step.name), ())
            ends |= {name: _End(node, shape if i == 0 else ()) for i, name in enumerate(step.outputs)}
        return ends.get(onnx.outputs[0], end)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _text(shape: Shape) -> str:
    return f"({', '.join(['N', *map(str, shape[1:])])})"


def _name(module: Module | Loss) -> str:
    text = str(module)
    return type(module).__name__ if "\n" in text else text


def _label(module: Module) -> str:
    """Return the text of a layer's box: its name, its layers, the number of its parameters."""
    lines = [_name(module)]
    inside = [f"{name}: {_name(child)}" for name, child in module.named_children()]
    lines += [textwrap.shorten(line, _WIDTH, placeholder=" ...") for line in inside[:_LISTED]]
    lines += [f"and {len(inside) - _LISTED} more"] if len(inside) > _LISTED else []
    count = sum(parameter.size for parameter in module.parameters())
    return "\n".join([*lines, *([f"{count:,} parameters"] if count else [])])


def _kind(module: Module | Loss) -> str:
    """Return the file or folder of `layers/` that defines a layer or loss, or its base class."""
    homes = (cls.__module__ for cls in type(module).__mro__)
    home = next((home for home in homes if home.startswith(f"{_HOME}.")), "")
    return home.removeprefix(f"{_HOME}.").partition(".")[0]
