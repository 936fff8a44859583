"""`strict`: handles with no operators, no methods and no shape, so that layer code that cheats raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from ..errors import foreign
from ..ops import Op
from ..wrapper import Wrapper


def _refuse(name: str) -> Any:
    def method(self: Handle, *_: object) -> NoReturn:
        raise TypeError(f"{name} on an opaque tensor: only a method of its backend may look into it")

    return method


class Handle:
    """A tensor that only the `strict` backend which made it can open."""

    __slots__ = ("_owner", "_value")

    def __init__(self, owner: StrictBackend, value: Any) -> None:
        self._owner = owner
        self._value = value

    def __repr__(self) -> str:
        return "<opaque tensor>"


# Python gives every object these; a layer that compares or tests a tensor must not get an answer.
for _name in (
    "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__bool__", "__len__", "__iter__",
    "__getitem__", "__setitem__", "__float__", "__int__", "__index__", "__array__", "__copy__",
    "__deepcopy__",
):  # fmt: skip
    setattr(Handle, _name, _refuse(_name))


class StrictBackend(Wrapper):
    """Wraps every handle on its way out, and unwraps it on its way in."""

    name = "strict"

    def around(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Open the arguments, run the op within, close the result."""

        def opened(value: Any) -> Any:
            if type(value) is Handle and value._owner is self:
                return value._value
            other = "a tensor of another strict backend" if type(value) is Handle else ""
            raise foreign(op.name, value, f"a tensor of {self!r}", other)

        args, kwargs = op.map_arguments(opened, args, kwargs)
        result = getattr(self.inner, op.name)(*args, **kwargs)
        return op.map_result(lambda value: Handle(self, value), result)

    def leaf(self, cell: Any, owner: Any) -> None:
        """Hand on the open cell, and an owner whose gradients are closed."""
        self.inner.leaf(cell._value, _Owner(self, owner))


class _Owner:
    """A parameter, as a backend within sees it."""

    def __init__(self, backend: StrictBackend, owner: Any) -> None:
        self.backend, self.owner = backend, owner

    @property
    def grad(self) -> Any:
        return None if self.owner.grad is None else self.owner.grad._value

    def accumulate(self, gradient: Any) -> None:
        self.owner.accumulate(Handle(self.backend, gradient))
