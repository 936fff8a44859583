"""ONNX files: one as a model of ours, and a model of ours as one."""

from .graph import Graph
from .reader import load_onnx, read_metadata
from .save import save_onnx
from .writer import exporter

__all__ = ["Graph", "exporter", "load_onnx", "read_metadata", "save_onnx"]
