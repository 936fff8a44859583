"""`CellTable`: which handles of a backend are cells, and where they lie."""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...protocol import Shape


@dataclass(frozen=True, eq=False)
class Record:
    """One call of `cells`: a flat buffer."""

    size: int
    dtype: str
    views: tuple[tuple[int, Shape], ...]
    flat: weakref.ref[Any]


class Place(NamedTuple):
    """Where a cell lies in its buffer."""

    record: Record
    offset: int
    shape: Shape
    keeps: Any
    """The flat buffer, which lives as long as its views; None for the buffer itself."""


class CellTable:
    """Finds a cell's place by its identity. A handle that nobody holds any more leaves the table."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[weakref.ref[Any], Place]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def add(self, flat: Any, views: Mapping[str, Any], shapes: Mapping[str, Shape], dtype: str) -> None:
        """Enter a flat buffer and its views, whose shapes are given in their order."""
        offsets, size = [], 0
        for shape in shapes.values():
            offsets.append(size)
            size += math.prod(shape)
        parts = tuple(zip(offsets, shapes.values(), strict=True))
        record = Record(size, dtype, parts, weakref.ref(flat))
        for view, (offset, shape) in zip(views.values(), parts, strict=True):
            self._enter(view, Place(record, offset, shape, None if view is flat else flat))
        self._enter(flat, Place(record, 0, (size,), None))

    def find(self, handle: Any) -> Place | None:
        """Return a cell's place; None for another handle."""
        entry = self._places.get(id(handle))
        return entry[1] if entry is not None and entry[0]() is handle else None

    def _enter(self, handle: Any, place: Place) -> None:
        key = id(handle)
        self._places[key] = (weakref.ref(handle, lambda _: self._places.pop(key, None)), place)
