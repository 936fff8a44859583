"""`profile`: the cost of each op in each layer: calls, FLOPs, bytes, time and memory.

The op table gives FLOPs and bytes; for a derived op, they are those of its definition. They are computed
once per combination of shapes. Handles are the inner backend's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter_ns
from typing import Any, Literal, NamedTuple

from typing_extensions import override

from ..base import Backend
from ..loop import Loop
from ..meta import Meta
from ..ops import Op
from ..protocol import Run, Step, Tensor
from ..shape_backend import ShapeBackend
from ..wrapper import Wrapper
from .memory import Memory
from .report import Report, Row

MOST_COMBINATIONS = 4096
"""The size of the cache of costs, by op, shapes and options."""

_layer: ContextVar[tuple[str, bool]] = ContextVar("lamina_profiled_layer", default=("", False))
"""The path of the running layer, and whether its backward pass runs."""
_steps: ContextVar[tuple[Row, ...]] = ContextVar("lamina_profiled_steps", default=())
"""The rows of the running compiled steps."""


class Event(NamedTuple):
    """One run of an op, a layer or a compiled step, from `start` to `end` (ns, one clock)."""

    kind: Literal["op", "layer", "step"]
    name: str
    start: int
    end: int
    flops: int = 0
    bytes: int = 0


class _Cost(NamedTuple):
    """The cost of a call, and the shapes and dtypes of its results."""

    flops: int
    bytes: int
    results: tuple[Meta, ...]


class _Place:
    """One pass of one layer, with a row for each op."""

    def __init__(self, layer: str, backward: bool) -> None:
        self.layer, self.backward = layer, backward
        self.rows: dict[str, Row] = {}


class ProfileBackend(Wrapper):
    """Times and counts every op on `inner`, by layer path and pass; `report()` returns the rows.

    Set `timeline` to a list to collect an `Event` for each run.
    """

    name = "profile"

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.timeline: list[Event] | None = None
        self._waits = inner.device != "cpu"  # an op on another device returns before it is done
        self._memory = Memory()
        self._costs: dict[tuple[Any, ...], _Cost] = {}
        self._places: dict[tuple[str, bool], _Place] = {}
        self._steps: dict[str, Row] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.inner,)

    def report(self) -> Report:
        """Return the costs since the start, or since `reset`; later ops do not change the report."""
        rows = (row.copy() for place in self._places.values() for row in place.rows.values())
        steps = (row.copy() for row in self._steps.values() if row.calls)
        return Report(self.spec, self.default_dtype, tuple(rows), tuple(steps))

    def reset(self) -> None:
        """Set all counts to 0. Memory still counts the tensors that are alive."""
        for place in self._places.values():
            place.rows.clear()
        for row in self._steps.values():
            row.clear()
        if self.timeline is not None:
            self.timeline.clear()

    @override
    def around(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        run = getattr(self.inner, op.name)
        if op.kind in ("metadata", "control"):
            return run(*args, **kwargs)
        start = perf_counter_ns()
        result = run(*args, **kwargs)
        if self._waits:
            self.inner.synchronize()
        end = perf_counter_ns()
        flops, moved, metas = self._cost(op, args, kwargs, result)
        new, allocated = self._memory.note(op, args, result, metas)
        live, place = self._memory.live, self._place()
        row = place.rows.get(op.name)
        if row is None:
            row = place.rows[op.name] = Row(place.layer, place.backward, op.name)
        row.calls += 1
        row.seconds += (end - start) * 1e-9
        for counting in (row, *_steps.get()):
            counting.flops += flops
            counting.bytes += moved
            counting.new += new
            counting.allocated += allocated
            if live > counting.peak:
                counting.peak = live
        if self.timeline is not None:
            self.timeline.append(Event("op", op.name, start, end, flops, moved))
        return result

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Count the ops inside under the layer `name`, or under its backward pass if "name.backward"."""
        start, (outer, backward) = perf_counter_ns(), _layer.get()
        layer = name.removesuffix(".backward")
        token = _layer.set((f"{outer}.{layer}" if outer else layer, backward or layer != name))
        self._place()  # in the order of the layers' first runs
        try:
            with self.inner.scope(name):
                yield
        finally:
            _layer.reset(token)
            if self.timeline is not None:
                self.timeline.append(Event("layer", name, start, perf_counter_ns()))

    @override
    def compile(self, step: Step) -> Run:
        """Run the loop, with a row for all steps of this name: their number, their time and their ops."""
        name = getattr(step, "__name__", type(step).__name__)
        row = self._steps.setdefault(name, Row("", False, name))

        def timed(batch: tuple[Tensor, ...], numbers: Mapping[str, float]) -> tuple[Tensor, ...]:
            start = perf_counter_ns()
            token = _steps.set((*_steps.get(), row))
            try:
                return step(batch, numbers)
            finally:
                _steps.reset(token)
                end = perf_counter_ns()
                row.calls += 1
                row.seconds += (end - start) * 1e-9
                if self.timeline is not None:
                    self.timeline.append(Event("step", name, start, end))

        return Loop(self, timed)

    def _place(self) -> _Place:
        key = _layer.get()
        return self._places.get(key) or self._places.setdefault(key, _Place(*key))

    # -- costs -------------------------------------------------------------------------------------

    def _cost(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> _Cost:
        if op.shape is None and op.kind != "derived":
            return self._transfer(op, args, result)
        key = self._key(op, args, kwargs)
        cost = self._costs.get(key)
        if cost is None:
            if len(self._costs) >= MOST_COMBINATIONS:
                self._costs.clear()
            cost = self._costs[key] = self._by_table(op, args, kwargs)
        return cost

    def _key(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the key of a cost: op, shapes, dtypes and options; floats count as equal."""
        key: list[Any] = [op.name]
        for i, value in enumerate(args):
            kind = type(value)
            if kind in _PLAIN or i not in op.positions:
                key.append(_frozen(value))
            else:
                several = kind is list or kind is tuple
                key.append(tuple(map(self._meta, value)) if several else self._meta(value))
        for name, value in kwargs.items():
            if name != "out":
                handle = name in op.named and type(value) not in _PLAIN
                key += (name, self._meta(value) if handle else _frozen(value))
        return tuple(key)

    def _by_table(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> _Cost:
        """Run the op on shapes alone: the row of a primitive, the definition of a derived op."""
        counter: Any = ShapeBackend(dtype=self.default_dtype)  # type: ignore[abstract]  # made by funnelled
        options = {name: value for name, value in kwargs.items() if name != "out"}
        metas, options = op.map_arguments(self._meta, args, options)
        result = getattr(counter, op.name)(*metas, **options)
        results = tuple(m for m in (result if op.gives == "tensors" else (result,)) if m is not None)
        total = counter.costs[""]
        return _Cost(total.flops, total.bytes, results)

    def _transfer(self, op: Op, args: Sequence[Any], result: Any) -> _Cost:
        """Return the cost of an op without a rule: the bytes that it reads and fills."""
        read: list[Any] = []
        op.map_arguments(read.append, args, {})
        if len({id(handle) for handle in read}) < len(read):
            return _Cost(0, 0, ())  # assigned in place: nothing moves
        made: Sequence[Any] = (result,) if op.gives == "tensor" else ()
        if op.gives == "cells":
            made = (result[0], *result[1].values())
        metas = tuple(map(self._meta, made))
        filled = metas[:1]  # the views share the buffer
        return _Cost(0, sum(meta.nbytes for meta in (*filled, *map(self._meta, read))), metas)

    def _meta(self, handle: Any) -> Meta:
        watched = self._memory.watched.get(id(handle))
        if watched is not None:
            return watched.meta
        return Meta(tuple(self.inner.shape(handle)), self.inner.dtype(handle))


_PLAIN = (float, int, bool, str, type(None))


def _frozen(value: Any) -> Any:
    """Return an argument as a part of a key; all floats are equal."""
    kind = type(value)
    if kind is list or kind is tuple:
        return tuple(map(_frozen, value))
    return 1.0 if kind is float else value
