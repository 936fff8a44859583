"""Files: written whole or not at all; JSON that every reader accepts."""

from .atomic import OutputError, atomic_write
from .strict_json import to_json

__all__ = ["OutputError", "atomic_write", "to_json"]
