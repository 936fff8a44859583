"""`Dot`: a graph as DOT text, and as a picture where graphviz's `dot` program is installed."""

from __future__ import annotations

import html
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import BackendError

PICTURES = (".svg", ".png", ".pdf")
SMALL = ("parameter", "input")
"""Kinds of boxes that stand beside the path through the graph."""
COLOURS = {
    "parameter": "#cfe8cf",
    "input": "#e8e8e8",
    "result": "#f6d5d5",
    "unary": "#fdf1cf",
    "binary": "#fde3c4",
    "select": "#f3e3d3",
    "reduce": "#e9d8f3",
    "contract": "#cde4f5",
    "move": "#eef3ea",
    "create": "#eef3ea",
    "index": "#e0ecd8",
    "window": "#d3eeee",
    "derived": "#fdf1cf",
}
_HEAD = """digraph {
  rankdir="TB"; nodesep=0.2; ranksep=0.3
  node [shape=box, style="filled,rounded", fontname="Helvetica", fontsize=13, color="#555555",
        margin="0.12,0.06", height=0.35]
  edge [fontname="Helvetica", fontsize=10, fontcolor="#444444", color="#555555", arrowsize=0.7]
  graph [fontname="Helvetica", fontsize=11, fontcolor="#555555", labeljust="l"]"""


@dataclass
class Dot:
    """A directed graph: boxes with a label and a kind, and arrows with a label."""

    title: str = ""
    boxes: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By id: (label, kind), the kind a key of `colours`. All lines of a label but the first are small."""
    arrows: list[tuple[str, str, str]] = field(default_factory=list)
    groups: dict[str, list[str]] = field(default_factory=dict)
    """Frames around boxes, by path: "1.body" stands inside "1"."""
    labels: dict[str, str] = field(default_factory=dict)
    """What frames are called, by path; the path if nothing else."""
    colours: dict[str, str] = field(default_factory=lambda: COLOURS)

    def add(self, label: str, kind: str, frame: str = "") -> str:
        """Add a box, in a frame if one is named, and return its id."""
        name = f"n{len(self.boxes)}"
        self.boxes[name] = (label, kind)
        if frame:
            self.groups.setdefault(frame, []).append(name)
        return name

    @property
    def source(self) -> str:
        """The DOT text."""
        framed = {name for names in self.groups.values() for name in names}
        lines = [_HEAD]
        if self.title:
            lines.append(f'  label=<<FONT POINT-SIZE="14">{_html(self.title)}</FONT>>; labelloc="t"')
        lines += [self._box(name) for name in self.boxes if name not in framed]
        lines += self._frames("")
        for a, b, text in self.arrows:
            # What leads through the graph runs straight; what comes from the side bends.
            weight = 1 if self.boxes[a][1] in SMALL else 8
            label = _quoted(f" {text}" if text else "")  # clear of the line
            lines.append(f"  {a} -> {b} [label={label}, weight={weight}]")
        return "\n".join([*lines, "}", ""])

    def _frames(self, outer: str) -> Iterator[str]:
        """Yield the frames that stand directly in another, with what they hold."""
        for i, (path, names) in enumerate(self.groups.items()):
            around = [other for other in self.groups if path.startswith(f"{other}.")]
            if max(around, key=len, default="") == outer:
                yield f'  subgraph cluster_{i} {{ style="rounded"; color="#aaaaaa"'
                yield f"    label={_quoted(self.labels.get(path, path))}"
                yield from map(self._box, names)
                yield from self._frames(path)
                yield "  }"

    def _box(self, name: str) -> str:
        label, kind = self.boxes[name]
        first, *rest = label.split("\n")
        small = "".join(f'<BR/><FONT POINT-SIZE="9" COLOR="#444444">{_html(line)}</FONT>' for line in rest)
        size = ', fontsize=10, margin="0.08,0.05", height=0.25' if kind in SMALL else ""
        fill = self.colours.get(kind, "#ffffff")
        return f'  {name} [label=<{_html(first)}{small}>, fillcolor="{fill}"{size}]'

    def render(self, path: str | Path, view: bool = False, kind: str = "") -> Path:
        """Write the DOT text to `path`, and a picture beside it; return the picture's path.

        kind: "svg", "png" or "pdf"; by the path's ending, or "svg". view: open the picture, if the system
        knows how. Raises BackendError, the DOT file written, if there is no `dot` program, or it fails.
        """
        target = Path(path)
        kind = kind or (target.suffix[1:] if target.suffix in PICTURES else "svg")
        text = target.with_suffix(".gv") if target.suffix in PICTURES else target
        text.write_text(self.source, encoding="utf-8")
        picture = text.with_suffix(f".{kind}")
        if shutil.which("dot") is None:
            raise BackendError(
                f"The graph is written to '{text}'; to draw it as a picture install graphviz (apt install "
                "graphviz, brew install graphviz), or paste the text into a viewer of DOT files."
            )
        command = ["dot", f"-T{kind}", str(text), "-o", str(picture)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BackendError(
                f"The graph is written to '{text}', but dot cannot draw it: {done.stderr.strip()}"
            )
        if view and (opener := shutil.which("xdg-open") or shutil.which("open")):
            subprocess.run([opener, str(picture)], check=False)
        return picture


def fitting_depth(paths: Iterable[str], most: int) -> int:
    """Return how deep dotted paths may go to be at most so many different ones; at least 1."""
    parts = {tuple(path.split(".")) for path in paths}
    for depth in range(max(map(len, parts), default=1), 1, -1):
        if len({path[:depth] for path in parts}) <= most:
            return depth
    return 1


def _html(text: str) -> str:
    return html.escape("".join(c if c.isprintable() else "?" for c in text)) or " "


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
