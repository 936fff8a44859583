"""`Graph`: a graph that folds its groups, and becomes DOT text or a picture."""

from __future__ import annotations

import html
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .data import SMALL, GraphData, printable
from .picture import PICTURES, picture

FORMATS = (*PICTURES, "dot")
"""What `Graph.to` makes."""
_HEAD = """digraph {
  rankdir="TB"; nodesep=0.2; ranksep=0.3
  node [shape=box, style="filled,rounded", fontname="Helvetica", fontsize=13, color="#555555",
        margin="0.12,0.06", height=0.35]
  edge [fontname="Helvetica", fontsize=10, fontcolor="#444444", color="#555555", arrowsize=0.7]
  graph [fontname="Helvetica", fontsize=11, fontcolor="#555555", labeljust="l"]"""


class Graph(GraphData):
    """A graph as DOT text (`source`) and as a picture (`render`)."""

    def __repr__(self) -> str:
        return f"<graph of {len(self.nodes)} boxes and {len(self.edges)} arrows; render(path) draws it>"

    def _repr_svg_(self) -> str:
        return self.to("svg").decode()

    def folded(self, most: int) -> Graph:
        """Replace each innermost group by a node, again and again until at most `most` nodes are left."""
        graph = self
        while graph.groups and len(graph.nodes) > most:
            graph = graph._folded_once()
        return graph

    def _folded_once(self) -> Graph:
        outer = {parent for path in self.groups for parent in self.enclosing(path)[:-1]}
        groups = {path: group for path, group in self.groups.items() if path in outer}
        graph = Graph(self.title, groups=groups, colours=self.colours)
        made: dict[str, int] = {}
        moved = []
        for node in self.nodes:
            group = self.groups.get(node.group)
            if group is None or node.group in outer:
                moved.append(graph.add(*node))
                continue
            if node.group not in made:
                around = self.enclosing(node.group)[:-1]
                made[node.group] = graph.add(
                    group.label or group.caption, group.kind or node.kind, around[-1] if around else ""
                )
            moved.append(made[node.group])
        for source, target, label in self.edges:
            graph.connect(moved[source], moved[target], label)
        return graph

    @property
    def source(self) -> str:
        """The DOT text."""
        lines = [_HEAD]
        if self.title:
            lines.append(f'  label=<<FONT POINT-SIZE="14">{_html(self.title)}</FONT>>; labelloc="t"')
        lines += self._dot_group("")
        for a, b, text in self.edges:
            weight = 1 if self.nodes[a].kind in SMALL else 8
            lines.append(f"  n{a} -> n{b} [label={_quoted(f' {text}' if text else '')}, weight={weight}]")
        return "\n".join([*lines, "}", ""])

    def _dot_group(self, outer: str) -> Iterator[str]:
        """Yield the nodes of a group, and the groups directly inside it."""
        yield from (self._dot_node(i) for i, node in enumerate(self.nodes) if node.group == outer)
        for i, (path, group) in enumerate(self.groups.items()):
            if (["", *self.enclosing(path)])[-2] == outer:
                yield f'  subgraph cluster_{i} {{ style="rounded"; color="#aaaaaa"'
                yield f"    label={_quoted(group.caption)}"
                yield from self._dot_group(path)
                yield "  }"

    def _dot_node(self, index: int) -> str:
        label, kind, _ = self.nodes[index]
        first, *rest = label.split("\n")
        small = "".join(f'<BR/><FONT POINT-SIZE="9" COLOR="#444444">{_html(line)}</FONT>' for line in rest)
        size = ', fontsize=10, margin="0.08,0.05", height=0.25' if kind in SMALL else ""
        fill = self.colours.get(kind, "#ffffff")
        return f'  n{index} [label=<{_html(first)}{small}>, fillcolor="{fill}"{size}]'

    def to(self, kind: str) -> bytes:
        """Return the graph as the content of a file: "png", "svg" or "pdf", or "dot" for the DOT text."""
        return self.source.encode() if kind == "dot" else picture(self, kind)

    def render(self, path: str | Path, view: bool = False) -> Path:
        """Write a picture (.png, .svg or .pdf) and return its path; an existing file is replaced.

        A path with another ending gets the DOT text, and an SVG picture is written beside it.
        view: open the picture, if the system has a program for it.
        """
        target = Path(path)
        kind = target.suffix[1:].lower()
        if kind not in PICTURES:
            target.write_bytes(self.to("dot"))
            kind, target = "svg", target.with_suffix(".svg")
        target.write_bytes(self.to(kind))
        if view and (opener := shutil.which("xdg-open") or shutil.which("open")):
            subprocess.run([opener, str(target)], check=False)
        return target


def _html(text: str) -> str:
    return html.escape(printable(text)) or " "


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
