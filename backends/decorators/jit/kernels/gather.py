"""Elements and rows by index: take, index_add, take_along_axis, scatter_add.

Native code has no bounds checks. An index is checked before the program runs, or here: with a `flag` (the
address of a byte), an index out of range sets it to 1 and is not followed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from ..ir import Code, Index, Terms, Value, bytes_of, scalar
from .loops import elementwise
from .span import Array, Span
from .sums import Places, nest, share


def take(
    code: Code,
    shape: Sequence[int],
    axis: int,
    extent: int,
    source: Array,
    indices: Array,
    output: Array,
    *,
    flag: Value | None = None,
) -> None:
    """Write output[.., k, ..] = source[.., indices[k], ..], for an output of this shape.

    `extent` is the source's along the axis; `indices` has one stride.
    """

    def copy(row: Sequence[int], here: Callable[[Array], Array], there: Callable[[Array], Array]) -> None:
        elementwise(code, row, [there(source)], [here(output)], lambda code, x: x)

    _rows(code, shape, axis, extent, indices, copy, flag, shared=True)


def index_add(
    code: Code,
    shape: Sequence[int],
    axis: int,
    extent: int,
    target: Array,
    indices: Array,
    values: Array,
    *,
    flag: Value | None = None,
) -> None:
    """Add values[.., k, ..], of this shape, to target[.., indices[k], ..], in the order of k."""

    def add(row: Sequence[int], here: Callable[[Array], Array], there: Callable[[Array], Array]) -> None:
        place = there(target)
        elementwise(code, row, [place, here(values)], [place], Code.add)

    _rows(code, shape, axis, extent, indices, add, flag)


def _rows(
    code: Code,
    shape: Sequence[int],
    axis: int,
    extent: int,
    indices: Array,
    body: Callable[[Sequence[int], Callable[[Array], Array], Callable[[Array], Array]], None],
    flag: Value | None,
    *,
    shared: bool = False,
) -> None:
    """Call the body for each index, with the row's shape and two functions that give an array's row."""
    with (
        share(code, shape[axis]) if shared else code.loop(shape[axis])
    ) as k:  # over empty rows too: their indices are checked
        index = Span(code, ([(k, 1)],), 0, 1, 1).load(indices)

        def row_at(place: Index) -> Callable[[Array], Array]:
            def row(array: Array) -> Array:
                step = array.strides[axis] * bytes_of(array.element)
                strides = (*array.strides[:axis], *array.strides[axis + 1 :])
                return replace(array, pointer=code.at(array.pointer, (place, step)), strides=strides)

            return row

        with _checked(code, index, extent, flag):
            body([*shape[:axis], *shape[axis + 1 :]], row_at(k), row_at(index))


def take_along_axis(
    code: Code,
    shape: Sequence[int],
    axis: int,
    extent: int,
    source: Array,
    indices: Array,
    output: Array,
    *,
    flag: Value | None = None,
) -> None:
    """Write output[.., k, ..] = source[.., indices[.., k, ..], ..], for indices and output of this shape."""

    def copy(here: Span, there: Span) -> None:
        here.store(there.load(source), output)

    _elements(code, shape, axis, extent, indices, copy, flag)


def scatter_add(
    code: Code,
    shape: Sequence[int],
    axis: int,
    extent: int,
    target: Array,
    indices: Array,
    values: Array,
    *,
    flag: Value | None = None,
) -> None:
    """Add values[.., k, ..], of this shape, to target[.., indices[.., k, ..], ..], in row-major order."""

    def add(here: Span, there: Span) -> None:
        there.store(code.add(there.load(target), here.load(values)), target)

    _elements(code, shape, axis, extent, indices, add, flag)


def _elements(
    code: Code,
    shape: Sequence[int],
    axis: int,
    extent: int,
    indices: Array,
    body: Callable[[Span, Span], None],
    flag: Value | None,
) -> None:
    """Call body(element, element at the index) for each of a shape."""

    def element(places: Places) -> None:
        here = Span(code, tuple(places), 0, 1, 1)
        index = here.load(indices)
        with _checked(code, index, extent, flag):
            there: list[Terms] = list(places)
            there[axis] = [(index, 1)]
            body(here, replace(here, index=tuple(there)))

    if 0 not in shape:
        nest(code, [()] * len(shape), shape, element)


@contextlib.contextmanager
def _checked(code: Code, index: Value, extent: int, flag: Value | None) -> Iterator[None]:
    """Write a body that runs if the index is in range, and set the flag otherwise."""
    if flag is None:
        yield
        return
    # As an unsigned number, a negative one is too large.
    outside = code.new(scalar("i1"), f"icmp uge {index}, {extent}")
    with code.when(outside):
        code.store(code.number(scalar("i8"), 1), flag)
    with code.when(code.bitwise("xor", outside, code.number(outside.type, 1))):
        yield
