"""`Through`: a backend that runs each op as a program of its own: traced, checked and interpreted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lamina.backends import Backend
from lamina.backends.decorators.jit.decorator import JitBackend
from lamina.backends.decorators.jit.instructions import Program
from lamina.backends.decorators.jit.program import Pass, apply, check, interpret
from lamina.backends.decorators.jit.trace import Tracer
from lamina.backends.meta import Meta
from lamina.backends.ops import Op
from lamina.backends.wrapper import Wrapper

HOST = ("metadata", "control")


class Through(Wrapper):
    """`passes` run over each program before it is interpreted.

    Arrays of the host come in as on the backend itself, unless `op` is from_host.
    """

    name = "through"

    def __init__(self, inner: Backend, *passes: Pass, op: str) -> None:
        super().__init__(inner)
        self.direct = ("to_host", "item", "cells", "empty", *(() if op == "from_host" else ("from_host",)))
        self.jit: Any = JitBackend(inner)  # type: ignore[abstract]  # made by funnelled
        self.passes = passes

    def around(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if op.kind in HOST or op.name in self.direct:
            return getattr(self.jit, op.name)(*args, **kwargs)
        tensors: list[Any] = []

        def collect(x: Any) -> Any:
            if self.jit._table.find(x) is None:
                self.inner.shape(x)  # raises for what is no tensor
                tensors.append(x)
            return x

        options = {name: value for name, value in kwargs.items() if name != "out"}
        op.map_arguments(collect, args, options)

        def step(batch: tuple[Any, ...], numbers: Any) -> tuple[Any, ...]:
            handles = iter(batch)
            given, named = op.map_arguments(
                lambda x: x if self.jit._table.find(x) is not None else next(handles), args, options
            )
            result = getattr(self.jit, op.name)(*given, **named)
            results = result if isinstance(result, tuple) else (result,)
            self.there = [value is not None for value in results]
            return tuple(value for value in results if value is not None)

        metas = [Meta(tuple(self.inner.shape(x)), self.inner.dtype(x)) for x in tensors]
        tracer = Tracer(self.inner, self.jit._table)
        with self.jit._tracing(tracer):
            traced = tracer.run(step, metas, ())
        program = apply(check(traced.program), self.passes)
        outputs = iter(self.run(program, tensors, traced.cells))
        if op.gives == "nothing":
            return None
        results = tuple(next(outputs) if there else None for there in self.there)
        return results[0] if op.gives == "tensor" else results

    def run(self, program: Program, tensors: Sequence[Any], cells: Mapping[str, Any]) -> tuple[Any, ...]:
        """Run a program of one op."""
        return interpret(program, self.inner, tensors, cells=cells)
