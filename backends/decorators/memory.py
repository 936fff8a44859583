"""What a backend's callers hold of its tensors: bytes that are alive, seen from the handles alone."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from ..ops import Op


class _Storage:
    """The memory behind a handle and its views; it is given back with the last of them."""

    __slots__ = ("memory", "nbytes")

    def __init__(self, memory: Memory, nbytes: int) -> None:
        self.memory, self.nbytes = memory, nbytes
        memory.live += nbytes

    def __del__(self) -> None:
        self.memory.live -= self.nbytes


class _Watched(weakref.ref[Any]):
    """A handle that is watched: its number, and the storage that it keeps alive."""

    __slots__ = ("key", "storage")
    key: int
    storage: _Storage


class Memory:
    """Bytes of the tensors alive that came through `note`.

    Storage counts from the op that made it until the last handle on it is gone. What an op takes for itself
    while it runs is not seen; a view counts as its source's storage, also where a backend had to copy.
    """

    def __init__(self) -> None:
        self.live = 0
        self._watched: dict[int, _Watched] = {}

    def note(self, op: Op, args: Sequence[Any], result: Any, sizes: Sequence[int]) -> tuple[int, int]:
        """Watch what an op gave, tensors of these bytes; return how many got new storage, and its bytes."""
        if op.gives == "tensor":
            if op.view:
                source = self._watched.get(id(args[op.positions[0]]))
                if source is not None:
                    self._watch(result, source.storage)
                return 0, 0
            return self._new((result,), sizes)
        if op.gives == "tensors":
            return self._new(result, sizes)
        if op.gives == "cells":
            flat, views = result
            count, size = self._new((flat,), sizes)
            owner = self._watched.get(id(flat))
            for view in views.values() if owner is not None else ():
                self._watch(view, owner.storage)
            return count, size
        return 0, 0

    def _new(self, handles: Sequence[Any], sizes: Sequence[int]) -> tuple[int, int]:
        count = size = 0
        for handle, nbytes in zip(handles, sizes, strict=True):
            if id(handle) not in self._watched:  # else it was `out`, or an argument itself
                self._watch(handle, _Storage(self, nbytes))
                count, size = count + 1, size + nbytes
        return count, size

    def _watch(self, handle: Any, storage: _Storage) -> None:
        try:
            watched = _Watched(handle, self._forget)
        except TypeError:  # a kind of handle that cannot be watched: its life is not seen
            return
        watched.key, watched.storage = id(handle), storage
        self._watched[watched.key] = watched

    def _forget(self, watched: weakref.ref[Any]) -> None:
        self._watched.pop(watched.key, None)  # type: ignore[attr-defined]  # only ours are made
