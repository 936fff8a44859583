"""What a backend's callers hold of its tensors: bytes that are alive, seen from the handles alone."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from ..meta import Meta
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
    """A handle that is watched: its number, what it is, and the storage that it keeps alive."""

    __slots__ = ("key", "meta", "storage")
    key: int
    meta: Meta
    storage: _Storage


class Memory:
    """Bytes of the tensors alive that came through `note`.

    Storage counts from the op that made it until the last handle on it is gone. What an op takes for itself
    while it runs is not seen; a view counts as its source's storage, also where a backend had to copy.
    """

    def __init__(self) -> None:
        self.live = 0
        self.watched: dict[int, _Watched] = {}
        """The handles that are alive, by `id`."""

    def note(self, op: Op, args: Sequence[Any], result: Any, metas: Sequence[Meta]) -> tuple[int, int]:
        """Watch what an op gave, tensors like these; return how many got new storage, and its bytes."""
        if op.gives == "tensor":
            if op.view:
                source = self.watched.get(id(args[op.positions[0]]))
                if source is not None:
                    self._watch(result, metas[0], source.storage)
                return 0, 0
            return self._new((result,), metas)
        if op.gives == "tensors":
            return self._new(result, metas)
        if op.gives == "cells":
            flat, views = result
            count, size = self._new((flat,), metas[:1])
            owner = self.watched.get(id(flat))
            if owner is not None:
                for view, meta in zip(views.values(), metas[1:], strict=True):
                    self._watch(view, meta, owner.storage)
            return count, size
        return 0, 0

    def _new(self, handles: Sequence[Any], metas: Sequence[Meta]) -> tuple[int, int]:
        count = size = 0
        made = (handle for handle in handles if handle is not None)
        for handle, meta in zip(made, metas, strict=True):
            if id(handle) not in self.watched:  # else it was `out`, or an argument itself
                nbytes = meta.nbytes
                self._watch(handle, meta, _Storage(self, nbytes))
                count, size = count + 1, size + nbytes
        return count, size

    def _watch(self, handle: Any, meta: Meta, storage: _Storage) -> None:
        try:
            watched = _Watched(handle, self._forget)
        except TypeError:  # a kind of handle that cannot be watched: its life is not seen
            return
        watched.key, watched.meta, watched.storage = id(handle), meta, storage
        self.watched[watched.key] = watched

    def _forget(self, watched: weakref.ref[Any]) -> None:
        self.watched.pop(watched.key, None)  # type: ignore[attr-defined]  # only ours are made
