"""`digest`: which version of our code writes machine code.

A stored object is right only for the code that wrote it: a pass that is changed writes other machine code for
the same program. So the key of an object holds the SHA-256 of all source files that take part.
"""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path

_IMPORTED = time.time()
_HERE = Path(__file__).parent
_BACKENDS = _HERE.parents[1]
"""Its own files hold the definitions of the derived ops, which the pass `lower` runs."""


def digest() -> str | None:
    """Return the SHA-256 of our sources; None if one was changed after it was imported, or there are none."""
    return digest_of([*_BACKENDS.glob("*.py"), *_HERE.rglob("*.py")], _IMPORTED, _read_once)


def _read(paths: tuple[Path, ...]) -> str:
    found = hashlib.sha256()
    for path in paths:
        data = path.read_bytes()
        found.update(f"{path.name} {len(data)} ".encode() + data)
    return found.hexdigest()


_read_once = functools.cache(_read)
"""For files that are known to be as they were imported."""


def digest_of(
    paths: Iterable[Path], imported: float, read: Callable[[tuple[Path, ...]], str] = _read
) -> str | None:
    """Return the SHA-256 of files; None if there are none, or one was changed after a time, in seconds."""
    ordered = tuple(sorted(paths))
    for path in ordered:
        status = path.stat()
        if max(status.st_mtime, status.st_ctime) > imported:
            return None
    return read(ordered) if ordered else None
