"""`opened`: a file of data, decompressed if its first bytes are those of gzip, whatever its name says."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typing_extensions import override

from ...backends.archive import most_expanded
from ...backends.errors import DataError

_GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedIOBase]:
    """Open a file for reading; whatever goes wrong while it is read is a DataError with its path."""
    try:
        with path.open("rb") as file:
            if file.peek(2)[:2] == _GZIP:
                with gzip.GzipFile(fileobj=file) as stream:
                    yield Inflated(_Bounded(path, stream))
            else:
                yield file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: expected whole gzip data, got data that is damaged or cut off; use another copy"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


class Inflated(io.BufferedReader):
    """The content of a gzip file; DataError where it becomes more than its bytes may."""


class _Bounded(io.RawIOBase):
    """A stream that ends in a DataError if there is too much of it."""

    def __init__(self, path: Path, stream: gzip.GzipFile) -> None:
        self.path, self.stream = path, stream
        self.most = self.left = most_expanded(path.stat().st_size)

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Any) -> int:
        count = self.stream.readinto(buffer)
        self.left -= count
        if self.left < 0:
            raise DataError(
                f"{self.path}: expected at most {self.most:,} bytes after decompression, got more; "
                "decompress it yourself"
            )
        return count


def is_archive(path: Path) -> bool:
    """Return whether a file is a zip archive, as NPZ files are."""
    with opened(path) as stream:
        return stream.read(4) == _ZIP
