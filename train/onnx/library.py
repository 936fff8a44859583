"""The onnx package, imported when a file is read or written, and not before."""

from __future__ import annotations

import importlib
from typing import Any

from ...backends import DataError


def onnx_library(part: str = "") -> Any:
    """Return `onnx`, or a module of it. Raises DataError, which says how to install it."""
    try:
        return importlib.import_module(f"onnx.{part}" if part else "onnx")
    except ImportError as error:
        raise DataError(
            f"ONNX files need the onnx package, which cannot be imported ({error}). "
            'Install it with: pip install "lamina[onnx]"'
        ) from error
