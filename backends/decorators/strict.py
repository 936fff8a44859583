"""`strict`: handles without operators, methods or shape, which read only what their own op wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from ..errors import StateError, foreign
from ..host import Host
from ..loop import key_of
from ..ops import OPS, Op, map_handles
from ..protocol import Run, Step
from ..wrapper import Wrapper
from .opaque import Opaque


class Handle(Opaque):
    """A tensor that only its own `strict` backend can open; dead once `writes`, a list of one count, grows.

    Handles that may share memory share `writes`.
    """

    __slots__ = ("_owner", "_value", "_version", "_writes")

    def __init__(self, owner: StrictBackend, value: Any, writes: list[int]) -> None:
        self._owner, self._value = owner, value
        self._writes, self._version = writes, writes[0]


class Cell(Handle):
    """A handle that may be assigned to."""

    __slots__ = ()


class StrictBackend(Wrapper):
    """Opens handles on their way in, closes results, and enforces the protocol's rule on storage."""

    name = "strict"

    @override
    def around(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        options = {name: value for name, value in kwargs.items() if name != "out"}
        opened, options = op.map_arguments(lambda value: self._open(op, value), args, options)
        out = kwargs.get("out")
        if out is not None:
            options["out"] = map_handles(lambda place: self._open(op, place, read=False), out)
        result = getattr(self.inner, op.name)(*opened, **options)
        places = out if isinstance(out, tuple) else (out,)
        for place in places:
            if place is not None:
                place._writes[0] += 1
        sources = iter((args[op.positions[0]],) if op.view else places)
        kind = Cell if op.gives == "cells" else Handle

        def closed(value: Any) -> Handle:
            source = next(sources, None)
            return kind(self, value, [0] if source is None else source._writes)

        result = op.map_result(closed, result)
        if op.name == "empty":
            result._writes[0] += 1  # it serves only as `out`
        return result

    @override
    def assign(self, cell: Any, value: Any) -> None:
        op = OPS["assign"]
        opened_cell, opened = self._open(op, cell, read=False), self._open(op, value)
        if type(cell) is not Cell:
            raise StateError("assign: expected a cell, got another tensor; `cells` makes storage that lasts")
        self.inner.assign(opened_cell, opened)
        if value._writes is not cell._writes:
            cell._writes[0] += 1
        cell._version = cell._writes[0]

    @override
    def compile(self, step: Step) -> Run:
        """Let the inner backend compile the step; close the handles of each batch and open its results."""
        op = OPS["compile"]

        def opened_step(batch: tuple[Any, ...], numbers: Mapping[str, float]) -> tuple[Any, ...]:
            results: Any = step(self._closed(batch), numbers)
            return tuple([self._open(op, x) for x in results]) if type(results) is tuple else results

        opened_step.key = key_of(step)  # type: ignore[attr-defined]
        run = self.inner.compile(opened_step)

        def opened_run(data: Sequence[Any], order: Host | None = None, **options: Any) -> tuple[Any, ...]:
            return self._closed(run([self._open(op, x) for x in data], order, **options))

        return opened_run

    def _closed(self, values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple([Handle(self, value, [0]) for value in values])

    @override
    def leaf(self, cell: Any, owner: Any) -> None:
        self.inner.leaf(cell._value, _Owner(self, owner))

    def _open(self, op: Op, value: Any, read: bool = True) -> Any:
        if not isinstance(value, Handle) or value._owner is not self:
            other = "a tensor of another strict backend" if isinstance(value, Handle) else ""
            raise foreign(op.name, value, f"a tensor of {self!r}", other)
        if read and op.kind != "metadata" and value._version != value._writes[0]:
            raise StateError(
                f"{op.name}: expected a tensor that holds a value, got storage from `empty` or a tensor "
                "whose storage was written again (out=, assign); use the result of the op that wrote it"
            )
        return value._value


class _Owner:
    """A parameter, as an inner backend sees it."""

    def __init__(self, backend: StrictBackend, owner: Any) -> None:
        self.backend, self.owner = backend, owner

    @property
    def grad(self) -> Any:
        return None if self.owner.grad is None else self.owner.grad._value

    def accumulate(self, gradient: Any) -> None:
        self.owner.accumulate(Handle(self.backend, gradient, [0]))
