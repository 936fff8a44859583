"""ONNX files: one as a model of ours, and a model of ours as one."""

from .graph import Graph
from .reader import load_onnx, read_metadata
from .writer import save_onnx

__all__ = ["Graph", "load_onnx", "read_metadata", "save_onnx"]
