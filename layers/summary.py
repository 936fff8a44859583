"""`summary()`: shapes, parameters and FLOPs of each layer, by the rules of the op table.

A copy of the model runs on the shapes backend, which computes no numbers.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from ..backends import LaminaError, ShapeError
from ..backends.notebook import Shown, table
from ..backends.protocol import Shape
from ..backends.shape_backend import ShapeBackend
from .cell import check_shape

if TYPE_CHECKING:
    from .module import Module


@dataclass(frozen=True)
class Row:
    """A layer: its path, repr, output shape (N, ...), and its own parameters and FLOPs."""

    name: str
    layer: str
    output_shape: Shape
    parameters: int
    flops: int


@dataclass(frozen=True, repr=False)
class Summary(Shown):
    """The rows and their totals; `str()` gives the table. FLOPs are one sample's forward pass."""

    rows: tuple[Row, ...]
    input_shape: Shape
    parameters: int
    flops: int

    def __str__(self) -> str:
        lines = [_HEADS, *self._cells(), self._total()]
        widths = [max(len(line[i]) for line in lines) for i in range(len(_HEADS))]
        text = []
        for line in lines:
            cells = [
                c.ljust(w) if i < 3 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))
            ]
            text.append("  ".join(cells).rstrip())
        text.insert(1, "-" * max(map(len, text)))
        text.insert(-1, text[1])
        return "\n".join(text)

    @override
    def _repr_html_(self) -> str:
        return table(_HEADS, self._cells(), names=3, total=self._total())

    def _cells(self) -> list[tuple[str, ...]]:
        cells: list[tuple[str, ...]] = []
        for row in self.rows:
            shape = f"({', '.join(['N', *map(str, row.output_shape[1:])])})"
            cells.append((row.name, row.layer, shape, f"{row.parameters:,}", f"{row.flops:,}"))
        return cells

    def _total(self) -> tuple[str, ...]:
        return "", "total", "", f"{self.parameters:,}", f"{self.flops:,}"


_HEADS = ("", "layer", "output", "parameters", "FLOPs")


def summarize(model: Module, input_shape: Shape | None = None) -> Summary:
    """Return the summary of a model for inputs of `input_shape` (without the batch axis)."""
    shape, twin, counter = _twin(model, input_shape, "summary")
    leaves = [(n, m) for n, m in twin.named_modules() if next(m.named_children(), None) is None]
    shapes, flops = _watch_all([m for _, m in leaves], counter)
    _run(twin, counter, shape, "summary")
    rows = tuple(
        Row(name, str(leaf), shapes.get(id(leaf), ()), _size(leaf), flops.get(id(leaf), 0))
        for name, leaf in leaves
    )
    total = sum(p.size for p in model.parameters())
    return Summary(rows, tuple(shape), total, _total(counter))


def output_shapes(model: Module, input_shape: Shape | None = None) -> dict[str, Shape]:
    """Return {path: output shape (1, ...)} of the model ("") and every layer that a sample passes through.

    Arguments and errors as in `summarize`.
    """
    shape, twin, counter = _twin(model, input_shape, "output_shapes")
    layers = dict(twin.named_modules())
    shapes, _ = _watch_all(list(layers.values()), counter)
    _run(twin, counter, shape, "output_shapes")
    return {path: shapes[id(layer)] for path, layer in layers.items() if id(layer) in shapes}


def _twin(model: Module, input_shape: Shape | None, what: str) -> tuple[Shape, Module, ShapeBackend]:
    """Return one sample's shape, and a copy of the model on a shapes backend."""
    shape = input_shape if input_shape is not None else model.input_shape
    if shape is None:
        raise ShapeError(
            f"{type(model).__name__}.{what}: the first layer does not know its input; pass input_shape"
        )
    shape = check_shape(f"{type(model).__name__}.{what}", shape)
    counter = ShapeBackend(dtype=model.backend.default_dtype)  # type: ignore[abstract]  # made by funnelled
    twin = copy.deepcopy(model).to(counter).eval()
    counter.costs.clear()
    return shape, twin, counter


def _run(twin: Module, counter: ShapeBackend, shape: Shape, what: str) -> None:
    try:
        twin(counter.full((1, *shape), 0.0))
    except LaminaError as error:
        raise type(error)(
            f"{type(twin).__name__}.{what} with input (N, {', '.join(map(str, shape))}): {error}"
        ) from error


def _total(counter: ShapeBackend) -> int:
    return sum(cost.flops for cost in counter.costs.values())


def _size(module: Module) -> int:
    return sum(parameter.size for parameter in module.parameters())


def _watch_all(leaves: list[Module], counter: ShapeBackend) -> tuple[dict[int, Shape], dict[int, int]]:
    """Make each layer of the copy record its output's shape and its FLOPs when it runs."""
    shapes: dict[int, Shape] = {}
    flops: dict[int, int] = {}

    def watch(leaf: Module) -> None:
        forward: Any = leaf.forward

        def noted(*tensors: object) -> Any:
            before = _total(counter)
            y = forward(*tensors)
            shapes[id(leaf)] = counter.shape(y[0] if type(y) is tuple else y)
            flops[id(leaf)] = flops.get(id(leaf), 0) + _total(counter) - before
            return y

        vars(leaf)["forward"] = noted

    for leaf in leaves:
        watch(leaf)
    return shapes, flops
