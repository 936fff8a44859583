"""Products of few outputs and long sums: the vectors lie along the sum, and are added up at its end.

C[b, m, n] = start + Σ_k A[b, m, k] B[b, k, n]. It suits operands that are contiguous along k, such as x Wᵀ
of one row, or the gradient of a small weight over many samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..ir import Code, Terms, Value, vector
from ..machine import Machine
from .contract import Before, Finish, Product, Start
from .span import Array, Span
from .sums import LONGEST, Places, nest, runs


def suits(machine: Machine, product: Product, a: Array, b: Array) -> bool:
    """Return whether `dot` takes fewer instructions than `contract` with its panels."""
    lanes, rank = machine.lanes(a.element), len(product.batch)
    contiguous = a.strides[-1] == b.strides[-2] == 1 and product.terms[-1] >= 2 * lanes
    if not contiguous:
        return False
    if b.strides[-1] == 1 or a.strides[rank] == 1:  # contract needs no panel, but may have few lanes
        return min(product.rows, product.columns) * 4 <= lanes and product.rows * product.columns < lanes
    return product.rows < 4 or product.rows * product.columns < lanes


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

    start(span) gives the number to begin with, finish(value, span) takes the result; the spans are single
    elements, with the axes (*batch, rows, columns).
    """
    if 0 in (product.rows, product.columns, *product.batch):
        return
    height, width = _tile(code.machine, product)

    def matrix(batch: Places) -> None:
        for i, down, rows in _groups(product.rows, height):
            for j, right, columns in _groups(product.columns, width):
                with code.loop(down) as p, code.loop(right) as q:
                    place = [*batch, [(i, 1), (p, height)], [(j, 1), (q, width)]]
                    _tile_of(code, product, a, b, place, (rows, columns), (start, finish, before))

    nest(code, [()] * len(product.batch), product.batch, matrix)


def _tile(machine: Machine, product: Product) -> tuple[int, int]:
    """Return the tile's rows and columns: their product in sums, beside their sum in operands."""
    side = 4 if machine.registers == 32 else 3
    height = min(product.rows, side)
    width = min(product.columns, side if height > 1 else 2 * side)
    return (min(product.rows, 2 * side) if width == 1 else height), width


def _groups(extent: int, size: int) -> list[tuple[int, int, int]]:
    """Return (first, count, size) of whole tiles along an axis, and of the rest."""
    whole, rest = divmod(extent, size)
    return [g for g in ((0, whole, size), (whole * size, 1, rest)) if g[1] and g[2]]


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

    totals = {place: code.cell(vector(a.element, 1)) for place in every}
    spans = {
        (r, c): Span(code, (*place[:rank], [*row, (r, 1)], [*column, (c, 1)]), rank + 1, 1, 1)
        for r, c in every
    }
    for r, c in every:
        code.store(hooks[0](spans[r, c]), totals[r, c])

    def run(at: Places, extents: Sequence[int]) -> None:
        for r, c in every:
            code.store(code.number(kind, 0), cells[r][c])
        nest(code, at, extents, lambda places: last(places, extents[-1]), inner=1)
        for r, c in every:
            added = code.across(code.load(cells[r][c], kind), code.add)
            code.store(code.add(code.load(totals[r, c], added.type), added), totals[r, c])

    if math.prod(product.terms):
        runs(code, product.terms, LONGEST * lanes, run)
    found = [(code.load(totals[place], vector(a.element, 1)), spans[place]) for place in every]
    if hooks[2] is not None:
        hooks[2](found)
    for value, span in found:
        hooks[1](value, span)
