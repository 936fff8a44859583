"""Files: written whole or not at all, never over another silently; checksums; folders with one writer."""

from .atomic import OutputError, atomic_write, check_target
from .claim import InUseError, claimed, is_claimed, is_unused, workplace
from .new_file import new_file
from .paths import as_path
from .sealed import Content, Seal, read_sealed, write_sealed
from .strict_json import from_json, to_json
from .visible import visible

__all__ = [
    "Content",
    "InUseError",
    "OutputError",
    "Seal",
    "as_path",
    "atomic_write",
    "check_target",
    "claimed",
    "from_json",
    "is_claimed",
    "is_unused",
    "new_file",
    "read_sealed",
    "to_json",
    "visible",
    "workplace",
    "write_sealed",
]
