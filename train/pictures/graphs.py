"""Pictures of a network: its layers and what flows between them, or the operators of a training step."""

from __future__ import annotations

import copy
import textwrap
from dataclasses import dataclass
from typing import Any

from ...backends import OptionError, Tensor
from ...backends.decorators.autodiff import AutodiffBackend
from ...backends.decorators.drawing import COLOURS, Dot, fitting_depth
from ...backends.decorators.operator_graph import draw_operators
from ...backends.decorators.variable import Variable
from ...backends.host import is_floating
from ...backends.protocol import Shape
from ...layers import Module, Residual, Sequential, named_scopes, output_shapes
from ...layers.losses import Loss
from ..onnx import Graph

LARGE = 60
"""Of more layers than this, those inside a container are one box."""
# By the file or folder of `layers/` that a layer, or what it inherits from, lives in.
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


def draw_layers(model: Module, input_shape: Shape | None = None, title: str = "") -> Dot:
    """Return the graph of a model's layers, a box each, with the shapes of what flows between them.

    `Residual` is two paths that meet in a "+"; a container of one's own is one box that lists its layers.

    Parameters
    ----------
    model
        A layer or a model. Nothing in it is changed.
    input_shape
        One sample's shape; needed where the first layer does not know it.
    title
        Stands above the picture.

    Raises
    ------
    ShapeError
        If the model cannot take such a sample.

    """
    shape = input_shape if input_shape is not None else model.input_shape
    shapes = output_shapes(model, shape)
    leaves = [path for path, one in model.named_modules() if next(one.named_children(), None) is None]
    sketch = _Sketch(Dot(title, colours=_COLOURS), shapes, fitting_depth(leaves, LARGE))
    first = (1, *(shape or ()))
    end = sketch.draw(model, "", _End(sketch.dot.add(f"input\n{_text(first)}", "input"), first), "")
    sketch.connect(end, sketch.dot.add(f"output\n{_text(end.shape)}", "result"))
    return sketch.dot


def draw_step(model: Module, loss: Loss, x: Tensor, y: Tensor, title: str = "") -> Dot:
    """Return the graph of the operators that lead from a batch to its loss; a large one layer by layer.

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
        raise OptionError(f"a step is drawn on a stack that begins with autodiff, the model is on {b!r}")
    if not isinstance(x, Variable) or not isinstance(y, Variable):
        got = f"{type(x).__name__} and {type(y).__name__}"
        raise OptionError(f"a step is drawn of tensors of {b!r} (from_host makes some), got {got}")
    twin, start = copy.deepcopy(model).train(), x.detach()
    # So that what is made of the input, a convolution's columns for one, is in the picture.
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
    dot = draw_operators(
        result,
        title,
        names={**names, "input": start, "target": y, "loss": result},
        layers={path: _name(one) for path, one in modules.items()},
        kinds={path: _kind(one) for path, one in modules.items()},
        constants={"loss": "target"},
    )
    dot.colours = _COLOURS
    return dot


@dataclass(frozen=True)
class _End:
    """Where a value comes from: a box, and the value's shape (1, ...), () if it is not known."""

    box: str
    shape: Shape


class _Sketch:
    """A graph of layers while it is drawn."""

    def __init__(self, dot: Dot, shapes: dict[str, Shape], depth: int) -> None:
        self.dot, self.shapes, self.depth = dot, shapes, depth

    def draw(self, module: Module, path: str, end: _End, frame: str) -> _End:
        """Draw a module that is fed from `end`, in a frame, and return where its result comes from."""
        if self._opens(module, path, Sequential):
            frame = self._frame(module, path, frame)
            for name, child in module.named_children():
                end = self.draw(child, _join(path, name), end, frame)
            return end
        if self._opens(module, path, Residual):
            assert isinstance(module, Residual)
            return self._residual(module, path, end, self._frame(module, path, frame))
        if isinstance(module, Graph) and self._opens(module, path, Graph):
            return self._steps(module, path, end, self._frame(module, path, frame))
        box = self.dot.add(_label(module), _kind(module), frame)
        self.connect(end, box)
        return _End(box, self.shapes.get(path, ()))

    def connect(self, end: _End, box: str) -> None:
        """Draw an arrow, with the shape of what flows unless it stands in the box."""
        known = end.shape and self.dot.boxes[end.box][1] != "input"
        self.dot.arrows.append((end.box, box, _text(end.shape) if known else ""))

    def _opens(self, module: Module, path: str, kind: type[Module]) -> bool:
        """Return whether a module runs its layers as a kind of container does, and they may be drawn."""
        return type(module).forward is kind.forward and (not path or path.count(".") + 1 < self.depth)

    def _frame(self, module: Module, path: str, outer: str) -> str:
        """Return the frame for a container's layers; that of the outermost is the picture."""
        if not path or path == f"{outer}.body":  # a Residual's layers stand in its own
            return outer
        self.dot.groups[path] = []
        self.dot.labels[path] = f"{path}: {type(module).__name__}"
        return path

    def _residual(self, module: Residual, path: str, end: _End, frame: str) -> _End:
        through = self.draw(module.body, _join(path, "body"), end, frame)
        around = end
        if module.shortcut is not None:
            around = self.draw(module.shortcut, _join(path, "shortcut"), end, frame)
        plus = self.dot.add("+", "binary", frame)
        self.connect(through, plus)
        self.connect(around, plus)
        return _End(plus, self.shapes.get(path, ()))

    def _steps(self, graph: Graph, path: str, end: _End, frame: str) -> _End:
        ends = {graph.inputs[0].name: end}
        for step in graph.steps:
            box = self.dot.add(_label(step.module), _kind(step.module), frame)
            for name in dict.fromkeys(step.inputs):
                if name in ends:  # else it is a constant of the file's
                    self.connect(ends[name], box)
            shape = self.shapes.get(_join(path, step.name), ())
            ends |= {name: _End(box, shape if i == 0 else ()) for i, name in enumerate(step.outputs)}
        return ends.get(graph.outputs[0], end)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _text(shape: Shape) -> str:
    return f"({', '.join(['N', *map(str, shape[1:])])})"


def _name(module: Module | Loss) -> str:
    text = str(module)
    return type(module).__name__ if "\n" in text else text


def _label(module: Module) -> str:
    """Return what stands in a layer's box: what it is, the layers that it holds, its parameters."""
    lines = textwrap.wrap(_name(module), _WIDTH)
    inside = [f"{name}: {_name(child)}" for name, child in module.named_children()]
    lines += [textwrap.shorten(line, _WIDTH, placeholder=" ...") for line in inside[:_LISTED]]
    lines += [f"and {len(inside) - _LISTED} more"] if len(inside) > _LISTED else []
    count = sum(parameter.size for parameter in module.parameters())
    return "\n".join([*lines, *([f"{count:,} parameters"] if count else [])])


def _kind(module: Module | Loss) -> str:
    """Return the file or folder of `layers/` that a layer or loss is from, or what it inherits from."""
    homes = (cls.__module__ for cls in type(module).__mro__)
    found = next((home for home in homes if home.startswith(f"{_HOME}.")), "")
    return found.removeprefix(f"{_HOME}.").partition(".")[0]
