"""`Number`: a number that changes from step to step, while a step is traced.

A compiled step is one program for all steps, but some numbers differ in each: the learning rate, Adam's bias
corrections. The step computes with them as with floats. While it is traced, a `Number` stands for each, and
arithmetic on it builds an expression, which is evaluated when the program runs.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from .errors import TraceError

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
    "neg": operator.neg,
    "abs": operator.abs,
}


class Number:
    """An expression over named numbers; it has arithmetic, but no value while the step is traced.

    Parameters
    ----------
    function
        "" for a named number; else the function: "+", "-", "*", "/", "**", "neg" or "abs".
    operands
        (name,) for a named number; else the operands, Numbers and Python numbers.
    report
        Called with each error, so that the tracer knows of errors that the step's own code swallows.

    """

    __slots__ = ("function", "operands", "report")

    def __init__(
        self, function: str, operands: tuple[Any, ...], report: Callable[[TraceError], None] | None = None
    ) -> None:
        self.function, self.operands, self.report = function, operands, report

    @classmethod
    def named(cls, name: str, report: Callable[[TraceError], None] | None = None) -> Number:
        """Return the number of that name."""
        return cls("", (name,), report)

    def value(self, numbers: Mapping[str, float]) -> float:
        """Return the expression's value for the values of the named numbers, computed as Python does."""
        if not self.function:
            return numbers[self.operands[0]]
        values = (x.value(numbers) if isinstance(x, Number) else x for x in self.operands)
        result: float = _FUNCTIONS[self.function](*values)
        return result

    def names(self) -> set[str]:
        """Return the names of the numbers in the expression."""
        if not self.function:
            return {self.operands[0]}
        return set().union(*(x.names() for x in self.operands if isinstance(x, Number)))

    @property
    def key(self) -> tuple[Any, ...]:
        """The expression as nested tuples, equal for equal expressions."""
        parts = (x.key if isinstance(x, Number) else (type(x).__name__, repr(x)) for x in self.operands)
        return (self.function, *parts) if self.function else ("", self.operands[0])

    def __repr__(self) -> str:
        first, *rest = self.operands
        if not self.function:
            return str(first)
        if not rest:
            return f"(-{first!r})" if self.function == "neg" else f"abs({first!r})"
        return f"({first!r} {self.function} {rest[0]!r})"

    def _with(self, function: str, *operands: Any) -> Any:
        if not all(isinstance(x, (Number, int, float)) for x in operands):
            return NotImplemented
        return Number(function, operands, self.report)

    def __add__(self, other: Any) -> Any:
        return self._with("+", self, other)

    def __radd__(self, other: Any) -> Any:
        return self._with("+", other, self)

    def __sub__(self, other: Any) -> Any:
        return self._with("-", self, other)

    def __rsub__(self, other: Any) -> Any:
        return self._with("-", other, self)

    def __mul__(self, other: Any) -> Any:
        return self._with("*", self, other)

    def __rmul__(self, other: Any) -> Any:
        return self._with("*", other, self)

    def __truediv__(self, other: Any) -> Any:
        return self._with("/", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._with("/", other, self)

    def __pow__(self, other: Any) -> Any:
        return self._with("**", self, other)

    def __rpow__(self, other: Any) -> Any:
        return self._with("**", other, self)

    def __neg__(self) -> Any:
        return self._with("neg", self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return self._with("abs", self)

    def _refuse(self, *_: object) -> NoReturn:
        error = TraceError(
            f"expected arithmetic (+, -, *, /, **, abs) on {self!r}, which changes from step to step, got a "
            "use of its value; a compiled step cannot choose by it or convert it: compute with it, or choose "
            "outside the step"
        )
        if self.report is not None:
            self.report(error)
        raise error

    __bool__ = __float__ = __int__ = __index__ = __round__ = __floor__ = __ceil__ = __trunc__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __divmod__ = __rdivmod__ = _refuse
    __hash__ = object.__hash__
