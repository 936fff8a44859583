"""Graphs: their data, DOT text, layout and pictures."""

from .data import COLOURS, Edge, Group, Node
from .graph import FORMATS, Graph

__all__ = ["COLOURS", "FORMATS", "Edge", "Graph", "Group", "Node"]
