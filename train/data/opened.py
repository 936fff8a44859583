"""`opened`: a file of data, decompressed if its first bytes are those of gzip, whatever its name says."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...backends.archive import EXPANSION
from ...backends.errors import DataError

_GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"
_LARGEST = 2**26
"""Bytes that any file may become when it is decompressed as a whole; a larger one may become more."""


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedIOBase]:
    """Open a file for reading; whatever goes wrong while it is read is a DataError with its path."""
    try:
        with path.open("rb") as file:
            if file.peek(2)[:2] == _GZIP:
                with gzip.GzipFile(fileobj=file) as stream:
                    yield stream
            else:
                yield file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: expected whole gzip data, got data that is damaged or cut off; use another copy"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def read_whole(path: Path, stream: io.BufferedIOBase) -> bytes:
    """Return the content of an opened file; DataError if gzip promises too much of it."""
    most = max(_LARGEST, EXPANSION * path.stat().st_size)
    content = stream.read(most + 1)
    if len(content) > most:
        raise DataError(
            f"{path}: expected at most {most:,} bytes after decompression, got more; decompress it yourself"
        )
    return content


def is_archive(path: Path) -> bool:
    """Return whether a file is a zip archive, as NPZ files are."""
    with opened(path) as stream:
        return stream.read(4) == _ZIP
