"""What elementwise ops compute, over vectors: the rule of each op, and whole expressions of several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ....number import Number
from ....ops import OPS
from ..instructions import Call, Operand, Value, View
from ..ir import ELEMENTS, Code, vector
from ..ir import Value as Register
from ..kernels import functions
from ..kernels.elementwise import ELEMENTWISE, convert
from ..kernels.quotient import quotient
from .arrays import element_of

FUNCTIONS: dict[str, Callable[..., Register]] = {
    "exp": functions.exp,
    "expm1": functions.expm1,
    "log": functions.log,
    "log1p": functions.log1p,
    "tanh": functions.tanh,
    "sigmoid": functions.sigmoid,
    "softplus": functions.softplus,
    "erf": functions.erf,
    "pow": functions.power,
}
RULES: dict[str, Callable[..., Register]] = ELEMENTWISE | FUNCTIONS | {"divide": quotient}
"""By op: the function of (code, *operands)."""
MAPS = frozenset(RULES) | {"astype", "copy"}
"""The ops that compute each element of the result from the same element of each operand."""
WHOLE = frozenset(name for name in RULES if OPS[name].kind == "derived")
"""The derived ops that have a rule of their own."""


def scalar_element(call: Call) -> str:
    """Return the element that the Python numbers among an op's arguments have."""
    tensors = [x for x in call.args[1 if call.op == "where" else 0 :] if type(x) in (Value, View)]
    return element_of(tensors[0]) if tensors else ELEMENTS[call.result.meta.dtype]


def evaluate(
    code: Code,
    calls: Iterable[Call],
    known: dict[Operand, Register],
    lanes: int,
    number: Callable[[Any, str], Register],
) -> None:
    """Write elementwise calls in order; add each result to the known values.

    `number(x, element)` gives the scalar of a number that changes from step to step.
    """
    for call in calls:
        element = scalar_element(call)

        def register(x: Any, element: str = element) -> Register:
            if type(x) in (Value, View):
                return known[x]
            if type(x) in (int, float, bool):
                return code.number(vector(element, lanes), x)
            return code.splat(number(x, element), lanes)

        if call.op in ("astype", "copy"):
            known[call.result] = convert(code, register(call.args[0]), ELEMENTS[call.result.meta.dtype])
        else:
            known[call.result] = RULES[call.op](code, *map(register, call.args))


def work_of(calls: Iterable[Call]) -> int:
    """Return the operations of elementwise ops; a function such as exp takes some twenty."""
    return sum(call.result.meta.size * (20 if call.op in FUNCTIONS else 1) for call in calls)


def inputs_of(calls: Sequence[Call]) -> tuple[list[Operand], list[tuple[Number, str]]]:
    """Return what elementwise ops read from outside, and the numbers among their arguments."""
    made = {value for call in calls for value in call.results}
    reads = dict.fromkeys(x for call in calls for x in call.operands() if x not in made)
    numbers = [(number, scalar_element(call)) for call in calls for number in call.numbers()]
    return list(reads), numbers


def needed(calls: Sequence[Call], results: Iterable[Value]) -> list[Call]:
    """Return those of some calls that the results need, in order."""
    wanted, found = set(results), list[Call]()
    for call in reversed(calls):
        if not wanted.isdisjoint(call.results):
            found.append(call)
            wanted.update(x for x in call.operands() if type(x) is Value)
    return found[::-1]
