"""Windows over images, as plain loops: `unfold`, `fold`, and max pooling.

Arrays have the axes of the image, (N, C, *size), or of windows, (N, C, *counts), and of columns (N, C,
*kernel_size, *counts). A loop over the places of a kernel, or over windows, runs where they meet the image:
padding is never read, nor written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from ....windows import Window
from ..ir import Code, Index, Terms, Value, bytes_of, scalar
from .along import Along, axes_of
from .loops import elementwise
from .span import Array, Span
from .sums import Places, best_shared, nest


def _bodies(
    code: Code,
    axes: Sequence[Along],
    shape: Sequence[int],
    body: Callable[[Sequence[int], Places, Places, Places], None],
) -> None:
    """Call body(extents, places, taps, windows) for each sample, channel and tap, and each row of windows.

    The last axes, if they are plain, are left to the body: `extents` are theirs. Places have the axes of the
    image, windows those of the windows.
    """
    rank = len(axes)
    while rank and axes[rank - 1].plain:
        rank -= 1
    rest: list[Terms] = [()] * (len(axes) - rank)

    def windows(outer: Places) -> None:
        taps, found, places = outer[2:], list[Terms](), list[Terms]()

        def along(axis: int) -> None:
            if axis == rank:
                ends = [*outer[:2]]
                body(shape[2 + rank :], [*ends, *places, *rest], [*taps, *rest], [*ends, *found, *rest])
                return
            here = axes[axis]
            tap: Index = taps[axis][0][0] if taps[axis] else 0
            first, count = here.results_of(code, tap)
            with code.loop(count) as i:
                window: Terms = [(first, 1), (i, 1)]
                found.append(window)
                places.append([(first, here.step), (i, here.step), (tap, here.dilation), (here.first, 1)])
                along(axis + 1)
                found.pop()
                places.pop()

        along(0)

    extents = [*shape[:2], *(axis.taps for axis in axes[:rank])]
    nest(code, [()] * len(extents), extents, windows)


def _moved(code: Code, array: Array, places: Sequence[Terms]) -> Array:
    """Return an array from a place on, with the axes behind those of the place."""
    size = bytes_of(array.element)
    terms = [
        (index, factor * stride * size)
        for place, stride in zip(places, array.strides, strict=False)
        for index, factor in place
    ]
    return replace(array, pointer=code.at(array.pointer, *terms), strides=array.strides[len(places) :])


def _each_tap(
    code: Code, window: Window, shape: Sequence[int], image: Array, columns: Array, body: Callable[..., None]
) -> None:
    """Call body(extents, part of the image, part of the columns) for all windows and taps."""
    axes = axes_of(window)

    def parts(extents: Sequence[int], places: Places, taps: Places, windows: Places) -> None:
        inner = len(extents)
        there = [*windows[:2], *taps, *windows[2:]]
        outer = len(places) - inner
        body(
            extents,
            _moved(code, image, places[:outer]),
            _moved(code, columns, there[: len(there) - inner]),
        )

    _bodies(code, axes, shape, parts)


def unfold(code: Code, window: Window, shape: Sequence[int], image: Array, columns: Array) -> None:
    """Write the columns of an image (N, C, *size) of this shape, but for those places that are padding."""

    def copy(extents: Sequence[int], place: Array, column: Array) -> None:
        elementwise(code, extents, [place], [column], lambda code, x: x)

    _each_tap(code, window, shape, image, columns, copy)


def fold(code: Code, window: Window, shape: Sequence[int], columns: Array, image: Array) -> None:
    """Add columns to the places of an image (N, C, *size) of this shape."""

    def add(extents: Sequence[int], place: Array, column: Array) -> None:
        elementwise(code, extents, [place, column], [place], Code.add)

    _each_tap(code, window, shape, image, columns, add)


# -- max pooling -----------------------------------------------------------------------------------


def max_pool(
    code: Code,
    window: Window,
    shape: Sequence[int],
    image: Array,
    values: Array | None,
    indices: Array | None,
    *,
    shared: bool = False,
) -> None:
    """Write each window's maximum and the place of it, or one of the two, for an image of this shape.

    The vectors lie along the axis on which the image is contiguous, if every place of it is a window; else
    along the channels or the samples. shared: whether the parts of a kernel share a loop.
    """
    axes = axes_of(window)
    counts = (*shape[:2], *window.counts)
    if 0 in counts:
        return
    free = [0, 1, *(i + 2 for i, axis in enumerate(axes) if axis.plain)]
    across = max(free, key=lambda axis: (image.strides[axis] == 1, counts[axis], axis))
    lanes = code.machine.lanes(image.element) if counts[across] > 1 else 1
    strides = [math.prod(window.size[i + 1 :]) for i in range(len(axes))]
    others = [i for i in range(len(counts)) if i != across]

    def inside(found: Places) -> None:
        places: Places = [()] * len(counts)
        for i, place in zip(others, found, strict=True):
            places[i] = place
        whole, rest = divmod(counts[across], lanes)
        for first, count, live in ((0, whole, lanes), (whole * lanes, 1, rest)):
            if count and live:
                with code.loop(count) as turn:
                    places[across] = [(first, 1), (turn, lanes)]
                    _largest(code, axes, strides, Span(code, tuple(places), across, lanes, live), arrays)

    arrays, lengths = (image, values, indices), [counts[i] for i in others]
    outer = best_shared(code, lengths) if shared else None
    nest(code, [()] * len(others), lengths, inside, shared=outer)


def _largest(
    code: Code,
    axes: Sequence[Along],
    strides: Sequence[int],
    span: Span,
    arrays: tuple[Array, Array | None, Array | None],
) -> None:
    """Write the maxima of a span of windows, and their places."""
    image, values, indices = arrays
    kind, places = span.type(image.element), span.type("i64")
    best, chosen = code.cell(kind), code.cell(places)
    code.store(code.number(kind, -math.inf), best)
    code.store(code.number(places, -1), chosen)
    # Along the axis of the vectors the places differ from lane to lane.
    step = strides[span.axis - 2] if span.axis >= 2 else 0
    lanes = code.lanes_of(places, [i * step for i in range(span.width)])

    def tap(at: Places) -> None:
        pairs = zip(at[2:], strides, strict=True)
        terms = [(index, factor * stride) for place, stride in pairs for index, factor in place]
        number = code.add(code.splat(code.sum(terms), span.width), lanes)
        _larger(code, replace(span, index=tuple(at)).load(image), number, best, chosen)

    _each(code, axes, list(span.index), 0, tap)
    if values is not None:
        span.store(code.load(best, kind), values)
    if indices is not None:
        span.store(code.load(chosen, places), indices)


def _larger(code: Code, x: Value, number: Value, best: Value, chosen: Value) -> None:
    """Take x and its place if it is the first one, larger than the best, or the first NaN."""
    old, place = code.load(best, x.type), code.load(chosen, number.type)
    first = code.compare("lt", place, code.number(number.type, 0))
    nan = code.bitwise("and", code.is_nan(x), code.compare("eq", old, old))
    better = code.bitwise("or", code.bitwise("or", code.compare("gt", x, old), nan), first)
    code.store(code.select(better, x, old), best)
    code.store(code.select(better, number, place), chosen)


def _each(code: Code, axes: Sequence[Along], at: Places, axis: int, body: Callable[[Places], None]) -> None:
    """Call the body for each place of the window at `at`, whose axes before `axis` are places already."""
    if axis == len(axes):
        body(at)
        return
    here = axes[axis]
    if here.plain:
        _each(code, axes, at, axis + 1, body)
        return
    window = code.sum(at[axis + 2])
    first, count = here.taps_of(code, window)
    with code.loop(count) as i:
        place = [(window, here.step), (first, here.dilation), (i, here.dilation), (here.first, 1)]
        _each(code, axes, [*at[: axis + 2], place, *at[axis + 3 :]], axis + 1, body)


def max_pool_grad(
    code: Code,
    shape: Sequence[int],
    grad: Array,
    indices: Array,
    image: Array,
    *,
    hollow: bool,
    shared: bool = False,
) -> None:
    """Add the gradients of windows, of this shape (N, C, *counts), to an image (N, C, places).

    shared: whether the parts of a kernel share a loop.
    """

    def element(places: Places) -> None:
        here = Span(code, tuple(places), 0, 1, 1)
        index = here.load(indices)

        def add() -> None:
            there = Span(code, (*places[:2], [(index, 1)]), 0, 1, 1)
            there.store(code.add(there.load(image), here.load(grad)), image)

        if hollow:
            with code.when(code.new(scalar("i1"), f"icmp sge {index}, 0")):
                add()
        else:
            add()

    if 0 not in shape:
        outer = best_shared(code, shape[:2]) if shared else None  # each image has its own places
        nest(code, [()] * len(shape), shape, element, shared=outer)
