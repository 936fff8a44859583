"""Transposition by blocks that fit in registers, and copies between arrays of any strides."""

from __future__ import annotations

from collections.abc import Sequence

from ..ir import Code, Terms, Value, bytes_of, vector
from .loops import Loops, elementwise
from .span import Array
from .sums import best_shared, cut, nest, share


def transpose(
    code: Code,
    element: str,
    m: int,
    n: int,
    source: Value,
    row: int,
    target: Value,
    target_row: int,
    *,
    padded: bool = False,
    shared: bool = False,
) -> None:
    """Write target[j target_row + i] = source[i row + j] for i < m, j < n, by blocks of whole vectors.

    They are loops, not one long text: unrolled, a matrix of 1024 rows would compile for minutes. `padded`:
    the source's rows may be read up to a whole vector. shared: whether the parts of a kernel share the longer
    loop.
    """
    size = side(code, element)
    down_shared = shared and m >= n
    for i, rows, height in cut(m, size):
        for j, columns, width in cut(n, size):
            with (
                share(code, rows) if down_shared else code.loop(rows) as p,
                share(code, columns) if shared and not down_shared else code.loop(columns) as q,
            ):
                down, right = [(i, 1), (p, size)], [(j, 1), (q, size)]
                scale = bytes_of(element)
                here = code.at(source, *_scaled(down, row * scale), *_scaled(right, scale))
                there = code.at(target, *_scaled(right, target_row * scale), *_scaled(down, scale))
                _block(code, element, height, width, here, row, there, target_row, padded=padded)


def side(code: Code, element: str) -> int:
    """Return the rows and columns of a block."""
    return 16 if element == "i1" else code.machine.lanes(element)


def _scaled(terms: Terms, factor: int) -> Terms:
    return [(index, scale * factor) for index, scale in terms]


def _block(
    code: Code,
    element: str,
    height: int,
    width: int,
    source: Value,
    row: int,
    target: Value,
    target_row: int,
    *,
    padded: bool,
) -> None:
    """Transpose one block in registers, a few columns at a time.

    Loads of 16 bytes put the rows i, i + c, i + 2 c, ... into the quarters of vector i. Then the quarters are
    transposed beside each other.
    """
    stored = "i8" if element == "i1" else element
    lanes, scale = side(code, element), bytes_of(stored)
    chunk = min(lanes, 16 // scale)
    for first in range(0, width, chunk):
        live = chunk if padded else min(chunk, width - first)
        here = code.at(source, (first, scale))
        rows = [_rows(code, stored, range(i, height, chunk), here, row, live) for i in range(chunk)]
        rows = turned(code, rows)
        for j in range(min(chunk, width - first)):
            code.store(rows[j], code.at(target, (first + j, target_row * scale)), height)


def turned(code: Code, rows: Sequence[Value]) -> list[Value]:
    """Transpose vectors in registers: of n vectors, n a power of 2, each n neighbouring lanes as a matrix.

    log2(n) rounds of shuffles swap the off-diagonal quarters of ever smaller squares.
    """
    rows, lanes = list(rows), rows[0].type.lanes
    step = len(rows) // 2
    while step:
        low = [j if not j & step else lanes + j - step for j in range(lanes)]
        high = [j + step if not j & step else lanes + j for j in range(lanes)]
        for i in (i for i in range(len(rows)) if not i & step):
            x, y = rows[i], rows[i + step]
            rows[i], rows[i + step] = code.shuffle(x, y, low), code.shuffle(x, y, high)
        step //= 2
    return rows


def _rows(code: Code, stored: str, rows: range, source: Value, row: int, live: int) -> Value:
    """Return a vector of 16 bytes of each of some rows; the rest is anything."""
    lanes, scale = side(code, "i1" if stored == "i8" else stored), bytes_of(stored)
    chunk = min(lanes, 16 // scale)
    found = Value(vector(stored, lanes), "zeroinitializer")
    for part, i in enumerate(rows):
        x = code.load(code.at(source, (i, row * scale)), vector(stored, chunk), live)
        wide = code.shuffle(x, x, [lane % chunk for lane in range(lanes)])
        inside = [part * chunk <= lane < (part + 1) * chunk for lane in range(lanes)]
        mask = code.lanes_of(vector("i1", lanes), [int(one) for one in inside])
        found = code.select(mask, wide, found) if part else wide
    return found


def copy(code: Code, shape: Sequence[int], source: Array, target: Array, *, shared: bool = False) -> None:
    """Write the source into the target, both of this shape, whatever their strides.

    shared: whether the parts of a kernel share a loop.
    """
    if 0 in shape:
        return
    loops = Loops.over(shape, [source, target])
    extents, (inner, outer) = loops.shape, loops.arrays
    crossed = _crossed(extents, inner, outer)
    if crossed is None:
        elementwise(code, shape, [source], [target], lambda code, x: x, shared=shared)
        return
    down, right = crossed
    others = [i for i in range(len(extents)) if i not in crossed]

    def block(places: list[Terms]) -> None:
        pointers = []
        for array in (inner, outer):
            scale = bytes_of(array.element)
            strides = [array.strides[i] * scale for i in others]
            pairs = zip(places, strides, strict=True)
            terms = [term for place, stride in pairs for term in _scaled(place, stride)]
            pointers.append(code.at(array.pointer, *terms))
        m, n, row, column = extents[down], extents[right], inner.strides[down], outer.strides[right]
        inside = outer_loop == len(others)
        transpose(code, source.element, m, n, pointers[0], row, pointers[1], column, shared=inside)

    lengths, size = [extents[i] for i in others], side(code, source.element)
    longest = max(extents[down], extents[right]) // size
    outer_loop = best_shared(code, [*lengths, longest]) if shared else None
    nest(code, [()] * len(others), lengths, block, shared=outer_loop)


def _crossed(shape: Sequence[int], source: Array, target: Array) -> tuple[int, int] | None:
    """Return the axes along which the target and the source are contiguous, if they differ."""
    down = [axis for axis in range(len(shape)) if target.strides[axis] == 1 and source.strides[axis]]
    right = [axis for axis in range(len(shape)) if source.strides[axis] == 1 and target.strides[axis]]
    if not down or not right or set(down) & set(right):
        return None
    return down[0], right[0]
