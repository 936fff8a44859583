"""The rule of `matmul`: a product of matrices, by the kernel that suits it, with the ops behind it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ....host import is_floating
from ....protocol import Shape
from ..instructions import Call, Operand, Value
from ..ir import POINTER, Code, bytes_of
from ..ir import Value as Register
from ..kernels.contract import Along, Plan, Product, contract, pack, plan, shared_loop
from ..kernels.dot import dot, suits
from ..kernels.dot import units as units_of_dot
from ..kernels.span import Array, Span
from ..parts import parts_of
from ..program import NoRuleError
from .arrays import element_of, spread
from .expressions import evaluate, inputs_of, needed, work_of
from .parts import moved
from .windows import convolution

if TYPE_CHECKING:
    from .roots import Writer

_LARGE = 1 << 20
"""Bytes of a product from which what follows it waits for memory; contracted, it would compile longer."""


def matmul(w: Writer) -> None:
    """Write a product: as a convolution, if one operand is columns."""
    dtype = w["x"].meta.dtype
    if not is_floating(dtype):
        raise NoRuleError(f"matmul: expected floats inside a compiled step, got {dtype}")
    if not convolution(w):
        _Matmul(w, w.call).write()


def summed(w: Writer) -> bool:
    """Write the sum of a product over its samples, as one product; False for other sums."""
    product = next((call for call in w.group.before if call.op == "matmul"), None)
    if product is not None and not convolution(w):
        _Matmul(w, product).write()
    return product is not None


class _Matmul:
    def __init__(self, w: Writer, call: Call) -> None:
        self.w, (self.a, self.b) = w, call.args
        self.batch = w.shape[:-2]
        self.summed = call is not w.call
        shape = self.a.meta.shape
        terms = (shape[0], shape[-1]) if self.summed else shape[-1:]
        self.product = Product(w.shape[-2], w.shape[-1], terms, self.batch)
        self.machine = w.kernels.code.machine
        self.small = math.prod(w.shape) * bytes_of(element_of(w.result)) < _LARGE
        nowhere = Register(POINTER, "null")
        self.first, self.second = (w.kernels.array(x, nowhere) for x in (self.a, self.b))
        narrow = self.product.columns < min(self.product.rows, self.machine.lanes(self.first.element))
        self.along: Along = "rows" if narrow else "columns"
        found, self.numbers = inputs_of(w.group.after)
        self.beside = [operand for operand in found if operand is not w.result]
        self.late = {x for x in w.group.results if x in w.kernels.late}

    @cached_property
    def work(self) -> int:
        """The operations."""
        return 2 * math.prod(self.w.shape) * math.prod(self.product.terms) + work_of(self.w.group.after)

    def spread(self, array: Array, shape: Shape) -> Array:
        """Return an operand with the axes of the batch."""
        return spread(array, shape, (*self.batch, *shape[-2:]))

    def operands(self, first: Array, second: Array) -> tuple[Array, Array]:
        """Return both operands so; in a sum over samples, these are the first of the terms."""
        if self.summed:
            batch = range(1, len(self.batch) + 1)
            rows, columns = len(batch) + 1, len(batch) + 2
            return first.permuted([*batch, rows, 0, columns]), second.permuted([*batch, 0, rows, columns])
        return self.spread(first, self.a.meta.shape), self.spread(second, self.b.meta.shape)

    def plan(self, first: Array, second: Array) -> Plan:
        """Return how `contract` computes the product."""
        return plan(self.machine, self.product, *self.operands(first, second), self.along)

    def write(self) -> None:
        """Write the kernels."""
        w, extra = self.w, list[Register]()
        nowhere = self.operands(self.first, self.second)
        short = suits(self.machine, self.product, *nowhere, self.along)
        need = copies = 0
        if short:
            units = units_of_dot(self.machine, self.product, self.first.element)
        else:
            planned = self.plan(self.first, self.second)
            (loop, units), need = shared_loop(self.machine, planned), planned.workspace
            if loop != "batch" and parts_of(self.work, units) > 1:
                copies = planned.copies
        if copies:
            extra.append(self._copied(copies))
        if self.late:
            extra.append(w.kernels.last)

        def write(code: Code, arrays: Any, number: Any, *rest: Register) -> None:
            left = list(rest)
            packed = left.pop(0) if copies else None
            hooks = self._hooks(code, arrays, number, left.pop(0) if self.late else None)
            start, finish, before = hooks
            x, y = arrays[self.a], arrays[self.b]
            if short:
                dot(code, self.product, *self.operands(x, y), start, finish, before=before)
                return
            space = left[0] if left else None
            planned = self.plan(x, y)
            contract(code, planned, start, finish, before=before, workspace=space, packed=packed)

        operands = [self.a, self.b, *self.beside, *w.group.results]
        options = {"work": self.work, "units": units, "space": need - copies}
        w.kernels.launch(operands, self.numbers, write, *extra, **options)

    def _copied(self, size: int) -> Register:
        """Copy the operand that all parts read, in parts too; return the address of the copy."""
        target = self.w.kernels.parts.workspace(size)
        operand = self.a if self.along == "columns" else self.b

        def write(code: Code, arrays: Any, number: Any, target: Register) -> None:
            pack(code, self.plan(arrays[self.a], arrays[self.b]), target)

        units = operand.meta.shape[-2 if self.along == "columns" else -1] // 8
        work = 2 * moved(operand.meta)
        self.w.kernels.launch([self.a, self.b], (), write, target, work=work, units=units)
        return target

    def _hooks(self, code: Code, arrays: Any, number: Any, last: Register | None) -> tuple[Any, Any, Any]:
        """Return what begins a vector of the result, what takes it, and what takes it in the last step."""
        w, group = self.w, self.w.group
        others = {x: spread(arrays[x], x.meta.shape, w.shape) for x in self.beside}
        now = {x for x in group.results if x not in self.late}

        def start(span: Span) -> Register:
            return code.number(span.type(self.first.element), 0.0)

        def put(value: Register, span: Span, results: set[Value]) -> None:
            calls = needed(group.after, results)
            read, _ = inputs_of(calls)
            known: dict[Operand, Register] = {x: span.load(others[x]) for x in read if x in others}
            known[w.result] = value
            with code.contracted() if self.small else contextlib.nullcontext():
                evaluate(code, calls, known, span.width, number)
            for result in group.results:
                if result in results:
                    span.store(known[result], arrays[result])

        def before(found: Sequence[tuple[Register, Span]]) -> None:
            assert last is not None
            with code.when(last):
                for value, span in found:
                    put(value, span, self.late)

        return start, lambda value, span: put(value, span, now), before if self.late else None
