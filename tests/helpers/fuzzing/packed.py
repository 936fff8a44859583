"""Files that are compressed: wrapped, and how large they are when they are not."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib

MOST = 2**28
"""Bytes beyond which nobody counts."""


def unpacked(data: bytes) -> int:
    """Return the bytes that a file holds: those of a gzip file, of an archive's members, or its own."""
    if data[:2] == b"\x1f\x8b":
        return max(len(data), _inflated(data))
    if data[:2] == b"PK":
        return max(len(data), _members(data))
    return len(data)


def _inflated(data: bytes) -> int:
    count = 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            while count < MOST and (chunk := stream.read(2**20)):
                count += len(chunk)
    except (OSError, EOFError, zlib.error):
        pass
    return count


def _members(data: bytes) -> int:
    count = 0
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                with archive.open(info) as member:
                    while count < MOST and (chunk := member.read(2**20)):
                        count += len(chunk)
    except Exception:  # zipfile raises many kinds on damaged bytes
        pass
    return count
