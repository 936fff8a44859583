"""The onnx package, imported when the first file is read or written."""

from __future__ import annotations

import importlib
from typing import Any

from ...backends import DataError


def onnx_library(part: str = "") -> Any:
    """Return `onnx`, or one of its modules. Raises DataError with the install command if it is absent."""
    try:
        return importlib.import_module(f"onnx.{part}" if part else "onnx")
    except ImportError as error:
        raise DataError(
            f"ONNX files need the onnx package, which cannot be imported ({error}). "
            'Install it with: pip install "lamina[onnx]"'
        ) from error
