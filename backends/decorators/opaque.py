"""`Opaque`: a handle without operators, methods or shape; a use of one is an error that names the op."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from ..names import advice
from ..ops import OPS


def _refuse(sign: str, op: str) -> Any:
    def method(self: Opaque, *_: object, **__: object) -> NoReturn:
        raise self.refused(TypeError(f"{sign} on an opaque tensor; use {op} of its backend"))

    return method


class Opaque:
    """Base of the handles that layers can only pass to their backend."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<opaque tensor>"

    def refused(self, error: Exception) -> Exception:
        """Return the error to raise for a forbidden use."""
        return error

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("_"):
                raise AttributeError(name)
            hint = f"; use {name} of its backend" if name in OPS else advice(name, OPS)
            raise self.refused(AttributeError(f".{name} on an opaque tensor{hint}"))


_OPERATORS = {
    "add": ("+", "add"), "sub": ("-", "subtract"), "mul": ("*", "multiply"), "truediv": ("/", "divide"),
    "matmul": ("@", "matmul"), "pow": ("**", "pow"), "neg": ("-", "negative"), "abs": ("abs()", "abs"),
    "eq": ("==", "equal"), "ne": ("!=", "equal"), "lt": ("<", "less"), "le": ("<=", "less_equal"),
    "gt": (">", "greater"), "ge": (">=", "less_equal"), "invert": ("~", "logical_not"),
    "getitem": ("[...]", "slice or take"), "setitem": ("[...] =", "slice_add or where"),
    "bool": ("if, and, or, not", "where"), "len": ("len()", "shape"), "iter": ("a loop", "slice"),
    "float": ("float()", "item"), "int": ("int()", "item"), "index": ("an index", "item"),
    "array": ("a numpy function", "an op"), "copy": ("copy", "copy"), "deepcopy": ("deepcopy", "copy"),
}  # fmt: skip
# Python defines some of these for every object; a layer that compares or tests a tensor gets no answer.
for _name, (_sign, _op) in _OPERATORS.items():
    setattr(Opaque, f"__{_name}__", _refuse(_sign, _op))
    if _name in ("add", "sub", "mul", "truediv", "matmul", "pow"):
        setattr(Opaque, f"__r{_name}__", _refuse(_sign, _op))
        setattr(Opaque, f"__i{_name}__", _refuse(f"{_sign}=", _op))
