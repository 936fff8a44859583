"""Reshapes and transpositions of shapes: which axes of one are which of the other."""

from __future__ import annotations

import math

from ....protocol import Shape

Group = tuple[list[int], list[int]]
"""Axes of one shape and of another that have equal sizes together."""


def grouped(fine: Shape, coarse: Shape) -> list[Group]:
    """Return the axes of two shapes of one size in groups of equal sizes, as small and in order."""
    groups: list[Group] = []
    i = j = 0
    while i < len(fine) or j < len(coarse):
        left, right = [i] if i < len(fine) else [], [j] if j < len(coarse) else []
        i, j = i + len(left), j + len(right)
        while True:
            a, b = (math.prod(s[k] for k in axes) for s, axes in ((fine, left), (coarse, right)))
            if a == b:
                break
            if a < b:
                left.append(i)
                i += 1
            else:
                right.append(j)
                j += 1
        groups.append((left, right))
    return groups


def joined(middle: Shape, order: tuple[int, ...], shape: Shape) -> tuple[Shape, tuple[int, ...]] | None:
    """Return (a, b) such that a tensor of shape `middle`, transposed to `order` and reshaped to `shape`, is
    the tensor reshaped to a and then transposed to b.

    None if it joins axes that are not neighbours before the transposition. No extent may be 0.
    """
    if 0 in middle or 0 in shape:
        return None
    axes = [axis for axis in order if middle[axis] != 1]
    wide = tuple(middle[axis] for axis in axes)
    places = [i for i, n in enumerate(shape) if n != 1]
    parts: list[tuple[int, list[int]]] = []
    for left, right in grouped(wide, tuple(shape[i] for i in places)):
        before = [axes[i] for i in left]
        between = [axis for axis in range(min(before), max(before) + 1) if middle[axis] != 1]
        if between != before:
            return None
        parts.append((before[0], [places[i] for i in right]))
    found = [i for _, those in sorted(parts) for i in those]
    found = [i for i, n in enumerate(shape) if n == 1] + found  # the axes of `shape`, in memory's order
    return tuple(shape[i] for i in found), tuple(found.index(i) for i in range(len(shape)))
