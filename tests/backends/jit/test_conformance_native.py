"""Every conformance case of an op with a rule, as machine code: values, accuracy, long sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from rows import each_op
from through import Through

from lamina.backends import Backend, get_backend
from lamina.backends.conformance import items
from lamina.backends.conformance.suite import attempt
from lamina.backends.decorators.jit.bound import Bound, host_view
from lamina.backends.decorators.jit.builder import Builder
from lamina.backends.decorators.jit.compiler import Native, native, native_all
from lamina.backends.decorators.jit.instructions import Operand, Program, Value
from lamina.backends.errors import DataError
from lamina.backends.meta import Meta
from lamina.backends.ops import OPS

CHECKS = ("values", "ulps", "long sum")
LEFT_OUT = ("normal", ", permuted", ", sliced", ", expanded", ", float64")
"""Only initializers draw normal numbers. A run copies inputs of other layouts. The accuracy checks, and the
layers, losses and optimizers, also run in float64."""


class Natively(Through):
    """Runs each op as machine code. The first programs of all cases are compiled at once.

    Cases that differ only in their values have equal programs, which are compiled once.
    """

    def __init__(self, inner: Backend, op: str) -> None:
        super().__init__(inner, op=op)
        self.programs: dict[str, Program] = {}
        self.codes: dict[str, Native] = {}
        self.ran: set[str] = set()

    def compile_all(self) -> None:
        """Compile the programs that were asked for so far."""
        self.codes = dict(zip(self.programs, native_all([*self.programs.values()]), strict=True))

    def run(self, program: Program, tensors: Sequence[Any], cells: Mapping[str, Any]) -> tuple[Any, ...]:
        if not self.codes:
            self.programs[program.text] = program
            raise NotImplementedError("it is not compiled yet")
        self.ran.add(program.text)
        code = self.codes.get(program.text) or native(program)
        assert [v.meta for v in program.outputs] == list(code.table.outputs)
        outputs = [np.empty(value.meta.shape or (1,), value.meta.dtype) for value in program.outputs]
        places = {name: host_view(flat) for name, flat in cells.items()}
        bound = Bound(code, [host_view(x) for x in tensors], None, {}, outputs, places, 1)
        if not bound.run():
            raise DataError("expected indices in range, got another")
        pairs = zip(outputs, program.outputs, strict=True)
        return tuple(
            self.inner.from_host(array.reshape(value.meta.shape), dtype=value.meta.dtype)
            for array, value in pairs
        )


class Between(Natively):
    """Runs each op between others: its operands are transposed and computed, and so are its results.

    So the op's kernels meet strided operands, and the ops beside it are fused into them. Negation is exact.
    A tenth of the cases does.
    """

    def run(self, program: Program, tensors: Sequence[Any], cells: Mapping[str, Any]) -> tuple[Any, ...]:
        turned = [
            self.inner.from_host(np.array(_opposite(x).T, order="C"), dtype=x.dtype.name) for x in tensors
        ]
        found = super().run(_between(program), turned, cells)
        return tuple(self.inner.from_host(_opposite(x).T, dtype=x.dtype.name) for x in found)


def _opposite(x: Any) -> Any:
    return ~x if x.dtype == bool else -x


def _between(program: Program) -> Program:
    b: Any = Builder()  # type: ignore[abstract]  # made by funnelled
    known: dict[Operand, Value] = {}
    turned = tuple(Value(Meta(x.meta.shape[::-1], x.meta.dtype), x.name) for x in program.inputs)

    def opposite(x: Value) -> Value:
        y = b.logical_not(x) if x.meta.dtype == "bool" else b.negative(x)
        return b.permute_dims(y, tuple(reversed(range(len(x.meta.shape)))))  # type: ignore[no-any-return]

    for value, given in zip(program.inputs, turned, strict=True):
        known[value] = opposite(given)
    b.body += [instruction.mapped(lambda x: known.get(x, x)) for instruction in program.body]
    outputs = tuple(opposite(known.get(value, value)) for value in program.outputs)
    return replace(program, inputs=turned, body=tuple(b.body), outputs=outputs)


def cases(op: str, *checks: str) -> list[Any]:
    """Return the cases of an op."""
    return [item for item in items(op) if item.check in checks and not any(x in item.label for x in LEFT_OUT)]


@each_op(list(OPS))
def test_every_op_runs_natively(op: str) -> None:
    check(Natively(get_backend("numpy"), op), cases(op, *CHECKS))


@each_op(list(OPS))
def test_every_op_runs_between_others(op: str) -> None:
    check(Between(get_backend("numpy"), op), cases(op, "values")[::10])


def check(backend: Any, wanted: Sequence[Any]) -> None:
    """Run cases on a backend, first to know their programs, then natively."""
    with np.errstate(all="ignore"):
        for item in wanted:
            attempt(item, backend)
        if backend.programs:
            backend.compile_all()
        results = [attempt(item, backend) for item in wanted]
    assert backend.ran >= backend.programs.keys()
    failures = [f"{r.check} [{r.label}]: {r.message}" for r in results if not r.passed]
    assert not failures, "\n".join(failures[:10])
