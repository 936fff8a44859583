"""`Wrapper`: a backend around a backend, with one method, `around`, through which every op goes.

The op methods are generated from the op table, each with its own signature: a new row is at once in every
decorator. A decorator overrides `around`, and lowers the derived ops that it cannot take whole.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, TypeVar

from typing_extensions import override

from .base import Backend
from .loop import Loop
from .ops import OPS, Op
from .protocol import Run, Step

Class = TypeVar("Class", bound=type)


def funnelled(cls: Class) -> Class:
    """Give a class one method per row of the op table, each calling `self.around(op, args, kwargs)`.

    A method that the class defines itself stays.

    `args` holds the positional-or-keyword arguments and `kwargs` the keyword-only ones, however the caller
    passed them; `kwargs` has no `out` if that is None.
    """
    for op in OPS.values():
        if op.name not in vars(cls):
            setattr(cls, op.name, _method(op))
    return cls


def _method(op: Op) -> Callable[..., Any]:
    parameters = list(op.signature.parameters.values())
    positional = [p.name for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    keyword = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    declared = ", ".join(["self", *positional, *(["*", *keyword] if keyword else [])])
    options = ", ".join(f"{name!r}: {name}" for name in keyword if name != "out")
    lines = [f"def {op.name}({declared}):", f"    kwargs = {{{options}}}"]
    if "out" in keyword:
        lines += ["    if out is not None:", "        kwargs['out'] = out"]
    args = "".join(f"{name}, " for name in positional)
    lines += [f"    return self.around(op, ({args}), kwargs)"]
    space: dict[str, Any] = {"op": op}
    exec("\n".join(lines), space)  # a plain function with the op's signature, as dataclasses make theirs
    method: Callable[..., Any] = space[op.name]
    original = getattr(Backend, op.name)
    method.__defaults__, method.__kwdefaults__ = original.__defaults__, original.__kwdefaults__
    method.__doc__, method.__annotations__ = original.__doc__, original.__annotations__
    method.__qualname__ = f"Wrapper.{op.name}"
    return method


@funnelled
class Wrapper(Backend):
    """Base of the decorators: passes every call on to `inner`."""

    scoped = True
    shared: ClassVar[bool] = False
    """Whether `get_backend` makes one instance for each raw backend, which lasts as the raw one does."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        super().__init__(inner.device, inner.default_dtype)
        self.cache_size = inner.cache_size

    @property
    def spec(self) -> str:
        """The stack, outermost first: "strict+numpy"."""
        return f"{self.name}+{self.inner.spec}"

    @property
    @override
    def raw(self) -> Backend:
        return self.inner.raw

    @property
    def tracing(self) -> bool:  # type: ignore[override]
        """Whether the calling thread traces a step."""
        return self.inner.tracing

    @override
    def details(self) -> dict[str, str | int]:
        return self.inner.details()

    @override
    def unrecorded(self) -> AbstractContextManager[None]:
        return self.inner.unrecorded()

    @override
    def leaf(self, cell: Any, owner: Any) -> None:
        """Pass on; a decorator with its own handles opens the cell, and closes the owner's gradients."""
        self.inner.leaf(cell, owner)

    @override
    def compile(self, step: Step) -> Run:
        """Run the loop over this backend's own ops: `step` calls them, with its handles."""
        return Loop(self, step)

    def around(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run one op; decorators override this."""
        return getattr(self.inner, op.name)(*args, **kwargs)

    def lower(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run a derived op by its definition: its primitives go through `around`."""
        return getattr(Backend, op.name)(self, *args, **kwargs)


def stack(backend: Backend | None) -> Iterator[Backend]:
    """Yield the backends of a stack, outermost first; the raw backend is the last."""
    while backend is not None:
        yield backend
        backend = backend.inner if isinstance(backend, Wrapper) else None
