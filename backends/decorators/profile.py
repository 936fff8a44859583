"""`profile`: what each op costs, layer by layer: calls, FLOPs, bytes, time, memory.

FLOPs and bytes are the op table's, of a derived op those of its definition in primitives; they are worked
out once for each combination of shapes. Handles are the inner backend's own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Any, Literal, NamedTuple

from ..base import Backend
from ..meta import Meta
from ..ops import OPS, Op
from ..protocol import Step
from ..shape_backend import ShapeBackend
from ..wrapper import Wrapper
from .memory import Memory
from .report import Report, Row


class Event(NamedTuple):
    """Something that ran: an op, a layer or a compiled step, from `start` to `end` (ns, one clock)."""

    kind: Literal["op", "layer", "step"]
    name: str
    start: int
    end: int
    flops: int = 0
    bytes: int = 0


class _Place:
    """One pass of one layer: its rows by op, and the places within it."""

    def __init__(self, layer: str = "", backward: bool = False) -> None:
        self.layer, self.backward = layer, backward
        self.rows: dict[str, Row] = {}


class ProfileBackend(Wrapper):
    """Times and counts every op that runs on `inner`, by layer path and pass; `report()` tells.

    `timeline` holds an `Event` for everything that runs, if it is set to a list.
    """

    name = "profile"

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.timeline: list[Event] | None = None
        self._waits = inner.device != "cpu"  # an op on another device only begins when it is called
        self._memory = Memory(lambda handle: self._meta(handle).nbytes)
        self._here = _Place()
        self._places = {("", False): self._here}
        self._steps: list[Row] = []
        self._running: list[Row] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.inner,)  # elsewhere it counts from the start

    def report(self) -> Report:
        """Return what ran since the start, or since `reset`; later ops do not change it."""
        rows = (row.copy() for place in self._places.values() for row in place.rows.values())
        steps = (row.copy() for row in self._steps if row.calls)
        return Report(self.spec, self.default_dtype, tuple(rows), tuple(steps))

    def reset(self) -> None:
        """Start anew. Tensors that are alive stay in the count of memory."""
        for place in self._places.values():
            place.rows.clear()
        for row in self._steps:
            row.clear()
        if self.timeline is not None:
            self.timeline.clear()

    def around(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run the op, then count it: its own errors come first, and counting it is not in its time."""
        run = getattr(self.inner, op.name)
        if op.kind in ("metadata", "control"):
            return run(*args, **kwargs)
        start = perf_counter_ns()
        result = run(*args, **kwargs)
        if self._waits:
            self.inner.synchronize()
        end = perf_counter_ns()
        new, allocated = self._memory.note(op, args, result)
        flops, moved = self._cost(op, args, kwargs, allocated)
        rows = self._here.rows
        row = rows.get(op.name)
        if row is None:
            row = rows[op.name] = Row(self._here.layer, self._here.backward, op.name)
        row.calls += 1
        row.seconds += (end - start) * 1e-9
        for counting in (row, *self._running):
            counting.flops += flops
            counting.bytes += moved
            counting.new += new
            counting.allocated += allocated
            counting.peak = max(counting.peak, self._memory.live)
        if self.timeline is not None:
            self.timeline.append(Event("op", op.name, start, end, flops, moved))
        return result

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Count what runs inside under the layer `name`, or its backward pass for "name.backward"."""
        before, start = self._here, perf_counter_ns()
        layer = name.removesuffix(".backward")
        path = f"{before.layer}.{layer}" if before.layer else layer
        key = (path, before.backward or layer != name)
        self._here = self._places.get(key) or self._places.setdefault(key, _Place(*key))
        try:
            with self.inner.scope(name):
                yield
        finally:
            self._here = before
            if self.timeline is not None:
                self.timeline.append(Event("layer", name, start, perf_counter_ns()))

    def compile(self, step: Step) -> Step:
        """Return the inner backend's compiled step; it gets a row: its calls, its time, what ran in it."""
        compiled: Callable[..., Any] = self.inner.compile(step)
        row = Row("", False, getattr(step, "__name__", type(step).__name__))
        self._steps.append(row)

        @functools.wraps(step)
        def run(*args: Any, **kwargs: Any) -> Any:
            start = perf_counter_ns()
            self._running.append(row)
            try:
                return compiled(*args, **kwargs)
            finally:
                self._running.remove(row)
                if self._waits:
                    self.inner.synchronize()
                end = perf_counter_ns()
                row.calls += 1
                row.seconds += (end - start) * 1e-9
                if self.timeline is not None:
                    self.timeline.append(Event("step", row.op, start, end))

        return run  # type: ignore[return-value]  # functools.wraps forgets which callable it was

    # -- costs -------------------------------------------------------------------------------------

    def _meta(self, handle: Any) -> Meta:
        return Meta(tuple(self.inner.shape(handle)), self.inner.dtype(handle))

    def _cost(
        self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any], allocated: int
    ) -> tuple[int, int]:
        """Return FLOPs and bytes of a call."""
        options = {name: value for name, value in kwargs.items() if name != "out"}
        if op.shape is None and op.kind != "derived":
            # A transfer or an assignment reads its tensors and fills what is new; x := x does nothing.
            read: list[Any] = []
            op.map_arguments(read.append, args, options)
            if len({id(handle) for handle in read}) < len(read):
                return 0, 0
            return 0, allocated + sum(self._meta(handle).nbytes for handle in read)
        metas, options = op.map_arguments(self._meta, args, options)
        frozen = tuple((name, _frozen(value)) for name, value in options.items())
        return _counted(op.name, _frozen(metas), frozen, self.default_dtype)


def _frozen(value: Any) -> Any:
    """Return an argument as what its cost depends on: hashable, and never the value of a float."""
    kind = type(value)
    if kind is list or kind is tuple:
        return tuple(map(_frozen, value))
    return 1.0 if kind is float else value


@functools.lru_cache(maxsize=4096)
def _counted(
    op: str, args: tuple[Any, ...], options: tuple[tuple[str, Any], ...], dtype: str
) -> tuple[int, int]:
    """Return FLOPs and bytes by the op table; of a derived op, those of its primitives."""
    counter: Any = ShapeBackend(dtype=dtype)  # type: ignore[abstract]  # made by funnelled
    getattr(counter, OPS[op].name)(*args, **dict(options))
    return counter.costs[""].flops, counter.costs[""].bytes
