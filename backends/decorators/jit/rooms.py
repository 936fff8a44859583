"""`Rooms`: memory of large results, which a run takes again when nobody holds the results any more.

New memory of the system is filled with zeros at its first touch. For results of some megabytes that takes a
good part of a layer's time, and C's allocator keeps no memory of 32 MB and more.
"""

from __future__ import annotations

import math
import sys

import numpy as np

from ...host import Host
from ...protocol import Shape
from .compiler import address_of
from .sizes import ALIGNMENT

LARGE = 1 << 20
"""The bytes from which a result lies in a room."""
KEPT = 1 << 26
"""The most bytes that are kept while nobody uses them."""


class Rooms:
    """The rooms of one run."""

    def __init__(self) -> None:
        self._rooms: list[Host] = []

    def arrays(self, shapes: list[tuple[Shape, str]]) -> list[Host]:
        """Return arrays with any content; large ones begin at a cache line."""
        rooms, self._rooms = self._rooms, []  # another thread finds none, and makes its own
        # A room that nobody else holds: this list, the loop and the call count.
        free = [room for room in rooms if sys.getrefcount(room) <= 3]
        del rooms
        found, kept = [], list[Host]()
        for shape, dtype in shapes:
            size = math.prod(shape) * np.dtype(dtype).itemsize
            if size < LARGE:
                found.append(np.empty(shape, dtype))
                continue
            i = next((i for i, room in enumerate(free) if room.size == size + ALIGNMENT), None)
            room = np.empty(size + ALIGNMENT, np.uint8) if i is None else free.pop(i)
            start = -address_of(room) % ALIGNMENT
            found.append(room[start : start + size].view(dtype).reshape(shape))
            if size + sum(one.size for one in kept) <= KEPT:
                kept.append(room)
        self._rooms = kept
        return found
