"""The tracer: it runs a step on handles without numbers and records what the step calls.

A handle is a shape and a dtype, which the op table's rules give. An op on handles computes nothing: it
becomes an instruction of the program. So one run of the step's Python writes the whole step down: forward,
loss, backward, update. The only effect is `assign`, which becomes a store. `out=`, which only reuses memory,
is ignored.

The program is right for every later step only if the Python code would call the same ops then. So code that
looks at a value is refused, and the step is traced twice: what differs is refused, too.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import copy_context
from typing import Any, NamedTuple, NoReturn, TypeVar

from typing_extensions import override

from ... import meta
from ...base import Backend
from ...errors import DtypeError, ShapeError, TraceError, foreign
from ...meta import Meta
from ...number import Number
from ...ops import Op
from ...protocol import Shape, Step
from ..opaque import Opaque
from .builder import Builder
from .cells import CellTable, Place, Record
from .instructions import Buffer, Constant, Program, Region, Value
from .program import lines, show

MOST_OPS = 5_000
"""The number of ops from which a step runs eagerly: it would take long to compile, and gain little."""

_OWNERS = ("base", "_base")
"""The attributes of numpy's and torch's tensors that hold the tensor whose memory a view shares."""

Result = TypeVar("Result")


class TooLargeError(TraceError):
    """The step has too many ops."""


class Journal:
    """The errors of one trace. Handles and numbers refer to it, and not to the tracer."""

    def __init__(self) -> None:
        self.errors: list[TraceError] = []

    def report(self, error: TraceError) -> None:
        """Remember an error."""
        self.errors.append(error)


class Handle(Opaque):
    """A tensor while a step is traced."""

    __slots__ = ("_journal", "_meta", "_value")
    as_argument = "it was kept from a step that was traced; run the forward pass again"

    def __init__(self, journal: Journal, meta: Meta, value: Value | None) -> None:
        self._journal, self._meta, self._value = journal, meta, value

    @override
    def refused(self, error: Exception) -> Exception:
        self._journal.report(TraceError(str(error)))
        return error


class Traced(NamedTuple):
    """A program, and the flat buffers of its cells by name."""

    program: Program
    cells: dict[str, Any]


class Tracer:
    """Records the ops of one run of a step.

    Parameters
    ----------
    inner
        The backend of the tensors that the step finds: parameters, constants.
    table
        Its cells.
    most
        The number of instructions above which the trace ends with `TooLargeError`.

    """

    def __init__(self, inner: Backend, table: CellTable, most: int = MOST_OPS) -> None:
        self.inner, self.table, self.most = inner, table, most
        self.journal = Journal()
        self.builder: Any = Builder(dtype=inner.default_dtype)  # type: ignore[abstract]  # made by funnelled
        self.path: list[str] = []
        self.buffers: dict[int, tuple[Record, Buffer]] = {}
        self.captured: dict[int, tuple[Any, Value]] = {}

    def run(self, step: Step, inputs: Sequence[Meta], numbers: Sequence[str]) -> Traced:
        """Run the step once; return its program."""
        values = tuple(Value(meta, f"x{i}") for i, meta in enumerate(inputs))
        batch = tuple(Handle(self.journal, value.meta, value) for value in values)
        symbols = {name: Number.named(name, self.journal.report) for name in numbers}
        try:
            results: Any = step(batch, symbols)  # type: ignore[arg-type]  # handles, and numbers without value
            if type(results) is not tuple:
                raise DtypeError(
                    f"run: expected the step to return a tuple of tensors, got {type(results).__name__}"
                )
            outputs = tuple(self._read("run", result) for result in results)
        except Exception as error:
            if self.journal.errors and self.journal.errors[0] is not error:
                raise self.journal.errors[0] from error
            raise
        if self.journal.errors:
            raise self.journal.errors[0]
        program = Program(values, tuple(numbers), tuple(self.builder.body), outputs)
        return Traced(program, {buffer.name: record.flat() for record, buffer in self.buffers.values()})

    def around(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Record one op."""
        special = _SPECIAL.get(op.name)
        if special is not None:
            return special(self, *args, **kwargs)
        if len(self.builder.body) >= self.most:
            self.refuse(f"expected a step of at most {self.most:,} ops, got more", TooLargeError)
        options = {name: value for name, value in kwargs.items() if name != "out"}
        args, options = op.map_arguments(lambda x: self._read(op.name, x), args, options)
        self.builder.path = ".".join(self.path)
        return op.map_result(self._handle, self.builder.around(op, args, options))

    # -- what the step may pass to an op ---------------------------------------------------------------

    def _handle(self, value: Value) -> Handle:
        return Handle(self.journal, value.meta, value)

    def _read(self, op: str, x: Any) -> Any:
        """Return the value of a tensor: of a handle, a cell, or a tensor that was there before the step."""
        if type(x) is Handle:
            if x._journal is not self.journal:
                raise foreign(op, x, "a tensor of this step")
            if x._value is None:
                self.refuse(f"{op}: expected a tensor that holds a value, got storage from `empty`")
            return x._value
        self.builder.path = ".".join(self.path)
        if (place := self.table.find(x)) is not None:
            return self.builder.load(self._region(place))
        if id(x) not in self.captured:
            self.inner.shape(x)  # raises for what is no tensor
            if any(self.table.find(getattr(x, name, None)) for name in _OWNERS):
                self.refuse(
                    f"{op}: expected a cell or a view made in the step, got a view of a cell from before the "
                    "step, which would keep its value; make the view in the step"
                )
            self.captured[id(x)] = x, self.builder.constant(self.inner.to_host(x))
        return self.captured[id(x)][1]

    def _region(self, place: Place) -> Region:
        record = place.record
        if id(record) not in self.buffers:
            name = f"@{len(self.buffers)}"
            self.buffers[id(record)] = record, Buffer(name, record.size, record.dtype, record.views)
        return Region(self.buffers[id(record)][1], place.offset, place.shape)

    def refuse(self, message: str, kind: type[TraceError] = TraceError) -> NoReturn:
        """Raise an error that the trace ends with, even if the step's own code swallows it."""
        where = f" (in {'.'.join(self.path)})" if self.path else ""
        error = kind(f"{message}{where}")
        self.journal.report(error)
        raise error

    # -- ops that are no computation -------------------------------------------------------------------

    def _shape(self, x: Any) -> Shape:
        return x._meta.shape if type(x) is Handle else self.inner.shape(x)

    def _dtype(self, x: Any) -> str:
        return x._meta.dtype if type(x) is Handle else self.inner.dtype(x)

    def _from_host(self, array: Any, *, dtype: str | None = None) -> Handle:
        self.builder.path = ".".join(self.path)
        return self._handle(self.builder.from_host(array, dtype=dtype))

    def _to_host(self, x: Any) -> Any:
        return self._looked("to_host", x)

    def _item(self, x: Any) -> Any:
        return self._looked("item", x)

    def _looked(self, op: str, x: Any) -> Any:
        if type(x) is Handle or self.table.find(x) is not None:
            self.refuse(
                f"{op}: expected a step that reads no value in Python, got a read of a tensor that changes "
                "from step to step; return the tensor from the step, or read it before or after the run; to "
                "choose by a value, use where"
            )
        return getattr(self.inner, op)(x)

    def _empty(self, shape: Shape, *, dtype: str | None = None) -> Handle:
        return Handle(self.journal, meta.empty(shape, dtype=dtype or self.inner.default_dtype), None)

    def _cells(self, shapes: Any, *, dtype: str | None = None) -> NoReturn:
        self.refuse("cells: expected cells to be made before the step, got new ones in it; make them outside")

    def _assign(self, cell: Any, value: Any) -> None:
        place = self.table.find(cell)
        if place is None:
            self.refuse(
                "assign: expected a cell, got another tensor; make cells with `cells`, before the step"
            )
        if value is cell:
            return
        stored, region = self._read("assign", value), self._region(place)
        wanted, got = region.meta, stored.meta
        if got.shape != wanted.shape:
            raise ShapeError(f"assign: expected a value of shape {wanted.shape}, got {got.shape}")
        if got.dtype != wanted.dtype:
            raise DtypeError(f"assign: expected a value of {wanted.dtype}, got {got.dtype}; use astype")
        self.builder.path = ".".join(self.path)
        self.builder.store(region, stored)

    def _synchronize(self) -> None:
        return None

    @contextlib.contextmanager
    def _scope(self, name: str) -> Iterator[None]:
        self.path.append(name)
        try:
            yield
        finally:
            self.path.pop()

    def _session(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


_SPECIAL: dict[str, Callable[..., Any]] = {
    name: getattr(Tracer, f"_{name}")
    for name in (
        "shape",
        "dtype",
        "from_host",
        "to_host",
        "item",
        "empty",
        "cells",
        "assign",
        "synchronize",
        "scope",
        "session",
    )
}


# -- two traces ------------------------------------------------------------------------------------


def compare(first: Traced, second: Traced) -> None:
    """Raise TraceError unless two traces of one step are the same program over the same cells."""
    if first.program.text != second.program.text:
        raise _difference(first.program, second.program)
    for name, flat in first.cells.items():
        if second.cells[name] is not flat:
            raise TraceError(f"the step: expected the same cells at each run, got two buffers for {name}")


def _difference(first: Program, second: Program) -> TraceError:
    """Return the error that shows where two programs begin to differ."""
    ours, theirs = lines(first), lines(second)

    def differ(where: str, one: str, other: str) -> TraceError:
        return TraceError(
            f"{where or 'the step'}: expected the same ops at each run of the step, got `{one}` in the first "
            f"and `{other}` in the second; what changes from step to step must be a cell, an input of the "
            "step or one of its numbers"
        )

    longer = max(first.body, second.body, key=len)
    for place, instruction in enumerate(longer):
        one, other = (text[place] if place < len(text) else "no more ops" for text in (ours, theirs))
        if one != other or _digest(first, place) != _digest(second, place):
            return differ(instruction.path, one, other)
    return differ("", *(show(program).splitlines()[-1] for program in (first, second)))


def _digest(program: Program, place: int) -> str:
    instruction = program.body[place]
    return instruction.digest if isinstance(instruction, Constant) else ""


def run_apart(function: Callable[[], Result]) -> Result:
    """Run a function in a new thread, in a copy of the context, and wait for it.

    What layers keep for their backward pass belongs to a thread: so they keep nothing of a trace, and what
    they kept before stays.
    """
    outcome: list[Any] = []
    context = copy_context()

    def run() -> None:
        try:
            outcome.extend((True, context.run(function)))
        except BaseException as error:
            outcome.extend((False, error))

    thread = threading.Thread(target=run, name="lamina trace")
    thread.start()
    stop: KeyboardInterrupt | None = None
    while thread.is_alive():
        try:
            thread.join()
        except KeyboardInterrupt as interrupt:
            if stop is not None:  # the second does not wait
                raise
            stop = interrupt
    if stop is not None:
        raise stop
    done, result = outcome
    if not done:
        raise result
    return result  # type: ignore[no-any-return]
