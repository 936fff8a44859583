"""The ops that are no map: how each becomes kernels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ....number import Number
from ....ops import OPS
from ....protocol import Shape
from ....random import philox_key
from ....shapes import axes_in, axis_of, slices, widths_of
from ..instructions import Operand
from ..ir import INDEX, Code, bytes_of, scalar
from ..ir import Value as Register
from ..kernels import gather, random
from ..kernels.argmax import argmax
from ..kernels.elementwise import convert
from ..kernels.loops import elementwise
from ..kernels.reduce import MAX, SUM, reduce
from ..kernels.span import Array
from ..kernels.transpose import copy
from ..passes.views import row_major, view_of
from ..program import NoRuleError
from .arrays import element_of, spread
from .expressions import evaluate, inputs_of, work_of
from .parts import moved
from .products import matmul, summed
from .windows import WINDOWS

if TYPE_CHECKING:
    from ..passes.fuse import Group
    from .kernels import Kernels


class Writer:
    """One group that has a root, and what its rule needs."""

    def __init__(self, kernels: Kernels, group: Group) -> None:
        assert group.root is not None
        self.kernels, self.group, self.call = kernels, group, group.root
        bound = OPS[self.call.op].signature.bind(*self.call.args, **self.call.options)
        bound.apply_defaults()
        self.arguments = bound.arguments
        self.result = self.call.results[0]
        self.shape = self.result.meta.shape

    def __getitem__(self, name: str) -> Any:
        """Return an argument by its name."""
        return self.arguments[name]

    def launch(
        self,
        operands: list[Operand],
        write: Callable[..., None],
        *extra: Register,
        work: int = 0,
        units: int = 1,
    ) -> None:
        """Call write(code, *operands, result, *extra) as a kernel; work and units are those of `Parts`."""

        def body(code: Code, arrays: Any, number: Any, *rest: Register) -> None:
            write(code, *(arrays[x] for x in operands), arrays[self.result], *rest)

        self.kernels.launch([*operands, self.result], (), body, *extra, work=work, units=units)

    def fill(self, value: Any) -> None:
        """Fill the result with a number, which may change from step to step."""

        def write(code: Code, result: Array, *scalars: Register) -> None:
            def expression(code: Code, kind: Any) -> Register:
                return scalars[0] if scalars else code.number(scalar(kind.element), value)

            constant(code, self.shape, result, expression)

        changing = (self.kernels.scalar(value, element_of(self.result)),) if type(value) is Number else ()
        self.launch([], write, *changing, work=moved(self.result.meta), units=self.result.meta.size)


def constant(code: Code, shape: Shape, output: Array, expression: Callable[..., Register]) -> None:
    """Write one number everywhere."""
    # The loops read the output for the width of their vectors alone; LLVM drops the unused loads.
    elementwise(
        code,
        shape,
        [output],
        [output],
        lambda code, x: code.splat(expression(code, x.type), x.type.lanes),
        shared=True,
    )


# -- create ----------------------------------------------------------------------------------------


def _full(w: Writer) -> None:
    w.fill(w["value"])


def _random(w: Writer) -> None:
    if w["distribution"] != "uniform":
        raise NoRuleError("random: expected uniform numbers inside a compiled step, got normal ones")
    key = philox_key(w["seed"], w["stream"])
    step = w["step"]
    operands = [] if type(step) is int else [step]

    def write(code: Code, *arrays: Array) -> None:
        counter = code.load(arrays[0].pointer, INDEX) if operands else code.number(INDEX, step)
        result = arrays[-1]
        size = bytes_of(result.element)

        def put(value: Register, place: Any) -> None:
            code.store(value, code.at(result.pointer, *((i, f * size) for i, f in place)))

        random.uniform(code, math.prod(w.shape), *key, counter, result.element, put)

    w.launch(operands, write)


# -- reductions and products -----------------------------------------------------------------------


def reduced(kernels: Kernels, groups: Sequence[Group]) -> None:
    """Reduce what the ops before compute from their operands; finish with the ops after.

    Several groups are alike: they reduce the same axes of tensors of one shape and dtype.
    """
    writers = [Writer(kernels, group) for group in groups]
    w, reducer = writers[0], SUM if writers[0].call.op == "sum" else MAX
    shape, element, axes = w["x"].meta.shape, element_of(w.result), _axes(w)
    rank, keepdims = len(shape), w["keepdims"]
    if reducer is MAX and element_of(w["x"]) == "i1":
        raise NoRuleError("max: expected numbers inside a compiled step, got bool")
    before = [call for group in groups for call in group.before]
    after = [call for group in groups for call in group.after]
    reads, numbers = inputs_of(before)
    made = {value for call in before for value in call.results}
    reads = list(dict.fromkeys([*reads, *(one["x"] for one in writers if one["x"] not in made)]))
    beside, more = inputs_of(after)
    totals = [one.result for one in writers]
    beside = [operand for operand in beside if operand not in totals]
    outputs = [value for group in groups for value in group.results]

    def kept(array: Array, own: Shape) -> Array:
        """Return an array of the result's shape with a stride for each axis of what is reduced."""
        strides = spread(array, own, w.shape).strides
        return replace(array, strides=along_axes(strides, rank, axes, keepdims=keepdims))

    def write(code: Code, arrays: Any, number: Any) -> None:
        def expression(code: Code, *values: Register) -> list[Register]:
            known = dict(zip(reads, values, strict=True))
            evaluate(code, before, known, values[0].type.lanes, number)
            return [convert(code, known[one["x"]], element) for one in writers]

        def finish(code: Code, *values: Register) -> list[Register]:
            known: Any = dict(zip([*totals, *beside], values, strict=True))
            evaluate(code, after, known, values[0].type.lanes, number)
            return [known[output] for output in outputs]

        inputs = [spread(arrays[operand], operand.meta.shape, shape) for operand in reads]
        others = [kept(arrays[operand], operand.meta.shape) for operand in beside]
        results = [kept(arrays[output], output.meta.shape) for output in outputs]
        reduce(
            code,
            shape,
            axes,
            inputs,
            results,
            reducer,
            expression,
            finish,
            beside=others,
            element=element,
            shared=True,
            count=len(groups),
        )

    work = moved(*(operand.meta for operand in reads)) + work_of(before) + len(groups) * math.prod(shape)
    kernels.launch([*reads, *beside, *outputs], [*numbers, *more], write, work=work, units=w.result.meta.size)


def _axes(w: Writer) -> list[int]:
    rank = len(w["x"].meta.shape)
    found = axes_in(w.call.op, w["axis"], rank)
    axes = range(rank) if found is None else [found] if isinstance(found, int) else found
    return sorted(axis % rank for axis in axes)


def _reduced(w: Writer) -> None:
    reduced(w.kernels, [w.group])


def _sum(w: Writer) -> None:
    if not summed(w):
        _reduced(w)


def along_axes(strides: tuple[int, ...], rank: int, axes: list[int], *, keepdims: bool) -> tuple[int, ...]:
    """Return strides along a reduction's kept axes as strides along all axes: 0 along those that go."""
    if keepdims:
        return tuple(0 if axis in axes else strides[axis] for axis in range(rank))
    left = iter(strides)
    return tuple(0 if axis in axes else next(left) for axis in range(rank))


def _argmax(w: Writer) -> None:
    x = w["x"]
    rank = len(x.meta.shape)
    axis = axis_of("argmax", w["axis"], rank) % rank
    strides = along_axes(row_major(w.shape), rank, [axis], keepdims=w["keepdims"])

    def write(code: Code, source: Array, result: Array) -> None:
        argmax(code, x.meta.shape, axis, [source], replace(result, strides=strides))

    w.launch([x], write)


# -- moves and indices -----------------------------------------------------------------------------


def _moved(w: Writer) -> None:
    """Copy a move whose result must lie in memory."""
    view = view_of(w.call)
    x = w["x"]

    def write(code: Code, source: Array, result: Array) -> None:
        if view is None:  # a reshape that joins axes which do not lie in order: the old shape has the order
            whole = replace(result, strides=row_major(x.meta.shape))
            copy(code, x.meta.shape, source, whole, shared=True)
        else:
            copy(code, w.shape, source, result, shared=True)

    work = 2 * moved(w.result.meta)
    w.launch([x if view is None else view], write, work=work, units=w.result.meta.size)


def _concat(w: Writer) -> None:
    axis = w["axis"] % len(w.shape)
    strides = row_major(w.shape)
    start = 0
    for part in w["tensors"]:

        def write(code: Code, source: Array, result: Array, part: Any = part, start: int = start) -> None:
            place = code.at(result.pointer, (start * strides[axis], bytes_of(result.element)))
            copy(code, part.meta.shape, source, replace(result, pointer=place), shared=True)

        w.launch([part], write, work=2 * moved(part.meta), units=part.meta.size)
        start += part.meta.shape[axis]


def _pad(w: Writer) -> None:
    x, widths = w["x"], widths_of(w["x"].meta.shape, w["widths"])
    w.fill(w["value"])
    offset = sum(before * s for (before, _), s in zip(widths, row_major(w.shape), strict=True))

    def write(code: Code, source: Array, result: Array) -> None:
        place = code.at(result.pointer, (offset, bytes_of(result.element)))
        copy(code, x.meta.shape, source, replace(result, pointer=place), shared=True)

    w.launch([x], write, work=2 * moved(x.meta), units=x.meta.size)


def _copy_first(w: Writer) -> None:
    x = w["x"]

    def write(code: Code, source: Array, result: Array) -> None:
        copy(code, w.shape, source, result, shared=True)

    w.launch([x], write, work=2 * moved(x.meta), units=x.meta.size)


def _slice_add(w: Writer) -> None:
    _copy_first(w)
    values, strides = w["values"], row_major(w.shape)
    place = slices("slice_add", w.shape, w["starts"], w["stops"], w["steps"])
    offset = sum((part.start or 0) * s for part, s in zip(place, strides, strict=True))
    steps = tuple((part.step or 1) * s for part, s in zip(place, strides, strict=True))

    def write(code: Code, source: Array, result: Array) -> None:
        start = code.at(result.pointer, (offset, bytes_of(result.element)))
        target = replace(result, pointer=start, strides=steps)
        elementwise(code, values.meta.shape, [target, source], [target], Code.add)

    w.launch([values], write)


def _take(w: Writer) -> None:
    x, axis = w["x"], w["axis"] % len(w["x"].meta.shape)

    def write(code: Code, source: Array, indices: Array, result: Array, flag: Register) -> None:
        gather.take(code, w.shape, axis, x.meta.shape[axis], source, indices, result, flag=flag)

    work = 2 * moved(w.result.meta)
    w.launch([x, w["indices"]], write, w.kernels.flag, work=work, units=w.shape[axis])


def _take_along_axis(w: Writer) -> None:
    x, axis = w["x"], w["axis"] % len(w["x"].meta.shape)

    def write(code: Code, source: Array, indices: Array, result: Array, flag: Register) -> None:
        gather.take_along_axis(code, w.shape, axis, x.meta.shape[axis], source, indices, result, flag=flag)

    w.launch([x, w["indices"]], write, w.kernels.flag)


def _added(w: Writer, kernel: Callable[..., None]) -> None:
    _copy_first(w)
    axis, values = w["axis"] % len(w.shape), w["values"]

    def write(code: Code, indices: Array, source: Array, result: Array, flag: Register) -> None:
        kernel(code, values.meta.shape, axis, w.shape[axis], result, indices, source, flag=flag)

    w.launch([w["indices"], values], write, w.kernels.flag)


INDEXED = ("take", "take_along_axis", "index_add", "scatter_add")
"""The ops that may find an index out of range."""
ROOTS: dict[str, Callable[[Writer], None]] = {
    "full": _full,
    "random": _random,
    "sum": _sum,
    "max": _reduced,
    "argmax": _argmax,
    "matmul": matmul,
    "reshape": _moved,
    "permute_dims": _moved,
    "broadcast_to": _moved,
    "slice": _moved,
    "concat": _concat,
    "pad": _pad,
    "slice_add": _slice_add,
    "take": _take,
    "take_along_axis": _take_along_axis,
    "index_add": lambda w: _added(w, gather.index_add),
    "scatter_add": lambda w: _added(w, gather.scatter_add),
    **WINDOWS,
}
"""By op: writes the kernels of a group with that root."""
