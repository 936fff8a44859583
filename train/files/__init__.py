"""Files: written whole or not at all, never over another silently; strict JSON."""

from .atomic import OutputError, atomic_write
from .new_file import new_file
from .strict_json import to_json

__all__ = ["OutputError", "atomic_write", "new_file", "to_json"]
