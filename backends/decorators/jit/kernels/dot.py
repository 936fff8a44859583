"""Products of operands that are contiguous along the sum: the vectors lie along it.

C[b, m, n] = start + Σ_k A[b, m, k] B[b, k, n]. Such a product is x Wᵀ, the forward pass of a layer.
`contract` would have to transpose W first; `dot` adds up the lanes of each sum instead. That takes fewer
instructions where the result is small: a few rows, or a few columns.

A tile has as many sums as a vector has lanes. Their lanes are added up together, by halves as in a
transposition, so that the results are the lanes of one vector.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..ir import Code, Terms, Value, vector
from ..machine import Machine
from .contract import Along, Before, Finish, Product, Start
from .span import Array, Block, Span
from .sums import LONGEST, Places, cut, nest, runs, share


def suits(machine: Machine, product: Product, a: Array, b: Array, along: Along) -> bool:
    """Return whether `dot` takes less time than `contract` with its panels, by a count of instructions."""
    by_rows = along == "rows"
    lanes, terms = machine.lanes(a.element), math.prod(product.terms)
    rows, columns = product.rows, product.columns
    if a.strides[-1] != 1 or b.strides[-2] != 1 or product.terms[-1] * 2 < lanes:
        return False
    vectors = terms // product.terms[-1] * -(-product.terms[-1] // lanes)
    height, width = _tile(machine, product, lanes)
    step = max(1.0, (height + width) / (height * width))  # loads of a tile beside its multiply-adds
    sums = rows * columns * (vectors * step + 3)
    ready = (a.strides[len(product.batch)] if by_rows else b.strides[-1]) == 1
    if by_rows:
        rows, columns = columns, rows
    wide = -(-columns // lanes)
    shuffles = 0 if ready else wide * vectors * lanes * math.log2(lanes) * 1.2
    scattered = rows * columns * 4 if by_rows else 0
    return sums < rows * wide * terms + shuffles + scattered


def dot(
    code: Code,
    product: Product,
    a: Array,
    b: Array,
    start: Start,
    finish: Finish,
    *,
    before: Before | None = None,
) -> None:
    """Write the product of a (*batch, rows, *terms) and b (*batch, *terms, columns), of any strides.

    start(span) gives the numbers to begin with, finish(value, span) takes the results; the spans are blocks
    with the axes (*batch, rows, columns).
    """
    if 0 in (product.rows, product.columns, *product.batch):
        return
    height, width = _tile(code.machine, product, code.machine.lanes(a.element))

    by_rows = product.rows // height > product.columns // width
    first: Any = share if by_rows else Code.loop
    second: Any = Code.loop if by_rows else share

    def matrix(batch: Places) -> None:
        for i, down, rows in cut(product.rows, height):
            for j, right, columns in cut(product.columns, width):
                with first(code, down) as p, second(code, right) as q:
                    place = [*batch, [(i, 1), (p, height)], [(j, 1), (q, width)]]
                    _tile_of(code, product, a, b, place, (rows, columns), (start, finish, before))

    nest(code, [()] * len(product.batch), product.batch, matrix)


def units(machine: Machine, product: Product, element: str) -> int:
    """Return into how many pieces the parts of a kernel may cut the product."""
    height, width = _tile(machine, product, machine.lanes(element))
    return max(product.rows // height, product.columns // width)


def _tile(machine: Machine, product: Product, lanes: int) -> tuple[int, int]:
    """Return a tile's rows and columns: at most as many sums as a vector has lanes, or 8."""
    most = max(lanes, 8) if machine.registers == 32 else lanes
    width = min(product.columns, most)
    return max(min(product.rows, most // width), 1), width


def _tile_of(
    code: Code,
    product: Product,
    a: Array,
    b: Array,
    place: Sequence[Terms],
    tile: tuple[int, int],
    hooks: tuple[Start, Finish, Before | None],
) -> None:
    (rows, columns), rank = tile, len(product.batch)
    lanes = code.machine.lanes(a.element)
    kind = vector(a.element, lanes)
    cells = [[code.cell(kind) for _ in range(columns)] for _ in range(rows)]
    every = [(r, c) for r in range(rows) for c in range(columns)]
    row, column = place[rank], place[rank + 1]

    def load(array: Array, index: Sequence[Terms], axis: int, live: int) -> Value:
        # Never the padding: what stands there would be added up.
        exact = Array(array.pointer, array.element, array.strides)
        return Span(code, tuple(index), axis, lanes, live).load(exact) if live else code.number(kind, 0)

    def step(at: Places, live: int) -> None:
        batch = place[:rank]
        x = [load(a, [*batch, [*row, (r, 1)], *at], len(a.strides) - 1, live) for r in range(rows)]
        y = [load(b, [*batch, *at, [*column, (c, 1)]], len(b.strides) - 2, live) for c in range(columns)]
        if live < lanes:  # a repeated element fills all lanes
            x = [code.select(code.mask(lanes, live), value, code.number(kind, 0)) for value in x]
            y = [code.select(code.mask(lanes, live), value, code.number(kind, 0)) for value in y]
        for r, c in every:
            code.store(code.fma(x[r], y[c], code.load(cells[r][c], kind)), cells[r][c])

    def last(at: Places, extent: int) -> None:
        whole, rest = divmod(extent, lanes)
        if whole:
            with code.loop(whole) as i:
                step([*at[:-1], [*at[-1], (i, lanes)]], lanes)
        if rest:
            step([*at[:-1], [*at[-1], (whole * lanes, 1)]], rest)

    blocks = [every[first : first + lanes] for first in range(0, len(every), lanes)]
    spans = []
    for block in blocks:
        (r, c), width = block[0], 1 << (len(block) - 1).bit_length()
        here = (*place[:rank], [*row, (r, 1)], [*column, (c, 1)])
        spans.append(Block(code, here, rank, width, len(block), columns))
    totals = [code.cell(span.type(a.element)) for span in spans]
    for span, total in zip(spans, totals, strict=True):
        code.store(hooks[0](span), total)

    def run(at: Places, extents: Sequence[int]) -> None:
        for r, c in every:
            code.store(code.number(kind, 0), cells[r][c])
        nest(code, at, extents, lambda places: last(places, extents[-1]), inner=1)
        for block, total in zip(blocks, totals, strict=True):
            added = _lanes_added(code, [code.load(cells[r][c], kind) for r, c in block])
            code.store(code.add(code.load(total, added.type), added), total)

    if math.prod(product.terms):
        runs(code, product.terms, LONGEST * lanes, run)
    pairs = zip(spans, totals, strict=True)
    found = [(code.load(total, span.type(a.element)), span) for span, total in pairs]
    if hooks[2] is not None:
        hooks[2](found)
    for value, span in found:
        hooks[1](value, span)


def _lanes_added(code: Code, values: list[Value]) -> Value:
    """Return a vector of the sums of each value's lanes; its lanes are a power of two.

    A round adds the halves of two vectors, and leaves one vector with half of each.
    """
    width = 1 << (len(values) - 1).bit_length()
    half = values[0].type.lanes // 2
    while half >= width:  # more lanes than sums
        low, high = range(half), range(half, 2 * half)
        values = [code.add(code.shuffle(x, x, low), code.shuffle(x, x, high)) for x in values]
        half //= 2
    while half:
        added = []
        for i in range(min(half, len(values))):
            x = values[i]
            y = values[i + half] if i + half < len(values) else x
            same = [lane if not lane & half else width + lane for lane in range(width)]
            other = [lane + half if not lane & half else width + lane - half for lane in range(width)]
            added.append(code.add(code.shuffle(x, y, same), code.shuffle(x, y, other)))
        values, half = added, half // 2
    return values[0]
