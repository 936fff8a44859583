"""The graph of operators as DOT text, and as a picture where graphviz is installed."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BackendError

LARGE = 60
"""More operators than this are drawn a box for each layer."""
COLOURS = {
    "leaf": "#cfe8cf",
    "input": "#e8e8e8",
    "result": "#f6d5d5",
    "layer": "#d5e3f6",
    "unary": "#fdf1cf",
    "binary": "#fde3c4",
    "reduce": "#e9d8f3",
    "contract": "#cde4f5",
    "move": "#e6efe0",
    "index": "#e6efe0",
    "window": "#d3eeee",
    "derived": "#fdf1cf",
}


@dataclass
class Dot:
    """A directed graph: boxes with a label and a kind, and arrows with a label."""

    title: str = ""
    boxes: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By id: (label, kind), the kind a key of `COLOURS`."""
    arrows: list[tuple[str, str, str]] = field(default_factory=list)
    groups: dict[str, list[str]] = field(default_factory=dict)
    """Frames around boxes, by label."""

    @property
    def source(self) -> str:
        """The DOT text."""
        lines = [
            "digraph {",
            '  rankdir="TB"',
            '  node [shape=box, style="filled,rounded", fontname="Helvetica"]',
        ]
        lines += ['  edge [fontname="Helvetica", fontsize=10]']
        if self.title:
            lines += [f"  label={_quoted(self.title)}", '  labelloc="t"', '  fontname="Helvetica"']
        framed = {name for names in self.groups.values() for name in names}
        lines += [self._box(name) for name in self.boxes if name not in framed]
        for i, (label, names) in enumerate(self.groups.items()):
            lines += [f"  subgraph cluster_{i} {{", f"    label={_quoted(label)}", '    color="#999999"']
            lines += [f"  {self._box(name)}" for name in names] + ["  }"]
        lines += [f"  {a} -> {b} [label={_quoted(text)}]" for a, b, text in self.arrows]
        return "\n".join([*lines, "}", ""])

    def _box(self, name: str) -> str:
        label, kind = self.boxes[name]
        return f"  {name} [label={_quoted(label)}, fillcolor={_quoted(COLOURS.get(kind, '#ffffff'))}]"

    def render(self, path: str | Path, view: bool = False, kind: str = "") -> Path:
        """Write the DOT text to `path`, and a picture beside it; return the picture's path.

        kind: "svg", "png" or "pdf"; by the path's ending, or "svg". view: open the picture, if the system
        knows how. Raises BackendError, the DOT file written, if the `dot` program is not installed.
        """
        target = Path(path)
        kind = kind or (target.suffix[1:] if target.suffix in (".svg", ".png", ".pdf") else "svg")
        text = target.with_suffix(".gv") if target.suffix in (".svg", ".png", ".pdf") else target
        text.write_text(self.source, encoding="utf-8")
        picture = text.with_suffix(f".{kind}")
        if shutil.which("dot") is None:
            raise BackendError(
                f"The graph is written to '{text}'; to draw it as a picture install graphviz (apt install "
                "graphviz, brew install graphviz), or paste the text into a viewer of DOT files."
            )
        subprocess.run(["dot", f"-T{kind}", str(text), "-o", str(picture)], check=True)
        if view and (opener := shutil.which("xdg-open") or shutil.which("open")):
            subprocess.run([opener, str(picture)], check=False)
        return picture


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _shape(variable: Any) -> str:
    return f"({', '.join(map(str, variable.shape))})"


def draw_operators(root: Any, title: str = "") -> Dot:
    """Return the graph of operators that led to a Variable: shapes on the arrows, frames for layers.

    Where there are more than `LARGE`, a layer is one box.
    """
    from .variable import operators  # which imports this file

    found = operators(root)[::-1]
    large = len(found) > LARGE
    dot, names, numbers = Dot(title), {}, itertools.count()
    for node in found:
        layer = node.path
        key = f"layer {layer}" if large and layer else f"op {id(node)}"
        if key not in names:
            names[key] = f"n{next(numbers)}"
            label = layer if large and layer else node.op.name
            dot.boxes[names[key]] = (label, "layer" if large and layer else node.op.kind)
            if layer and not large:
                dot.groups.setdefault(layer, []).append(names[key])
        names[f"op {id(node)}"] = names[key]
    drawn: set[tuple[str, str, str]] = set()
    for node in found:
        target = names[f"op {id(node)}"]
        for variable in node.variables():
            source = _box_of(variable, names, dot, numbers, large)
            arrow = (source, target, _shape(variable))
            if source and source != target and arrow not in drawn:
                drawn.add(arrow)
                dot.arrows.append(arrow)
    dot.boxes["result"] = (f"result\n{_shape(root)}", "result")
    last = names[f"op {id(root.grad_op)}"] if root.grad_op is not None else ""
    dot.arrows += [(last, "result", _shape(root))] if last else []
    return dot


def _box_of(variable: Any, names: dict[str, str], dot: Dot, numbers: Iterable[int], large: bool) -> str:
    """Return the box that a Variable comes from; of a leaf a new one, but for parameters in a large graph."""
    if variable.grad_op is not None:
        return names[f"op {id(variable.grad_op)}"]
    key = f"leaf {id(variable)}"
    if large and variable.requires_grad and variable.cell is not None:
        return ""
    if key not in names:
        names[key] = f"n{next(iter(numbers))}"
        kind = "leaf" if variable.requires_grad else "input"
        what = "parameter" if variable.cell is not None else "variable" if variable.requires_grad else "data"
        dot.boxes[names[key]] = (f"{what}\n{_shape(variable)}", kind)
    return names[key]
