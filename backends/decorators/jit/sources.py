"""`digest`: which version of our code writes machine code.

A stored object is right only for the code that wrote it: a pass that is changed writes other machine code for
the same program. So the key of an object holds the SHA-256 of all source files that take part.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from pathlib import Path

_IMPORTED = time.time()
_HERE = Path(__file__).parent
_BACKENDS = _HERE.parents[1]
"""Its own files hold the definitions of the derived ops, which the pass `lower` runs."""


def digest() -> str | None:
    """Return the SHA-256 of our sources; None if one was changed after it was imported, or there are none."""
    return digest_of([*_BACKENDS.glob("*.py"), *_HERE.rglob("*.py")], _IMPORTED)


def digest_of(paths: Iterable[Path], imported: float) -> str | None:
    """Return the SHA-256 of files; None if there are none, or one was changed after a time, in seconds."""
    found = hashlib.sha256()
    ordered = sorted(paths)
    for path in ordered:
        status, data = path.stat(), path.read_bytes()
        if max(status.st_mtime, status.st_ctime) > imported:
            return None
        found.update(f"{path.name} {len(data)} ".encode() + data)
    return found.hexdigest() if ordered else None
