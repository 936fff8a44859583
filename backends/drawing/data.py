"""The data of a graph: nodes, edges and groups."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

SMALL = ("parameter", "input")
"""Kinds of nodes that stand beside the path through the graph."""
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


class Node(NamedTuple):
    """A box. The lines of its label after the first are small; its kind gives its colour."""

    label: str
    kind: str = ""
    group: str = ""


class Edge(NamedTuple):
    """An arrow between two nodes, given by their indices."""

    source: int
    target: int
    label: str = ""


class Group(NamedTuple):
    """A frame around nodes, and the box that replaces it when the graph is folded."""

    caption: str
    label: str = ""
    kind: str = ""


@dataclass
class GraphData:
    """A directed graph. A group's key is a dotted path: "1.body" stands inside "1"."""

    title: str = ""
    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    groups: dict[str, Group] = field(default_factory=dict)
    colours: dict[str, str] = field(default_factory=lambda: COLOURS)

    def add(self, label: str, kind: str = "", group: str = "") -> int:
        """Add a node and return its index."""
        self.nodes.append(Node(label, kind, group))
        if group:
            self.groups.setdefault(group, Group(group))
        return len(self.nodes) - 1

    def connect(self, source: int, target: int, label: str = "") -> None:
        """Add an edge, unless it is there already or leads to its own source."""
        if (edge := Edge(source, target, label)) not in self.edges and source != target:
            self.edges.append(edge)

    def enclosing(self, path: str) -> list[str]:
        """Return the groups around a group's path and the group itself, the outermost first."""
        parts = path.split(".")
        paths = (".".join(parts[: i + 1]) for i in range(len(parts)))
        return [path for path in paths if path in self.groups]


def printable(text: str) -> str:
    """Return text with "?" for each character that cannot be printed."""
    return "".join(c if c.isprintable() else "?" for c in text)
