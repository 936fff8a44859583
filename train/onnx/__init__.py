"""ONNX files: `load_onnx` reads one as a model, `save_onnx` writes a model as one."""

from .graph import Graph
from .reader import load_onnx, read_metadata
from .save import save_onnx
from .writer import exporter

__all__ = ["Graph", "exporter", "load_onnx", "read_metadata", "save_onnx"]
