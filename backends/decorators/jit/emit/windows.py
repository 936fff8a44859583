"""The rules of the ops over windows: `unfold`, `fold`, max pooling; and products that are convolutions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ....protocol import Shape
from ....windows import Window
from ..instructions import Call, Operand, Value
from ..ir import POINTER, Code, Index, Terms, bytes_of
from ..ir import Value as Register
from ..kernels import direct_weights, windows
from ..kernels.direct import Correlation, Locate, Plan, correlate, pack, three
from ..kernels.direct_weights import add_up, weight_gradient, workspace
from ..kernels.rows import Along
from ..kernels.span import Array, Span
from ..kernels.sums import share
from ..kernels.tile import scaled
from ..parts import parts_of
from ..passes.views import row_major
from ..passes.windows import transposed
from .arrays import spread
from .expressions import evaluate, inputs_of, work_of
from .parts import moved

if TYPE_CHECKING:
    from .roots import Writer

_SCATTERED = 4
"""How many times as long as a copy in order it takes to pack weights."""
POOLING = frozenset({"max_pool", "max_pool_grad"})
"""The derived ops that have a rule of their own."""


def _columns(array: Array, image: Shape, w: Writer) -> Array:
    """Return columns (N, C K, L) as (N, C, *kernel_size, *counts)."""
    sample, row, position = array.strides
    window = w["window"]
    taps = tuple(row * s for s in row_major(window.kernel_size))
    counts = tuple(position * s for s in row_major(window.counts))
    return replace(array, strides=(sample, row * window.places, *taps, *counts))


def _unfold(w: Writer) -> None:
    if w["window"].padded:
        w.fill(0.0)
    shape = w["x"].meta.shape

    def write(code: Code, image: Array, columns: Array) -> None:
        windows.unfold(code, w["window"], shape, image, _columns(columns, shape, w))

    w.launch([w["x"]], write)


def _fold(w: Writer) -> None:
    if w.group.before:
        _image_gradient(w)
        return
    w.fill(0.0)

    def write(code: Code, columns: Array, image: Array) -> None:
        windows.fold(code, w["window"], w.shape, _columns(columns, w.shape, w), image)

    w.launch([w["columns"]], write)


def _max_pool(w: Writer) -> None:
    x, wanted = w["x"], [value for value in w.call.outputs if value in w.group.results]

    def write(code: Code, arrays: Any, number: Any) -> None:
        values, indices = (None if v is None else arrays.get(v) for v in w.call.outputs)
        windows.max_pool(code, w["window"], x.meta.shape, arrays[x], values, indices, shared=True)

    results: list[Value] = [value for value in wanted if value is not None]
    work = 8 * math.prod(w.call.results[0].meta.shape) * w["window"].places
    w.kernels.launch([x, *results], (), write, work=work, units=math.prod(x.meta.shape[:2]))


def _max_pool_grad(w: Writer) -> None:
    w.fill(0.0)
    grad, indices, size, hollow = w["grad"], w["indices"], tuple(w["size"]), bool(w["hollow"])
    places = (*w.shape[:2], math.prod(size))

    def write(code: Code, arrays: Any, number: Any) -> None:
        image = replace(arrays[w.result], strides=row_major(places))
        windows.max_pool_grad(
            code, grad.meta.shape, arrays[grad], arrays[indices], image, hollow=hollow, shared=True
        )

    work, units = 8 * moved(grad.meta), max(grad.meta.shape[:2])
    w.kernels.launch([grad, indices, w.result], (), write, work=work, units=units)


# -- convolutions ----------------------------------------------------------------------------------


class Epilogue:
    """The elementwise ops behind a root, and the arrays that they read beside it."""

    def __init__(self, w: Writer) -> None:
        self.w = w
        found, self.numbers = inputs_of(w.group.after)
        self.beside = [operand for operand in found if operand is not w.result]
        self.operands = [*self.beside, *w.group.results]

    def arrays(self, arrays: Any) -> list[Array]:
        """Return all arrays that are read or written, in the result's shape."""
        shape = self.w.shape
        return [spread(arrays[x], x.meta.shape, shape) for x in self.operands]

    def finish(self, code: Code, arrays: Any, number: Any) -> Callable[[Register, Span], None]:
        """Return what ends with a span of the root's result."""
        w, found = self.w, dict(zip(self.operands, self.arrays(arrays), strict=True))

        def finish(value: Register, span: Span) -> None:
            known: Any = {w.result: value, **{x: span.load(found[x]) for x in self.beside}}
            evaluate(code, w.group.after, known, span.width, number)
            for result in w.group.results:
                span.store(known[result], found[result])

        return finish


def convolution(w: Writer) -> bool:
    """Write a product with columns as a convolution or as a gradient of its weights; False for others."""
    if not any(call.op == "unfold" for call in w.group.before):
        return False
    (unfold,) = w.group.before
    if transposed(w["y"], unfold.result.meta.shape[-1]):
        _weight_gradient(w, unfold)
    else:
        _convolution(w, unfold)
    return True


def _image(array: Array, code: Code, group: Index, channels: int) -> Array:
    """Return a group of an image (1, C, *size, N) as (C / groups, *size, N)."""
    _, channel, *rest = array.strides
    where = code.at(array.pointer, (group, channels * channel * bytes_of(array.element)))
    return replace(array, pointer=where, strides=(channel, *rest), padded=False)


@dataclass(frozen=True)
class _Correlations:
    """Correlations of each group of an image: one, or for the gradient of an image one for each residue.

    Parameters
    ----------
    image, weights
        What is read.
    groups
        How many groups there are.
    plans
        How each correlation is computed.
    image_of, weights_of
        Functions of (array, code, group): a group's image (C, *axes, N) and weights (O, C, *taps).
    locate_of
        The function of a group that `correlate` calls.

    """

    w: Writer
    image: Operand
    weights: Operand
    groups: int
    plans: Sequence[Plan]
    image_of: Callable[[Array, Code, Index], Array]
    weights_of: Callable[[Array, Code, Index], Array]
    locate_of: Callable[[Index], Locate]

    def write(self, epilogue: Epilogue) -> None:
        """Write the kernels. Groups are shared by the parts of a large kernel, or the loops of one group."""
        w, groups = self.w, self.groups
        sums = [plan.spec for plan in self.plans]
        work = 2 * groups * sum(s.results * s.channels * s.taps for s in sums) + work_of(w.group.after)
        units = groups if groups > 1 else min(plan.shared[1] for plan in self.plans)
        packed = sum(plan.weights for plan in self.plans)
        need = max(plan.rows for plan in self.plans)
        first = groups == 1 and parts_of(work, units) > 1  # else each part packs the weights of its groups
        extra = [self._packed(packed)] if first else []

        def write(code: Code, arrays: Any, number: Any, *rest: Register) -> None:
            finish = epilogue.finish(code, arrays, number)
            weights, space = (rest[0], rest[-1]) if first else (rest[0], code.at(rest[0], (packed, 1)))
            with share(code, groups) if groups > 1 else code.loop(1) as group:
                x, offset = self.image_of(arrays[self.image], code, group), 0
                if not first:
                    self._pack(code, arrays[self.weights], group, weights)
                for plan in self.plans:
                    there = code.at(weights, (offset, 1))
                    locate = self.locate_of(group)
                    correlate(code, plan, x, locate, finish, there, space, shared=groups == 1)
                    offset += plan.weights

        operands = [self.image, self.weights, *epilogue.operands]
        options = {"work": work, "units": units, "space": need if first else max(need + packed, 1)}
        w.kernels.launch(operands, epilogue.numbers, write, *extra, **options)

    def _pack(
        self, code: Code, array: Array, group: Index, target: Register, *, shared: bool = False
    ) -> None:
        weights, offset = self.weights_of(array, code, group), 0
        for plan in self.plans:
            pack(code, plan, weights, code.at(target, (offset, 1)), shared=shared)
            offset += plan.weights

    def _packed(self, size: int) -> Register:
        """Pack the weights that all parts read, in parts too; return their address."""
        target, meta = self.w.kernels.parts.workspace(size), self.weights.meta

        def write(code: Code, arrays: Any, number: Any, target: Register) -> None:
            self._pack(code, arrays[self.weights], 0, target, shared=True)

        work = _SCATTERED * moved(meta)
        self.w.kernels.launch([self.weights], (), write, target, work=work, units=meta.size)
        return target


def _convolution(w: Writer, unfold: Call) -> None:
    """y = w columns: (O, L) or (G, O / G, L)."""
    image, window = unfold.args
    groups = w.shape[0] if len(w.shape) == 3 else 1
    channels, outputs = image.meta.shape[1] // groups, w.shape[-2]
    spec = Correlation.of(_forward(window), window.size[-1], channels, outputs)
    plan = Plan.of(w.kernels.code.machine, spec, three(_image_of(w, image), 1), dense=True)
    steps, kernel = row_major(window.counts)[:-1], row_major(window.kernel_size[:-1])
    batched = len(w.shape) == 3

    def locate_of(group: Index) -> Locate:
        def locate(output: Terms, places: Any, samples: Terms) -> tuple[tuple[Terms, ...], int]:
            column = [*samples]
            for place, step in zip(places[3 - len(steps) :], steps, strict=True):
                column += scaled(place, step)
            first: list[Terms] = [[(group, 1)]] if batched else []
            return (*first, output, column), len(w.shape) - 1

        return locate

    def weights_of(array: Array, code: Code, group: Index) -> Array:
        *batch, row, depth = array.strides
        start = code.at(array.pointer, (group, batch[0] * bytes_of(array.element) if batch else 0))
        strides = (row, window.places * depth, *(depth * s for s in kernel))
        return _three(replace(array, pointer=start, strides=strides), len(steps))

    def image_of(array: Array, code: Code, group: Index) -> Array:
        return three(_image(array, code, group, channels), 1)

    found = _Correlations(w, image, w["x"], groups, [plan], image_of, weights_of, locate_of)
    found.write(Epilogue(w))


def _image_of(w: Writer, image: Operand) -> Array:
    """Return an image (1, C, *size, N) as (C, *size, N), without a place in memory."""
    array = w.kernels.array(image, Register(POINTER, "null"))
    return replace(array, strides=array.strides[1:])


def _results(array: Array, window: Window, code: Code | None = None, group: Index = 0) -> Array:
    """Return a group of a matrix (O, L) or (G, O / G, L) as (O / G, *counts, N), with three axes."""
    *batch, output, length = array.strides
    counts = tuple(length * s for s in row_major(window.counts))
    if code is not None and batch:
        own = batch[0] * bytes_of(array.element)
        array = replace(array, pointer=code.at(array.pointer, (group, own)))
    return three(replace(array, strides=(output, *counts), padded=False), 1)


def _extents(window: Window) -> list[tuple[int, int, int, int, int, int]]:
    """Return (size, windows, taps, stride, dilation, padding before) of each axis but that of the samples."""
    before = tuple(side for side, _ in window.padding)
    fields = (window.size, window.counts, window.kernel_size, window.stride, window.dilation, before)
    return list(zip(*fields, strict=True))[:-1]


def _forward(window: Window) -> list[Along]:
    return [Along(*extents[:5], -extents[5]) for extents in _extents(window)]


def _three(weights: Array, rank: int) -> Array:
    """Return weights (O, C, *taps) with three axes of taps."""
    strides = weights.strides
    return replace(weights, strides=(*strides[:2], *(0,) * (3 - rank), *strides[2:]))


def residues(size: int, count: int, kernel: int, stride: int, dilation: int, before: int) -> list[Along]:
    """Return how the places of an image, by their residues, read the windows that contain them.

    The place r + s q is tap j of the window (r + s q + before - j dilation) / s, for each j that divides.
    """
    found = []
    shared = math.gcd(stride, dilation)
    for r in range(min(stride, size)):
        taps = [j for j in range(kernel) if (r + before - j * dilation) % stride == 0]
        places = -(-(size - r) // stride)
        if not taps:
            found.append(Along(count, places, 0, out=(r, stride)))
            continue
        first = (r + before - taps[-1] * dilation) // stride
        step = -(stride // shared)
        found.append(
            Along(count, places, len(taps), 1, dilation // shared, first, (taps[-1], step), (r, stride))
        )
    return found


def _image_gradient(w: Writer) -> None:
    """dx = fold(wᵀ g): (1, C, *size, N), for wᵀ (C K, O) and g (O, L), or of groups."""
    (product,) = w.group.before
    weights, grad = product.args
    window = w["window"]
    groups = product.result.meta.shape[0] if len(product.result.meta.shape) == 3 else 1
    channels, outputs = w.shape[1] // groups, weights.meta.shape[-1]
    parts = [residues(*extents) for extents in _extents(window)]
    rank, samples, kernel = len(parts), window.size[-1], row_major(window.kernel_size[:-1])
    epilogue, nowhere = Epilogue(w), Register(POINTER, "null")
    beside = epilogue.arrays({x: w.kernels.array(x, nowhere) for x in epilogue.operands})
    dense = window.stride[-2] == 1 and all(x.strides[-2] == samples * x.strides[-1] for x in beside)
    image = _results(w.kernels.array(grad, nowhere), window)
    specs = [Correlation.of(axes, samples, outputs, channels) for axes in itertools.product(*parts)]
    plans = [Plan.of(w.kernels.code.machine, spec, image, dense=dense) for spec in specs]

    def locate_of(group: Index) -> Locate:
        def locate(channel: Terms, places: Any, sample: Terms) -> tuple[tuple[Terms, ...], int]:
            first = [(group, channels), *channel]
            return ([], first, *places[3 - rank :], sample), len(w.shape) - 1

        return locate

    def weights_of(array: Array, code: Code, group: Index) -> Array:
        *batch, row, output = array.strides
        start = code.at(array.pointer, (group, batch[0] * bytes_of(array.element) if batch else 0))
        strides = (window.places * row, output, *(row * s for s in kernel))
        return _three(replace(array, pointer=start, strides=strides), rank)

    def image_of(array: Array, code: Code, group: Index) -> Array:
        return _results(array, window, code, group)

    _Correlations(w, grad, weights, groups, plans, image_of, weights_of, locate_of).write(epilogue)


def _weight_gradient(w: Writer, unfold: Call) -> None:
    """dw = g columnsᵀ: (O, C K) or (G, O / G, C K / G), for g (O, L), or of groups."""
    (image, window), grad = unfold.args, w["x"]
    groups = w.shape[0] if len(w.shape) == 3 else 1
    channels = image.meta.shape[1] // groups
    spec = Correlation.of(_forward(window), window.size[-1], channels, w.shape[-2])
    epilogue, machine = Epilogue(w), w.kernels.code.machine
    nowhere = _results(w.kernels.array(grad, Register(POINTER, "null")), window)
    found = three(_image_of(w, image), 1), nowhere
    totals, need = direct_weights.totals(spec, nowhere.element), workspace(machine, spec, *found)
    work = 2 * groups * spec.results * spec.channels * spec.taps
    units = groups if groups > 1 else direct_weights.pieces(machine, spec, *found)
    parts = parts_of(work, units) if groups == 1 else 1
    """How many sums over some of the places there are, each in totals of its own."""

    def sources(code: Code, arrays: Any, group: Index) -> tuple[Array, Array]:
        return (
            three(_image(arrays[image], code, group, channels), 1),
            _results(arrays[grad], window, code, group),
        )

    def finish(code: Code, arrays: Any, number: Any, group: Index, sums: Register, *, shared: bool) -> None:
        def locate(output: Terms, column: Terms) -> tuple[tuple[Terms, ...], int]:
            batch: list[Terms] = [[(group, 1)]] if len(w.shape) == 3 else []
            return (*batch, output, column), len(w.shape) - 1

        end = epilogue.finish(code, arrays, number)
        add_up(code, spec, Array(sums, nowhere.element, (1,)), parts, locate, end, shared=shared)

    def whole(code: Code, arrays: Any, number: Any, space: Register) -> None:
        with share(code, groups) if groups > 1 else code.loop(1) as group:
            weight_gradient(code, spec, *sources(code, arrays, group), space, code.at(space, (totals, 1)))
            finish(code, arrays, number, group, space, shared=False)

    def partial(code: Code, arrays: Any, number: Any, sums: Register, *space: Register) -> None:
        assert code.part is not None
        mine = code.at(sums, (code.part[0], totals))
        own = space[0] if space else mine
        weight_gradient(code, spec, *sources(code, arrays, 0), mine, own, shared=True)

    def last(code: Code, arrays: Any, number: Any, sums: Register) -> None:
        finish(code, arrays, number, 0, sums, shared=True)

    operands: list[Operand] = [image, grad, *epilogue.operands]
    if parts == 1:
        space = totals + need
        w.kernels.launch(operands, epilogue.numbers, whole, work=work, units=units, space=space)
        return
    sums = w.kernels.parts.workspace(parts * totals)
    w.kernels.launch([image, grad], (), partial, sums, work=work, units=units, space=need)
    added = moved(*(x.meta for x in epilogue.operands)) + parts * moved(w.result.meta)
    w.kernels.launch(epilogue.operands, epilogue.numbers, last, sums, work=added, units=w.shape[-2])


WINDOWS: dict[str, Callable[[Writer], None]] = {
    "unfold": _unfold,
    "fold": _fold,
    "max_pool": _max_pool,
    "max_pool_grad": _max_pool_grad,
}
"""By op: writes the kernels of a group with that root."""
