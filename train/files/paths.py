"""`as_path`: what a caller gives as the name of a file."""

from __future__ import annotations

import os
from pathlib import Path

from ...backends import OptionError
from ...backends.options import shown


def as_path(owner: str, path: object) -> Path:
    """Return a path; OptionError unless it is text or a path that the system can take."""
    found = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if isinstance(found, str):
        try:
            if b"\0" not in os.fsencode(found):
                return Path(found)
        except UnicodeEncodeError:  # half of a surrogate pair
            pass
    raise OptionError(f"{owner}: expected the path of a file or folder, got {shown(path)}")
