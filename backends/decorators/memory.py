"""The memory of live tensors, tracked by their handles alone."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from ..meta import Meta
from ..ops import Op


class _Storage:
    """The memory behind a handle and its views, released with the last of them."""

    __slots__ = ("memory", "nbytes")

    def __init__(self, memory: Memory, nbytes: int) -> None:
        self.memory, self.nbytes = memory, nbytes
        memory.live += nbytes

    def __del__(self) -> None:
        self.memory.live -= self.nbytes


class _Watched(weakref.ref[Any]):
    """A weak reference to a handle, with its id, its shape and dtype, and its storage."""

    __slots__ = ("key", "meta", "storage")
    key: int
    meta: Meta
    storage: _Storage


class Memory:
    """The bytes of the live tensors that came through `note`.

    Storage counts from the op that made it until its last handle is gone. Temporaries inside an op do not
    count. A view counts as its source's storage, even if a backend had to copy.
    """

    def __init__(self) -> None:
        self.live = 0
        self.watched: dict[int, _Watched] = {}
        """The live handles, by `id`."""

    def note(self, op: Op, args: Sequence[Any], result: Any, metas: Sequence[Meta]) -> tuple[int, int]:
        """Watch the results of an op; return how many have new storage, and its bytes."""
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
            if id(handle) not in self.watched:  # else it is `out`, or an argument itself
                nbytes = meta.nbytes
                self._watch(handle, meta, _Storage(self, nbytes))
                count, size = count + 1, size + nbytes
        return count, size

    def _watch(self, handle: Any, meta: Meta, storage: _Storage) -> None:
        try:
            watched = _Watched(handle, self._forget)
        except TypeError:  # this kind of handle takes no weak reference
            return
        watched.key, watched.meta, watched.storage = id(handle), meta, storage
        self.watched[watched.key] = watched

    def _forget(self, watched: weakref.ref[Any]) -> None:
        self.watched.pop(watched.key, None)  # type: ignore[attr-defined]  # only ours are made
