"""Writes the IDX files that tests read."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

from lamina.backends.host import Host

_CODES = {
    "uint8": (0x08, ">u1"),
    "int8": (0x09, ">i1"),
    "int16": (0x0B, ">i2"),
    "int32": (0x0C, ">i4"),
    "float32": (0x0D, ">f4"),
    "float64": (0x0E, ">f8"),
}


def write_idx(path: str | Path, array: Host) -> None:
    """Write an array as an IDX file, compressed if the name ends in `.gz`."""
    code, dtype = _CODES[np.dtype(array.dtype).newbyteorder("=").name]
    header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    content = header + array.astype(dtype).tobytes()
    Path(path).write_bytes(gzip.compress(content) if str(path).endswith(".gz") else content)
