"""Backend methods made of a library's functions: each takes name, signature and docstring from its op."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import Any

from .base import Backend
from .errors import DtypeError

Method = Callable[..., Any]


class OpMethod:
    """A class attribute that becomes the method `make(op)`, where `op` is the attribute's name."""

    def __init__(self, make: Callable[[str], Method]) -> None:
        self.make = make

    def __set_name__(self, owner: type, op: str) -> None:
        setattr(owner, op, functools.wraps(getattr(Backend, op))(self.make(op)))


def of_op(function: Method) -> Any:
    """Give a method that takes *args and **options the signature of its op."""
    return OpMethod(lambda op: function)


def checker(handles: Collection[type], foreign: Callable[[str, object], DtypeError]) -> Callable[..., Any]:
    """Return `checked(function, tensors=1)` for a backend whose handles are of these types.

    It makes a method of a function that takes the op's own arguments. The method first raises
    `foreign(op, x)` unless each of the op's first one or two arguments is a handle.
    """

    def checked(function: Method, tensors: int = 1) -> Any:
        def make(op: str) -> Method:
            def one(self: Backend, x: Any, *args: Any, **options: Any) -> Any:
                if type(x) not in handles:
                    raise foreign(op, x)
                return function(x, *args, **options)

            def two(self: Backend, x: Any, y: Any, *args: Any, **options: Any) -> Any:
                if type(x) not in handles or type(y) not in handles:
                    raise foreign(op, y if type(x) in handles else x)
                return function(x, y, *args, **options)

            return one if tensors == 1 else two

        return OpMethod(make)

    return checked


def moved(x: Any, to: Any, check: Method, exact: Method, move: Method) -> Any:
    """Return `move(x, to)`, where `to` is a shape or an order of axes that fits.

    `check(x.shape, to)` is cached, and a cache takes 2.0 for 2. If the cache or the library raises TypeError,
    `exact(x.shape, to)` returns `to` as a tuple of ints, or raises the error that says what was expected.
    """
    try:
        check(x.shape, to)
        return move(x, to)
    except TypeError:
        return move(x, exact(x.shape, to))
