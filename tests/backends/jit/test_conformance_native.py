"""Every conformance case of an op with a rule, as machine code: values, accuracy, long sums."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from rows import each_op
from through import Through

from lamina.backends import Backend, get_backend
from lamina.backends.conformance import items
from lamina.backends.conformance.suite import attempt
from lamina.backends.decorators.jit.bound import Bound, host_view
from lamina.backends.decorators.jit.compiler import Native, native_all
from lamina.backends.decorators.jit.instructions import Program
from lamina.backends.errors import DataError
from lamina.backends.ops import OPS

CHECKS = ("values", "ulps", "long sum")
WINDOWS = ("unfold", "fold", "max_pool", "max_pool_grad")
"""Ops without a rule yet."""
LEFT_OUT = ("normal", ", permuted", ", sliced", ", expanded", ", float64")
"""Only initializers draw normal numbers. A run copies inputs of other layouts. The accuracy checks, and the
layers, losses and optimizers, also run in float64."""


class Natively(Through):
    """Runs each op as machine code: the first time interpreted, and all programs are compiled at once."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.programs: list[Program] = []
        self.codes: Iterator[Native] | None = None

    def compile_all(self) -> None:
        """Compile the programs so far; they run natively if they come again in the same order."""
        self.codes = iter(native_all(self.programs))

    def run(self, program: Program, tensors: Sequence[Any], cells: Mapping[str, Any]) -> tuple[Any, ...]:
        if self.codes is None:
            self.programs.append(program)
            return super().run(program, tensors, cells)
        code = next(self.codes)
        assert [v.meta for v in program.outputs] == list(code.outputs)
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


@each_op([op for op in OPS if op not in WINDOWS])
def test_every_op_runs_natively(op: str) -> None:
    backend = Natively(get_backend("numpy"))
    wanted = [
        item for item in items(op) if item.check in CHECKS and not any(x in item.label for x in LEFT_OUT)
    ]
    with np.errstate(all="ignore"):
        for item in wanted:
            attempt(item, backend)
        backend.compile_all()
        results = [attempt(item, backend) for item in wanted]
    assert next(backend.codes, None) is None  # each has run
    failures = [f"{r.check} [{r.label}]: {r.message}" for r in results if not r.passed]
    assert not failures, "\n".join(failures[:10])
