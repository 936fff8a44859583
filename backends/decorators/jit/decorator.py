"""`jit`: a step becomes one program.

Eager calls cost what they cost on the inner backend: while nothing is traced, the ops of a `JitBackend` *are*
the inner backend's methods, attributes of the instance. A trace takes these attributes away, so that the
methods of the class appear, which go through `around`. Calls from other threads pass through to the inner
backend meanwhile.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from typing_extensions import override

from ...base import Backend
from ...errors import BackendError
from ...host import Host
from ...loop import Loop, key_of
from ...meta import Meta
from ...ops import OPS, Op
from ...protocol import NO_NUMBERS, Run, Shape, Step, Tensor
from ...shapes import cell_shapes
from ...wrapper import Wrapper
from .cells import CellTable
from .program import interpret
from .trace import TooLargeError, Traced, Tracer, compare, run_apart

_METHODS = tuple(name for name in OPS if name != "compile")
_HOOKS = ("leaf", "unrecorded")
_ONE_BLOCK = 1 << 62
"""The `cache_size` during a trace: layers that work block by block take one block, which passes can read."""


class JitBackend(Wrapper):
    """Traces a step per shape of its batch, and runs the program.

    Eager ops are the inner backend's. There is one instance for each text, device and dtype.
    """

    name = "jit"
    scoped = False
    shared = True
    _tracer: Tracer | None

    def __init__(self, inner: Backend) -> None:
        if inner.device != "cpu":
            raise BackendError(
                f"jit: expected a backend on the CPU, got {inner.spec!r}; name the backend without jit"
            )
        super().__init__(inner)
        self._table = CellTable()
        self._lock = threading.Lock()
        self.scoped, self._tracer = False, None
        self._eager = {name: getattr(inner, name) for name in (*_METHODS, *_HOOKS)}
        self._eager["cells"] = self._new_cells
        vars(self).update(self._eager)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.inner,)

    @override
    def around(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Record an op of the thread that traces; run another thread's."""
        if (tracer := self.tracer_here) is not None:
            return tracer.around(op, args, kwargs)
        return self._eager[op.name](*args, **kwargs)

    # -- eager -----------------------------------------------------------------------------------------

    def _new_cells(self, shapes: Mapping[str, Shape], *, dtype: str | None = None) -> Any:
        """Return the inner backend's cells, and remember where they lie."""
        flat, views = self.inner.cells(shapes, dtype=dtype)
        self._table.add(flat, views, cell_shapes(shapes), self.inner.dtype(flat))
        return flat, views

    @override
    def compile(self, step: Step) -> Run:
        """Return a run of the step as a program, one for each shape of its batch."""
        if (tracer := self.tracer_here) is not None:
            tracer.refuse("compile: expected steps to be compiled outside other steps, got one inside")
        return CompiledRun(self, step)

    # -- a trace ---------------------------------------------------------------------------------------

    def trace(self, step: Step, inputs: Sequence[Meta], numbers: Sequence[str] = ()) -> Traced:
        """Return the program of a step: of its Python code, which runs twice and computes nothing.

        Parameters
        ----------
        step
            A function of a batch (a tuple of tensors) and the numbers by name; it returns a tuple of tensors.
        inputs
            The shape and dtype of each tensor of the batch.
        numbers
            The names of the numbers.

        Raises
        ------
        TraceError
            If the step looks at a value, or takes another path at its second run.

        """
        first, second = (run_apart(lambda: self._traced(step, inputs, numbers)) for _ in range(2))
        compare(first, second)
        return first

    def _traced(self, step: Step, inputs: Sequence[Meta], numbers: Sequence[str]) -> Traced:
        tracer = Tracer(self.inner, self._table)
        with self._tracing(tracer):
            return tracer.run(step, inputs, numbers)

    @contextlib.contextmanager
    def _tracing(self, tracer: Tracer) -> Iterator[None]:
        """Send this thread's ops to a tracer."""
        with self._lock:
            tracer.thread = threading.get_ident()
            self._tracer, self.scoped, self.cache_size = tracer, True, _ONE_BLOCK
            attributes = vars(self)
            try:
                for name in _METHODS:
                    del attributes[name]
                yield
            finally:
                attributes.update(self._eager)
                self._tracer, self.scoped, self.cache_size = None, False, self.inner.cache_size

    @property
    @override
    def tracing(self) -> bool:
        return self.tracer_here is not None

    @property
    def tracer_here(self) -> Tracer | None:
        """The tracer of the calling thread, if it traces a step."""
        tracer = self._tracer
        return tracer if tracer is not None and tracer.thread == threading.get_ident() else None


class CompiledRun(Run):
    """A run of a step as a program: one for each shape of the batch, and for each answer of `step.key`."""

    def __init__(self, backend: JitBackend, step: Step) -> None:
        self._jit, self._step = backend, step
        self._key = key_of(step)
        self._programs: dict[Any, Traced | None] = {}

    @override
    def __call__(
        self,
        data: Sequence[Tensor],
        order: Host | None = None,
        *,
        batch_size: int,
        numbers: Mapping[str, Host] = NO_NUMBERS,
    ) -> tuple[Tensor, ...]:
        if (tracer := self._jit.tracer_here) is not None:
            tracer.refuse("run: expected compiled steps to run outside other steps, got one inside")
        loop = Loop(self._jit.inner, partial(self._run, self._key()))
        return loop(data, order, batch_size=batch_size, numbers=numbers)

    def _run(self, key: Any, batch: tuple[Tensor, ...], numbers: Mapping[str, float]) -> tuple[Tensor, ...]:
        inner = self._jit.inner
        inputs = tuple(Meta(tuple(inner.shape(x)), inner.dtype(x)) for x in batch)
        wanted = key, inputs, tuple(numbers)
        if wanted not in self._programs:
            self._programs[wanted] = self._traced(inputs, tuple(numbers))
        traced = self._programs[wanted]
        if traced is None:
            return self._step(batch, numbers)
        return interpret(traced.program, inner, batch, numbers=numbers, cells=traced.cells)

    def _traced(self, inputs: Sequence[Meta], numbers: Sequence[str]) -> Traced | None:
        try:
            return self._jit.trace(self._step, inputs, numbers)
        except TooLargeError as error:
            if None not in self._programs.values():
                warnings.warn(f"the step runs eagerly: {error}", stacklevel=2)
            return None
