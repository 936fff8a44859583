"""Sealed files: safetensors with a description and a SHA-256 over every byte.

safetensors has no checksum of its own, and a weight with a flipped bit is a valid weight. The checksum stands
in the header's metadata, beside the description; it is that of the file with zeros in its place. So other
programs read the arrays of these files as of any safetensors file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from ...backends import DataError, OptionError
from ...backends.host import Host
from ...backends.options import shown
from .atomic import atomic_write
from .paths import as_path

MOST_HEADER = 2**23
"""The most bytes of a header: as Python's objects, numbers and texts take ten times as much."""
MOST_BRACKETS = 2**16
"""The most lists and objects in a header: each takes a hundred bytes, and its text may have two."""
_BLANK = b"0" * 64
_KEY = "lamina"
# In the file it is JSON text inside a JSON string, hence the backslashes.
_MARK = re.compile(rb'\\"sha256\\": \\"([0-9a-f]{64})\\"')
# In the order in which safetensors lays them out.
_DTYPES = {
    "uint64": "U64",
    "int64": "I64",
    "float64": "F64",
    "float32": "F32",
    "uint32": "U32",
    "int32": "I32",
    "float16": "F16",
    "uint16": "U16",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}


class Seal(NamedTuple):
    """A kind of sealed file."""

    noun: str
    """What the file is, such as "model"."""
    format: str
    """The format of its description; another one is refused."""


class Content(NamedTuple):
    """What a sealed file holds."""

    arrays: dict[str, Host]
    description: Any


def write_sealed(
    path: str | os.PathLike[str], seal: Seal, arrays: Mapping[str, Host], description: Any
) -> None:
    """Write arrays and a description that JSON can hold, whole or not at all.

    Equal arrays and descriptions make equal files.

    Raises
    ------
    OutputError
        If the file cannot be written.
    OptionError
        If the description and the names exceed MOST_HEADER or MOST_BRACKETS, or an array is not of numbers.

    """
    atomic_write(path, sealed(seal, arrays, description))


def sealed(seal: Seal, arrays: Mapping[str, Host], description: Any) -> list[bytes | memoryview]:
    """Return a sealed file as pieces, which share the memory of the arrays."""
    order = list(_DTYPES)
    for name, array in arrays.items():
        if array.dtype.name not in _DTYPES:
            raise OptionError(f"{seal.noun}: expected {name!r} to hold numbers, got {array.dtype}")
    names = sorted(arrays, key=lambda name: (order.index(arrays[name].dtype.name), name))
    # One entry of metadata: safetensors reads several in an order that changes from run to run.
    head = json.dumps({"format": seal.format, "sha256": _BLANK.decode(), "description": description})
    entries: dict[str, Any] = {"__metadata__": {_KEY: head}}
    start = 0
    for name in names:
        array = arrays[name]
        offsets = [start, start + array.nbytes]
        dtype = _DTYPES[array.dtype.name]
        entries[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": offsets}
        start += array.nbytes
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MOST_HEADER or _brackets(text) > MOST_BRACKETS:
        raise OptionError(
            f"{seal.noun}: expected a description and names of at most {MOST_HEADER:,} bytes and "
            f"{MOST_BRACKETS:,} brackets, got {len(text):,} and {_brackets(text):,}; "
            "keep long lists of numbers as arrays"
        )
    header = len(text).to_bytes(8, "little") + text
    mark = _MARK.search(header)
    assert mark is not None
    body = [_bytes_of(arrays[name]) for name in names]
    return [header[: mark.start(1)], _digest([header, *body]).encode(), header[mark.end(1) :], *body]


def read_sealed(owner: str, path: str | os.PathLike[str], seal: Seal) -> Content:
    """Return (arrays by name, description) of a file that `write_sealed` wrote.

    It takes at most a few times the file's size of memory.

    Raises
    ------
    DataError
        If the file is absent, damaged, of another format or not Lamina's; it names the file and the cause.
    OptionError
        If `path` is no path; it begins with `owner`.

    """
    content = _content(as_path(owner, path), seal)
    header = content[: 8 + int.from_bytes(content[:8], "little")]
    mark = _MARK.search(header)
    if mark is None:
        raise DataError(
            f"'{path}': expected a {seal.noun} file of Lamina, got one without its checksum; "
            "it is damaged, or another program wrote it."
        )
    blank = header[: mark.start(1)] + _BLANK + header[mark.end(1) :]
    if _digest([blank, memoryview(content)[len(header) :]]) != mark.group(1).decode():
        raise DataError(
            f"'{path}' is damaged: expected bytes that match its checksum, got others; use another copy."
        )
    try:
        if _brackets(header) > MOST_BRACKETS:
            raise ValueError("too many lists")
        entries = json.loads(header[8:], object_pairs_hook=_distinct)
        head = json.loads(entries["__metadata__"][_KEY], object_pairs_hook=_distinct)
        if head["format"] == seal.format:
            return Content(safetensors.numpy.load(content), head["description"])
    except _READING as error:
        raise DataError(
            f"'{path}' cannot be read: expected a {seal.noun} of Lamina, got another file, or a damaged one."
        ) from error
    raise DataError(
        f"'{path}': expected a {seal.noun} of format {seal.format!r}, got {shown(head['format'])}; "
        "use the Lamina that wrote it."
    )


_READING = (
    safetensors.SafetensorError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)
"""What a crafted header may raise while it is read."""


def _content(path: Path, seal: Seal) -> bytes:
    """Return a file's bytes, none if its header has no checksum."""
    try:
        found = path.stat()
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            raise DataError(f"'{path}': expected a {seal.noun} file, got a device or a pipe.")
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            # Without a whole header of a Lamina, the rest need not be read.
            header = file.read(length) if length <= min(MOST_HEADER, found.st_size) else b""
            if _MARK.search(header) is not None:
                file.seek(0)
                return file.read()
    except OSError as error:
        raise DataError(f"Cannot read {seal.noun} '{path}': {error.strerror or error}.") from error
    return b""


def _brackets(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; raise ValueError if a name comes twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def _digest(pieces: list[Any]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _bytes_of(array: Host) -> memoryview:
    """Return an array's bytes in C order, without a copy if it has that order."""
    flat: Any = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return memoryview(flat)
