"""`Wrapper`: a backend around a backend, all of whose methods go through one, `around`.

The methods are generated from the op table when the class is made, each with its op's own signature, so
that an op added to the table is in every decorator at once. A decorator overrides `around` (and says
which derived ops it lowers to primitives); that is all.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from .base import Backend
from .ops import OPS, Op

Class = TypeVar("Class", bound=type)


def funnelled(cls: Class) -> Class:
    """Give a class one method per row of the op table, each calling `self.around(op, args, kwargs)`.

    Positional-or-keyword arguments arrive in `args`, keyword-only ones in `kwargs`, however they were
    passed; `out` is left out of `kwargs` where none was given.
    """
    for op in OPS.values():
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
    exec("\n".join(lines), space)  # as dataclasses do: a plain function with the op's signature
    method: Callable[..., Any] = space[op.name]
    original = getattr(Backend, op.name)
    method.__defaults__, method.__kwdefaults__ = original.__defaults__, original.__kwdefaults__
    method.__doc__, method.__annotations__ = original.__doc__, original.__annotations__
    method.__qualname__ = f"Wrapper.{op.name}"
    return method


@funnelled
class Wrapper(Backend):
    """Base of the decorators: hands everything on to `inner`, unchanged."""

    scoped = True

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        super().__init__(inner.device, inner.default_dtype)
        self.cache_size = inner.cache_size

    @property
    def spec(self) -> str:
        """The stack, outermost first: "strict+numpy"."""
        return f"{self.name}+{self.inner.spec}"

    @property
    def raw(self) -> Backend:
        """The innermost backend of the stack."""
        return self.inner.raw

    def details(self) -> dict[str, str | int]:
        """Return what the inner backend says."""
        return self.inner.details()

    def unrecorded(self) -> AbstractContextManager[None]:
        """Enter the inner backend's."""
        return self.inner.unrecorded()

    def leaf(self, cell: Any, owner: Any) -> None:
        """Hand on; a decorator with handles of its own opens the cell, and closes the gradients."""
        self.inner.leaf(cell, owner)

    def around(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run one op; override this."""
        return getattr(self.inner, op.name)(*args, **kwargs)

    def lower(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run a derived op by its definition, so that its primitives come through `around`."""
        return getattr(Backend, op.name)(self, *args, **kwargs)


def stack(backend: Backend | None) -> Iterator[Backend]:
    """Yield the parts of a stack, outermost first: each decorator, and last the raw backend."""
    while backend is not None:
        yield backend
        backend = backend.inner if isinstance(backend, Wrapper) else None
