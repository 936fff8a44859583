"""Graphs: their data, DOT text, layout and pictures."""

from .graph import COLOURS, FORMATS, Edge, Graph, Group, Node

__all__ = ["COLOURS", "FORMATS", "Edge", "Graph", "Group", "Node"]
