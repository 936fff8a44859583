"""Memory of large results: taken again when nobody holds them, never before."""

from __future__ import annotations

import pytest

from lamina.backends.decorators.jit.rooms import KEPT, LARGE, Rooms

pytestmark = pytest.mark.without_torch
LONG = ((LARGE // 4,), "float32")


def test_a_result_that_somebody_holds_keeps_its_memory() -> None:
    rooms = Rooms()
    (first,) = rooms.arrays([LONG])
    first[...] = 1.0
    part = first[5:8]
    del first
    (second,) = rooms.arrays([LONG])
    second[...] = 2.0
    assert (part == 1.0).all()


def test_memory_is_taken_again() -> None:
    rooms = Rooms()
    places = []
    for _ in range(3):
        first, second = rooms.arrays([LONG, ((2, LARGE // 8), "float64")])
        assert first.ctypes.data % 64 == second.ctypes.data % 64 == 0
        assert second.shape == (2, LARGE // 8)
        assert second.dtype == "float64"
        places.append((first.ctypes.data, second.ctypes.data))
        del first, second
    assert len(set(places)) == 1


def test_small_and_huge_results_leave_nothing() -> None:
    rooms = Rooms()
    rooms.arrays([((3, 0), "float32"), ((), "bool"), ((KEPT,), "float32")])
    assert not rooms._rooms
