"""The cache of objects: machine code in the user's cache folder, one file for each program.

A file holds the SHA-256 of the rest; the rest is what the code needs to run, and the code. Machine code from
a folder that others can write, or of another length or hash than it was written with, is never run. The
folder may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import stat
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

from ...errors import OptionError

VARIABLE = "LAMINA_CACHE"
OFF = "off"
LARGEST = 256 << 20
"""Bytes: beyond them, what was used the longest ago is deleted."""
_DIGEST = hashlib.sha256().digest_size
_UNFINISHED = "unfinished-"
_ABANDONED = 3600.0
"""Seconds after which another process's unfinished file counts as left behind."""


def key_of(*parts: str | bytes) -> str:
    """Return the SHA-256, in hex, of parts."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def folder() -> Path | None:
    """Return where the objects are: LAMINA_CACHE, else the system's place for caches; None if it is "off".

    Raises
    ------
    OptionError
        If LAMINA_CACHE is a relative path: what is run must not depend on the working folder.

    """
    text = os.environ.get(VARIABLE, "").strip()
    if text.lower() == OFF:
        return None
    if text:
        path = Path(text).expanduser()
        if not path.is_absolute():
            raise OptionError(f"{VARIABLE}: expected an absolute path or {OFF!r}, got {text!r}")
        return path
    if sys.platform == "darwin":
        caches = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        caches = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "lamina" / "objects"


def objects() -> Objects | None:
    """Return the cache that LAMINA_CACHE chooses, one instance per folder; None if it is off."""
    place = folder()
    return None if place is None else _objects(place)


@functools.cache
def _objects(place: Path) -> Objects:
    return Objects(place)


@dataclass(frozen=True)
class Usage:
    """What a cache holds."""

    entries: int
    size: int
    """Bytes."""


class Objects:
    """The objects in one folder. What is wrong with it is a RuntimeWarning, once; then it is not used."""

    def __init__(self, place: Path, largest: int = LARGEST) -> None:
        self.place, self.largest = place, largest
        self._wrong = ""

    def get(self, key: str) -> bytes | None:
        """Return the object of a key; None if there is none, or none that may be run."""
        if self._wrong:
            return None
        path = self.place / f"{key}.o"
        try:
            if not self._check_folder():
                return None
            data = _read_own(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._give_up(f"{path} cannot be read: {error.strerror or error}")
            return None
        digest, code = data[:_DIGEST], data[_DIGEST:]
        if hashlib.sha256(code).digest() != digest:
            with contextlib.suppress(OSError):
                path.unlink()
            self._give_up(f"{path} is damaged")
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # so that the oldest is what was used the longest ago
        return code

    def put(self, key: str, code: bytes) -> None:
        """Keep an object: all of it or none becomes visible, also if two processes write it."""
        if self._wrong:
            return
        try:
            self.place.mkdir(parents=True, mode=0o700, exist_ok=True)
            if not self._check_folder():
                return
            number, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=self.place)
            try:
                with os.fdopen(number, "wb") as stream:
                    stream.write(hashlib.sha256(code).digest() + code)
                os.replace(name, self.place / f"{key}.o")
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(name)
                raise
            self._drop_oldest()
        except OSError as error:
            self._give_up(f"{self.place} cannot be written: {error.strerror or error}")

    def usage(self) -> Usage:
        """Return how many objects there are, and their bytes."""
        files = self._files()
        return Usage(len(files), sum(size for _, size, _ in files))

    def clear(self) -> Usage:
        """Delete every object; return what was deleted."""
        gone = [size for _, size, path in self._files() if _removed(path)]
        return Usage(len(gone), sum(gone))

    def _files(self) -> list[tuple[float, int, Path]]:
        """Return (time of last use, bytes, path) of each object, the oldest first."""
        found = []
        with contextlib.suppress(OSError):
            for path in self.place.iterdir():
                ours = len(path.stem) == 2 * _DIGEST and path.suffix == ".o"
                unfinished = path.name.startswith(_UNFINISHED)
                if not ours and not unfinished:
                    continue  # the folder may be one of the user's
                with contextlib.suppress(OSError):  # another process may have deleted it
                    status = path.lstat()
                    if ours:
                        found.append((status.st_mtime, status.st_size, path))
                    elif time.time() - status.st_mtime > _ABANDONED:
                        path.unlink()
        return sorted(found)

    def _drop_oldest(self) -> None:
        files = self._files()
        excess = sum(size for _, size, _ in files) - self.largest
        for _, size, path in files:
            if excess <= 0:
                return
            excess -= size if _removed(path) else 0

    def _check_folder(self) -> bool:
        """Return whether nobody else can write the folder. Raises FileNotFoundError if there is none."""
        status = self.place.stat()
        if not stat.S_ISDIR(status.st_mode):
            self._give_up(f"{self.place} is no folder")
        elif hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
            self._give_up(f"{self.place} can be written by other users")
        return not self._wrong

    def _give_up(self, why: str) -> None:
        self._wrong = why
        warnings.warn(
            f"{VARIABLE}: {why}; programs are compiled anew. `lamina cache --clear` empties the folder, "
            f"{VARIABLE} names another",
            RuntimeWarning,
            stacklevel=3,
        )


def _read_own(path: Path) -> bytes:
    """Read a regular file that belongs to this user."""
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(number, "rb") as stream:
        status = os.fstat(number)
        own = not hasattr(os, "getuid") or status.st_uid == os.getuid()
        if not stat.S_ISREG(status.st_mode) or not own or status.st_mode & 0o022:
            raise PermissionError(1, "another user can write it")
        return stream.read()


def _removed(path: Path) -> bool:
    with contextlib.suppress(OSError):
        path.unlink()
        return True
    return False
