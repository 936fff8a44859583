"""The rules of the ops over windows: `unfold`, `fold`, max pooling; and products that are convolutions."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ....protocol import Shape
from ....windows import Window
from ..instructions import Call, Operand, Value
from ..ir import POINTER, Code, Index, bytes_of
from ..ir import Value as Register
from ..kernels import depthwise, windows
from ..kernels.along import Along, axes_of
from ..kernels.correlation import Correlation, three
from ..kernels.depthwise import ByPlanes
from ..kernels.direct import Plan, correlate, pack
from ..kernels.direct_weights import AlongSum
from ..kernels.gradient import Gradient
from ..kernels.span import Array, Span
from ..kernels.sums import turns
from ..kernels.weights import ByOutputs
from ..kernels.weights import suits as by_outputs
from ..machine import Machine
from ..parts import parts_of
from ..passes.views import row_major
from ..passes.windows import samples_last, transposed
from .arrays import spread
from .expressions import evaluate, inputs_of, work_of
from .parts import moved

if TYPE_CHECKING:
    from .roots import Writer

_TOTALS = 1 << 24
"""The most bytes of the totals of all parts of a gradient of weights."""
_SCATTERED = 4
"""How many times as long as a copy in order it takes to pack weights."""
NOWHERE = Register(POINTER, "null")
"""The place of arrays of which only the strides count."""
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

    def arrays(self, arrays: Any, moved: Callable[[Array], Array]) -> dict[Operand, Array]:
        """Return all arrays that are read or written: in the result's shape, then moved."""
        shape = self.w.shape
        return {x: moved(spread(arrays[x], x.meta.shape, shape)) for x in self.operands}

    def finish(
        self, found: dict[Operand, Array], code: Code, number: Any
    ) -> Callable[[Register, Span], None]:
        """Return what ends with a span of the root's result."""
        w = self.w

        def finish(value: Register, span: Span) -> None:
            known: Any = {w.result: value, **{x: span.load(found[x]) for x in self.beside}}
            evaluate(code, w.group.after, known, span.width, number)
            for result in w.group.results:
                span.store(known[result], found[result])

        return finish


class Convolution:
    """How the images, the results and the weights of a convolution lie.

    The kernels see an image as (channel, plane, row, place, sample), and a matrix of results as (output,
    plane, row, place, sample).
    """

    def __init__(self, shape: Shape, window: Window, groups: int) -> None:
        self.apart = not samples_last(shape, window)
        axes = [*axes_of(window)]
        self.samples = shape[0]
        if not self.apart:
            self.samples = axes.pop().size
        self.axes = axes
        self.channels, self.groups = shape[1] // groups, groups

    def spec(self, outputs: int) -> Correlation:
        """Return the convolution itself."""
        return self.correlation(self.axes, self.channels, outputs)

    def correlation(self, axes: Sequence[Along], channels: int, outputs: int) -> Correlation:
        """Return a correlation over axes of its own."""
        return Correlation.of(axes, self.samples, channels, outputs, apart=self.apart)

    def image(self, array: Array, code: Code | None = None, group: Index = 0) -> Array:
        """Return a group of an image (N, C, *size), or (1, C, *size, N)."""
        sample, channel, *places = array.strides
        if not self.apart:
            sample = places.pop()
        array = three(replace(array, strides=(channel, *places, sample), padded=False), 1)
        return _moved(array, code, group, self.channels * channel)

    def matrix(self, array: Array, code: Code | None = None, group: Index = 0) -> Array:
        """Return a group of a matrix (O, L) or (G, O / G, L), with samples in L or before all."""
        *lead, output, length = array.strides
        sample = lead.pop(0) if self.apart else length
        between = length * (1 if self.apart else self.samples)
        places = (between * s for s in row_major(tuple(axis.count for axis in self.axes)))
        array = three(replace(array, strides=(output, *places, sample), padded=False), 1)
        return _moved(array, code, group, lead[0] if lead else 0)

    def weights(self, array: Array, code: Code, group: Index, *, turned: bool = False) -> Array:
        """Return a group of weights (O, C K) as (O, C, *taps), or if turned of (C K, O) as (C, O, *taps)."""
        *lead, row, column = array.strides
        kernel = tuple(axis.taps for axis in self.axes)
        places, tap = math.prod(kernel), row if turned else column
        first = (places * row, column) if turned else (row, places * column)
        array = replace(
            array, strides=(*first, *(0,) * (3 - len(kernel)), *(tap * s for s in row_major(kernel)))
        )
        return _moved(array, code, group, lead[0] if lead else 0)


def _moved(array: Array, code: Code | None, index: Index, stride: int) -> Array:
    if code is None:
        return array
    return replace(array, pointer=code.at(array.pointer, (index, stride * bytes_of(array.element))))


def convolution(w: Writer) -> bool:
    """Write a product with columns as a convolution or as a gradient of its weights; False for others."""
    unfold = next((call for call in w.group.before if call.op == "unfold"), None)
    if unfold is None:
        return False
    product = next(call for call in (*w.group.before, w.call) if call.op == "matmul")
    if transposed(product.args[1], unfold.result.meta.shape[-1]):
        _weight_gradient(w, unfold, product)
    else:
        _convolution(w, unfold)
    return True


def _groups_of(product: Call, *, apart: bool) -> int:
    shape = product.result.meta.shape
    return shape[-3] if len(shape) == 3 + apart else 1


@dataclass(frozen=True)
class _Correlations:
    """Correlations of each group of an image: one, or for the gradient of an image one for each residue.

    Parameters
    ----------
    image, weights
        What is read.
    case
        How they lie.
    plans
        How each correlation is computed.
    image_of, weights_of
        Functions of (array, code, group): a group's image (C, *axes, N) and weights (O, C, *taps).
    result_of
        The function of (array, code, group, correlation) that returns where its results lie in an array of
        all results.

    """

    w: Writer
    image: Operand
    weights: Operand
    case: Convolution
    plans: Sequence[Plan]
    image_of: Callable[[Array, Code, Index], Array]
    weights_of: Callable[[Array, Code, Index], Array]
    result_of: Callable[[Array, Code, Index, Correlation], Array]

    def write(self, epilogue: Epilogue) -> None:
        """Write the kernels. Groups are shared by the parts of a large kernel, or the loops of one group."""
        w, groups = self.w, self.case.groups
        sums = [plan.spec for plan in self.plans]
        work = 2 * groups * sum(s.results * s.channels * s.taps for s in sums) + work_of(w.group.after)
        units = groups if groups > 1 else min(plan.shared[1] for plan in self.plans)
        packed = sum(plan.weights for plan in self.plans)
        need = max(plan.rows for plan in self.plans)
        first = groups == 1 and parts_of(work, units) > 1  # else each part packs the weights of its groups
        extra = [self._packed(packed)] if first else []

        def write(code: Code, arrays: Any, number: Any, *rest: Register) -> None:
            weights, space = (rest[0], rest[-1]) if first else (rest[0], code.at(rest[0], (packed, 1)))
            with turns(code, groups, shared=groups > 1) as group:
                x, offset = self.image_of(arrays[self.image], code, group), 0
                if not first:
                    self._pack(code, arrays[self.weights], group, weights)
                for plan in self.plans:
                    there = code.at(weights, (offset, 1))
                    moved_to = functools.partial(self._result, code, group, plan.spec)
                    finish = epilogue.finish(epilogue.arrays(arrays, moved_to), code, number)
                    correlate(code, plan, x, finish, there, space, shared=groups == 1)
                    offset += plan.weights

        operands = [self.image, self.weights, *epilogue.operands]
        options = {"work": work, "units": units, "space": need if first else max(need + packed, 1)}
        w.kernels.launch(operands, epilogue.numbers, write, *extra, **options)

    def _result(self, code: Code, group: Index, spec: Correlation, array: Array) -> Array:
        return self.result_of(array, code, group, spec)

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
    """y = w columns: (O, L) or (G, O / G, L), for each sample if these come first."""
    image, window = unfold.args
    shape, machine = image.meta.shape, w.kernels.code.machine
    case = Convolution(shape, window, _groups_of(w.call, apart=not samples_last(shape, window)))
    spec = case.spec(w.shape[-2])
    plan = Plan.of(machine, spec, case.image(w.kernels.array(image, NOWHERE)), dense=not case.apart)

    def result_of(array: Array, code: Code, group: Index, spec: Correlation) -> Array:
        return case.matrix(array, code, group)

    found = _Correlations(w, image, w["x"], case, [plan], case.image, case.weights, result_of)
    found.write(Epilogue(w))


def residues(axis: Along) -> list[Along]:
    """Return how the places of an image, by their residues, read the windows that contain them.

    The place r + s q is tap j of the window (r + s q + before - j dilation) / s, for each j that divides.
    """
    found, stride, dilation = [], axis.step, axis.dilation
    shared = math.gcd(stride, dilation)
    for r in range(min(stride, axis.size)):
        taps = [j for j in range(axis.taps) if (r - axis.first - j * dilation) % stride == 0]
        places = -(-(axis.size - r) // stride)
        if not taps:
            found.append(Along(axis.count, places, 0, out=(r, stride)))
            continue
        first = (r - axis.first - taps[-1] * dilation) // stride
        tap = taps[-1], -(stride // shared)
        found.append(
            Along(axis.count, places, len(taps), 1, dilation // shared, first, tap=tap, out=(r, stride))
        )
    return found


def _at_residues(array: Array, spec: Correlation, code: Code) -> Array:
    """Return the part of an image that lies at the residues of a correlation's results."""
    channel, *places, sample = array.strides
    offset = sum(axis.out[0] * s for axis, s in zip(spec.axes, places, strict=True))
    places = [axis.out[1] * s for axis, s in zip(spec.axes, places, strict=True)]
    return _moved(replace(array, strides=(channel, *places, sample)), code, 1, offset)


def _image_gradient(w: Writer) -> None:
    """dx = fold(wᵀ g): (N, C, *size) or (1, C, *size, N), for wᵀ (C K, O) and g (O, L), or of groups."""
    (product,) = w.group.before
    weights, grad = product.args
    case = Convolution(
        w.shape, w["window"], _groups_of(product, apart=not samples_last(w.shape, w["window"]))
    )
    epilogue, machine = Epilogue(w), w.kernels.code.machine
    beside = {x: w.kernels.array(x, NOWHERE) for x in epilogue.operands}
    found = epilogue.arrays(beside, case.image).values()
    dense = case.axes[-1].step == 1 and all(x.strides[3] == case.samples * x.strides[4] for x in found)
    image = case.matrix(w.kernels.array(grad, NOWHERE))
    plans = []
    for axes in itertools.product(*map(residues, case.axes)):
        spec = case.correlation(axes, weights.meta.shape[-1], case.channels)
        plans.append(Plan.of(machine, spec, image, dense=dense))

    def result_of(array: Array, code: Code, group: Index, spec: Correlation) -> Array:
        return _at_residues(case.image(array, code, group), spec, code)

    kernels = functools.partial(case.weights, turned=True)
    _Correlations(w, grad, weights, case, plans, case.matrix, kernels, result_of).write(epilogue)


def _weight_gradient(w: Writer, unfold: Call, product: Call) -> None:
    """dw = g columnsᵀ: (O, C K) or (G, O / G, C K / G), for g (O, L), or of groups."""
    (image, window), grad = unfold.args, product.args[0]
    shape = image.meta.shape
    case = Convolution(shape, window, _groups_of(product, apart=not samples_last(shape, window)))
    spec, groups = case.spec(w.shape[-2]), case.groups
    nowhere = case.image(w.kernels.array(image, NOWHERE)), case.matrix(w.kernels.array(grad, NOWHERE))
    sum_ = _gradient(w.kernels.code.machine, spec, *nowhere)
    work = 2 * groups * spec.results * spec.channels * spec.taps
    units = groups if groups > 1 else min(sum_.shared[1], _TOTALS // max(sum_.totals, 1))
    parts = parts_of(work, units) if groups == 1 else 1
    """How many sums over some of the places there are, each in totals of its own."""
    epilogue = Epilogue(w)

    def sources(code: Code, arrays: Any, group: Index) -> tuple[Array, Array]:
        return case.image(arrays[image], code, group), case.matrix(arrays[grad], code, group)

    def finish(code: Code, arrays: Any, number: Any, group: Index, sums: Register, *, shared: bool) -> None:
        def matrix(array: Array) -> Array:
            *lead, output, column = array.strides
            return _moved(replace(array, strides=(output, column)), code, group, lead[0] if lead else 0)

        end = epilogue.finish(epilogue.arrays(arrays, matrix), code, number)
        sum_.add_up(code, sums, parts, end, shared=shared)

    def whole(code: Code, arrays: Any, number: Any, space: Register) -> None:
        with turns(code, groups, shared=groups > 1) as group:
            sum_.write(code, *sources(code, arrays, group), space, code.at(space, (sum_.totals, 1)))
            finish(code, arrays, number, group, space, shared=False)

    def partial(code: Code, arrays: Any, number: Any, sums: Register, *space: Register) -> None:
        assert code.part is not None
        mine = code.at(sums, (code.part[0], sum_.totals))
        own = space[0] if space else mine
        sum_.write(code, *sources(code, arrays, 0), mine, own, shared=True)

    def last(code: Code, arrays: Any, number: Any, sums: Register) -> None:
        finish(code, arrays, number, 0, sums, shared=True)

    operands: list[Operand] = [image, grad, *epilogue.operands]
    need = sum_.workspace
    if parts == 1:
        space = sum_.totals + need
        w.kernels.launch(operands, epilogue.numbers, whole, work=work, units=units, space=space)
        return
    sums = w.kernels.parts.workspace(parts * sum_.totals)
    w.kernels.launch([image, grad], (), partial, sums, work=work, units=units, space=need)
    added = moved(*(x.meta for x in epilogue.operands)) + parts * moved(w.result.meta)
    w.kernels.launch(epilogue.operands, epilogue.numbers, last, sums, work=added, units=sum_.ends)


def _gradient(machine: Machine, spec: Correlation, image: Array, grad: Array) -> Gradient:
    """Return the way to compute the gradient of weights that takes the least time."""
    lanes = machine.lanes(image.element)
    if depthwise.suits(spec) and grad.strides[3] == 1:
        return ByPlanes(spec, image, grad, lanes)
    if by_outputs(spec, lanes):
        return ByOutputs(spec, image, grad, lanes, machine)
    return AlongSum(spec, image, grad, lanes)


WINDOWS: dict[str, Callable[[Writer], None]] = {
    "unfold": _unfold,
    "fold": _fold,
    "max_pool": _max_pool,
    "max_pool_grad": _max_pool_grad,
}
"""By op: writes the kernels of a group with that root."""
