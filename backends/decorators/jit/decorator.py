"""`jit`: a step becomes one program.

Eager calls cost what they cost on the inner backend: while nothing is traced, the ops of a `JitBackend` *are*
the inner backend's methods, attributes of the instance. A trace takes these attributes away, so that the
methods of the class appear, which go through `around`. Calls from other threads pass through to the inner
backend meanwhile.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from typing_extensions import override

from ...base import Backend
from ...errors import BackendError, EagerWarning, users_level
from ...host import Host
from ...loop import Compilation, Loop, Plan, check_result, check_run, key_of
from ...meta import Meta
from ...ops import OPS, Op
from ...protocol import NO_NUMBERS, Run, Shape, Step, Tensor
from ...shapes import cell_shapes
from ...wrapper import Wrapper
from .bound import Bound, host_view
from .cells import CellTable
from .compiler import Native, native
from .instructions import Value
from .objects import folder
from .program import NoRuleError
from .rooms import Rooms
from .team import WORTH_HELP, threads_at_most
from .trace import TooLargeError, Traced, Tracer, compare, run_apart

_METHODS = tuple(name for name in OPS if name != "compile")
_HOOKS = ("leaf", "unrecorded")
_ONE_BLOCK = 1 << 62
"""The `cache_size` during a trace: layers that work block by block take one block, which passes can read."""
_UNKNOWN = object()
MOST_KEPT = 64
"""The programs that a run keeps; it forgets the oldest."""


class JitBackend(Wrapper):
    """Traces a step per shape of its batch, and runs the program.

    Eager ops are the inner backend's. There is one instance for each text, device and dtype.
    """

    name = "jit"
    scoped = False
    shared = True

    def __init__(self, inner: Backend) -> None:
        if inner.device != "cpu":
            raise BackendError(
                f"jit: expected a backend on the CPU, got {inner.spec!r}; name the backend without jit"
            )
        folder()  # an error in LAMINA_CACHE is found before a model is made
        super().__init__(inner)
        self._table = CellTable()
        self._lock = threading.Lock()
        self._tracers: dict[int, Tracer] = {}
        self.scoped = False
        self._eager = {name: getattr(inner, name) for name in (*_METHODS, *_HOOKS)}
        self._eager["cells"] = self._new_cells
        vars(self).update(self._eager)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.inner,)

    @override
    def details(self) -> dict[str, str | int]:
        try:
            version = importlib.metadata.version("llvmlite")
        except importlib.metadata.PackageNotFoundError:
            version = "not installed"
        return {**self.inner.details(), "llvmlite": version}

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
        """Send this thread's ops to a tracer. Several threads may trace at once."""
        thread, attributes = threading.get_ident(), vars(self)
        with self._lock:
            if not self._tracers:
                for name in _METHODS:
                    del attributes[name]
            self._tracers[thread] = tracer
            self.scoped, self.cache_size = True, _ONE_BLOCK
        try:
            yield
        finally:
            with self._lock:
                del self._tracers[thread]
                if not self._tracers:
                    attributes.update(self._eager)
                    self.scoped, self.cache_size = False, self.inner.cache_size

    @property
    def threads(self) -> int:
        """How many threads a compiled step may use: as many as the inner backend's ops."""
        return threads_at_most(int(self.inner.details().get("threads", 1)))

    @property
    def tracing(self) -> bool:  # type: ignore[override]
        """Whether the calling thread traces a step."""
        return self.tracer_here is not None

    @property
    def tracer_here(self) -> Tracer | None:
        """The tracer of the calling thread, if it traces a step."""
        return self._tracers.get(threading.get_ident())


class Compiled(NamedTuple):
    """A step for one shape of its batch: machine code, and the flat buffers of its cells by name."""

    code: Native
    cells: dict[str, Host]


class CompiledRun(Loop):
    """A run of a step as native code, compiled for each shape of its batch and each answer of `step.key`.

    Whole batches run natively. The last one, if it is shorter, runs eagerly: to compile it takes longer.
    `compilations` has an entry for each compilation, also for one that failed.
    """

    def __init__(self, backend: JitBackend, step: Step) -> None:
        super().__init__(backend, step)
        self._jit, self._key = backend, key_of(step)
        self._rooms = Rooms()
        self._compiled: dict[Any, Any] = {}
        """A `Compiled` by its key, or None for a step that runs eagerly."""
        self.compilations: list[Compilation] = []

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
        b = self._jit.inner
        plan = check_run(b, data, order, batch_size=batch_size, numbers=numbers)
        whole = plan.rows // batch_size
        inputs = tuple([Meta((batch_size, *b.shape(x)[1:]), b.dtype(x)) for x in data])
        compiled = self._compiled_for(inputs, tuple(numbers), ordered=order is not None) if whole else None
        if compiled is None:
            return super().__call__(data, order, batch_size=batch_size, numbers=numbers)
        return self._run(compiled, data, order, plan, numbers)

    def _run(
        self,
        compiled: Compiled,
        data: Sequence[Tensor],
        order: Host | None,
        plan: Plan,
        numbers: Mapping[str, Host],
    ) -> tuple[Tensor, ...]:
        """Run the whole batches natively, then the rest eagerly; all eagerly if cells are among the data."""
        b, whole, (code, cells) = self._jit.inner, plan.rows // plan.batch_size, compiled
        inputs = [host_view(x) for x in data]
        if any(np.may_share_memory(x, flat) for x in inputs for flat in cells.values()):
            # A step sees what the last one wrote into the data; native code may read what was there before.
            return super().__call__(data, order, batch_size=plan.batch_size, numbers=numbers)
        metas = code.table.outputs
        shapes = [(plan.rows, *m.shape[1:]) if m.shape else (plan.steps,) for m in metas]
        kinds = [(shape, meta.dtype) for shape, meta in zip(shapes, metas, strict=True)]
        ours: Any = b.empty(())
        results: tuple[Any, ...] = tuple(
            self._rooms.arrays(kinds) if type(ours) is np.ndarray else [b.empty(s, dtype=d) for s, d in kinds]
        )
        outputs = [host_view(x) for x in results]
        before = {name: flat.copy() for name, flat in cells.items()} if code.table.flagged else {}
        try:
            helpers = code.table.operations * whole // WORTH_HELP
            threads = min(self._jit.threads, helpers + 1) if helpers else 1
            bound = Bound(code, inputs, order, numbers, outputs, cells, whole, threads)
        except FloatingPointError:  # the eager run raises Python's error in its step
            return super().__call__(data, order, batch_size=plan.batch_size, numbers=numbers)
        try:
            bound.run()
        except BaseException as error:
            error.steps_done = 0 if bound.failed else bound.done  # type: ignore[attr-defined]
            raise
        finally:
            if bound.failed:
                for name, flat in cells.items():
                    flat[...] = before[name]
        if bound.failed:  # the eager run raises the error of the step that has an index out of range
            return super().__call__(data, order, batch_size=plan.batch_size, numbers=numbers)
        if whole < plan.steps:
            self._rest(data, order, plan, numbers, outputs)
        return results

    def _rest(
        self,
        data: Sequence[Tensor],
        order: Host | None,
        plan: Plan,
        numbers: Mapping[str, Host],
        outputs: Sequence[Host],
    ) -> None:
        """Run the last batch, which is shorter."""
        whole = plan.rows // plan.batch_size
        rows = (
            np.arange(whole * plan.batch_size, plan.rows)
            if order is None
            else order[whole * plan.batch_size :]
        )
        left = {name: values[whole:] for name, values in numbers.items()}
        try:
            last = super().__call__(data, rows, batch_size=len(rows), numbers=left)
        except BaseException as error:
            error.steps_done = whole  # type: ignore[attr-defined]
            raise
        for output, value in zip(outputs, last, strict=True):
            output[len(output) - len(value) :] = host_view(value)  # type: ignore[arg-type]

    def _compiled_for(
        self, inputs: tuple[Meta, ...], numbers: tuple[str, ...], *, ordered: bool
    ) -> Compiled | None:
        """Return the code for batches of these shapes; None if the step runs eagerly."""
        key = self._key(), inputs, numbers, ordered
        known: Compiled | None = self._compiled.get(key, _UNKNOWN)
        if known is not _UNKNOWN:
            return known
        found = self._compiled[key] = self._compile(inputs, numbers, ordered=ordered)
        if len(self._compiled) > MOST_KEPT:  # a run may be kept for long, with options that change
            with contextlib.suppress(KeyError, RuntimeError):  # another thread was faster
                del self._compiled[next(iter(self._compiled))]
        return found

    def _compile(
        self, inputs: tuple[Meta, ...], numbers: tuple[str, ...], *, ordered: bool
    ) -> Compiled | None:
        """Compile the step, and note how; warn once if it runs eagerly."""
        start, rows = time.perf_counter(), inputs[0].shape[0]
        try:
            traced = self._jit.trace(self.step, inputs, numbers)
            _check_outputs(traced.program.outputs, rows)
            code = native(traced.program, ordered=ordered)
        except (TooLargeError, NoRuleError) as error:
            if not any(one.reason for one in self.compilations):
                warnings.warn(f"the step runs eagerly: {error}", EagerWarning, stacklevel=users_level())
            spent = time.perf_counter() - start
            self.compilations.append(Compilation(rows, 0, spent, reason=str(error)))
            return None
        spent = time.perf_counter() - start
        self.compilations.append(Compilation(rows, code.table.kernels, spent, cached=code.cached))
        return Compiled(code, {name: host_view(flat) for name, flat in traced.cells.items()})


def _check_outputs(outputs: Sequence[Value], rows: int) -> None:
    for i, value in enumerate(outputs):
        check_result(i, value.meta.shape, rows)
