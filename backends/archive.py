"""Arrays from a file: its promises are compared with its size before memory is taken for them."""

from __future__ import annotations

import math
import warnings
import zipfile
from types import TracebackType
from typing import IO, Any

import numpy as np

from .errors import DataError
from .host import Host
from .options import shown

LARGEST = 2**30
"""Bytes that the tensors of a computation from a file may take, however small it is."""
FREE = 2**21
"""Bytes that a compressed file may hold, however small it is. Beyond them its own size counts."""
EXPANSION = 100
"""The most bytes that one byte of a compressed file may become, beyond `FREE`."""


def most_expanded(held: int) -> int:
    """Return the most bytes that a compressed file of `held` bytes may hold."""
    return max(FREE, EXPANSION * held)


def check_expansion(what: str, size: int, held: int) -> None:
    """Raise DataError if `size` bytes are more than a compressed file of `held` bytes may hold."""
    if size > most_expanded(held):
        raise DataError(
            f"{what}: expected at most {FREE:,} bytes, or {EXPANSION} times the {held:,} of the file, got "
            f"{shown(size)}; store it uncompressed"
        )


class Archive:
    """An NPZ file of plain arrays. Whatever is wrong with it is a DataError."""

    def __init__(self, stream: IO[bytes]) -> None:
        try:
            self._size = stream.seek(0, 2)
            self._zip = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError, EOFError) as error:
            raise DataError("expected a file of numpy.savez, got another, or part of one") from error
        self.names = [name.removesuffix(".npy") for name in self._zip.namelist()]

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def read(self, name: str) -> Host:
        """Return the array of that name."""
        info = self._zip.infolist()[self.names.index(name)]
        if info.flag_bits & 1:
            raise DataError(f"array {name!r}: expected a plain one, got one with a password; save it without")
        if info.compress_size > self._size:
            raise DataError(
                f"array {name!r}: expected {info.compress_size:,} bytes, got {self._size:,} in all: "
                "it is cut off; use another copy"
            )
        try:
            with self._zip.open(info) as member:
                return _read(member, info)
        except DataError as error:
            raise DataError(f"array {name!r}: {error}") from error
        except Exception as error:  # zipfile, zlib and numpy raise many kinds on damaged bytes
            if isinstance(error, MemoryError):
                raise
            raise DataError(
                f"array {name!r}: expected an array of numpy.save, got damaged bytes; use another copy"
            ) from error


def _read(member: IO[bytes], info: zipfile.ZipInfo) -> Host:
    readers: dict[Any, Any] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(member)
    if version not in readers:
        raise DataError(f"expected a plain array of format 1.0 or 2.0, got {version}")
    try:
        with warnings.catch_warnings():  # a header that Python 2 has written is no fault
            warnings.simplefilter("ignore")
            shape, fortran, dtype = readers[version](member)
    except MemoryError as error:  # Python says so of signs before signs
        raise DataError("expected the header of an array, got one that is nested too deep") from error
    if dtype.hasobject:
        raise DataError("expected numbers or text, got Python objects, which are never loaded")
    if not dtype.itemsize:  # of which any shape takes no byte of the file
        raise DataError(f"expected a dtype of at least one byte, got {shown(dtype.str)}")
    size = math.prod(shape) * dtype.itemsize
    if member.tell() + size != info.file_size:
        raise DataError(
            f"the header says {shown(shape)} of {dtype}: expected {size:,} bytes, got "
            f"{info.file_size - member.tell():,}; "
            "use another copy"
        )
    if info.compress_type == zipfile.ZIP_STORED and info.file_size > info.compress_size:
        raise DataError(f"expected {info.file_size:,} bytes, got {info.compress_size:,}; use another copy")
    check_expansion(f"the header says {shown(shape)} of {dtype}", size, info.compress_size)
    flat: Host = np.empty(math.prod(shape), dtype)
    place, filled = flat.view(np.uint8) if size else flat, 0
    while filled < size and (chunk := member.read(min(1 << 20, size - filled))):
        place[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
        filled += len(chunk)
    if filled < size or member.read(1):  # reading to the end compares the checksum
        raise DataError(f"expected {size:,} bytes, got {filled:,}")
    return flat.reshape(shape, order="F" if fortran else "C")
