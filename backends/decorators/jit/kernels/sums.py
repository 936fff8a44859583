"""Loops: nests, loops that the parts of a kernel share, and long sums in runs.

What is added one after the other is cut into runs, whose totals are added in turn.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence

from ..ir import INDEX, Code, Index, Terms, Value
from ..sizes import LONGEST as LONGEST

Places = list[Terms]
"""One place for each axis that is summed over."""


def runs(
    code: Code, extents: Sequence[int], limit: int, write: Callable[[Places, Sequence[int]], None]
) -> None:
    """Cut the sum over nested axes into runs of at most `limit` steps, written by write(places, extents).

    A run lies at `places`, one for each axis, and spreads over `extents` of the last axes.
    """
    _runs(code, [], list(extents), limit, write)


def _runs(
    code: Code,
    places: Places,
    extents: list[int],
    limit: int,
    write: Callable[[Places, Sequence[int]], None],
) -> None:
    first, rest = extents[0], extents[1:]
    inner = math.prod(rest)
    if first * inner <= limit:
        write([*places, *([()] * len(extents))], extents)
    elif inner > limit:
        with code.loop(first) as i:
            _runs(code, [*places, [(i, 1)]], rest, limit, write)
    else:
        length = limit // inner
        with code.loop(first // length) as i:
            write([*places, [(i, length)], *([()] * len(rest))], [length, *rest])
        if first % length:
            start = [(first - first % length, 1)]
            write([*places, start, *([()] * len(rest))], [first % length, *rest])


def nest(
    code: Code,
    places: Places,
    extents: Sequence[int],
    body: Callable[[Places], None],
    *,
    inner: int = 0,
    shared: int | None = None,
) -> None:
    """Write loops over the last `extents` of the places but the `inner` innermost, and the body in them.

    The parts of a kernel share the loop over the place of number `shared`.
    """
    if len(extents) == inner:
        body(places)
        return
    axis = len(places) - len(extents)
    with share(code, extents[0]) if axis == shared else code.loop(extents[0]) as i:
        moved = [*places[:axis], [*places[axis], (i, 1)], *places[axis + 1 :]]
        nest(code, moved, extents[1:], body, inner=inner, shared=shared)


@contextlib.contextmanager
def share(code: Code, count: int) -> Iterator[Index]:
    """Write a loop of which each part of a kernel runs a range; if there are no parts, the whole loop.

    Each part runs what stands outside such loops: that may write the thread's own memory alone.
    """
    if code.part is None:
        with code.loop(count) as i:
            yield i
        return
    code.shares = True
    part, parts = code.part
    low, high = _bound(code, [(part, 1)], count, parts), _bound(code, [(part, 1), (1, 1)], count, parts)
    with code.loop(code.sub(high, low)) as i:
        yield code.sum([(low, 1), (i, 1)])


def turns(code: Code, count: int, *, shared: bool) -> contextlib.AbstractContextManager[Index]:
    """Write a loop, which the parts of a kernel may share."""
    return share(code, count) if shared else code.loop(count)


def _bound(code: Code, part: Terms, count: int, parts: int) -> Value:
    """Return the first turn of a part."""
    scaled = code.sum([(index, factor * count) for index, factor in part])
    return code.new(INDEX, f"udiv {scaled}, {parts}")


def best_shared(code: Code, extents: Sequence[int]) -> int | None:
    """Return the first loop that is long enough for the parts of a kernel, else the longest; None without."""
    if code.part is None or not extents:
        return None
    most = max(extents)
    return next(i for i, extent in enumerate(extents) if extent >= min(code.part[1], most))


def cut(extent: int, size: int) -> list[tuple[int, int, int]]:
    """Return (first, count, size) of the whole parts of an extent, and of the rest."""
    whole, rest = divmod(extent, size)
    return [part for part in ((0, whole, size), (whole * size, 1, rest)) if part[1] and part[2]]


def even(extent: int, most: int) -> list[tuple[int, int, int]]:
    """Return (first, count, size) of parts of at most so much, of nearly equal sizes."""
    count = -(-extent // most)
    low, more = divmod(extent, count)
    parts = (0, more, low + 1), (more * (low + 1), count - more, low)
    return [part for part in parts if part[1] and part[2]]
