"""Long sums in runs: what is added one after the other is cut into runs, whose totals are added in turn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ..ir import Code, Terms

LONGEST = 8192
"""The most terms that are added one after the other to one number."""

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
    code: Code, places: Places, extents: Sequence[int], body: Callable[[Places], None], *, inner: int = 0
) -> None:
    """Write loops over the last `extents` of the places but the `inner` innermost, and the body in them."""
    if len(extents) == inner:
        body(places)
        return
    axis = len(places) - len(extents)
    with code.loop(extents[0]) as i:
        moved = [*places[:axis], [*places[axis], (i, 1)], *places[axis + 1 :]]
        nest(code, moved, extents[1:], body, inner=inner)
