"""`simplify`: removes what need not be computed.

Three old friends of every compiler, in one walk from the first instruction to the last:

- *Identities*. A reshape of a reshape is one reshape; a transposition of a transposition is one, or none; a
  copy of a value is the value, since values never change; x times 1 is x.
- *Common subexpressions*. Two equal ops on equal operands are one. Many appear when derived ops are lowered:
  the forward pass and the backward pass both transpose a weight matrix.
- *Dead code*. A value that no output, no store and no other live value needs is not computed.

Every rule keeps all bits: x + 0 stays, for -0 + 0 is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ....number import Number
from ..instructions import Call, Constant, Instruction, Load, Program, Region, Store, Value, View
from .rewriting import Replaced, without_dead_code

Made = Mapping[Value, Instruction]


def simplify(program: Program) -> Program:
    """Return the program without identities, repetitions and dead code."""
    replaced, body = Replaced(), list[Instruction]()
    made: dict[Value, Instruction] = {}
    known: dict[Any, tuple[Value, ...]] = {}
    for instruction in program.body:
        found = instruction.mapped(replaced.resolve)
        if isinstance(found, Call):
            found = _shorter(found, made)
            if (same := _same(found)) is not None:
                replaced[found.result] = replaced.value(same)
                continue
        if isinstance(found, Store):
            _forget(known, found.region)
            body.append(found)
            continue
        key = _key(found)
        if key in known:
            replaced.update(zip(found.results, known[key], strict=True))
            continue
        known[key] = found.results
        made.update(dict.fromkeys(found.results, found))
        body.append(found)
    outputs = tuple(map(replaced.value, program.outputs))
    return without_dead_code(replace(program, body=tuple(body), outputs=outputs))


# -- identities ------------------------------------------------------------------------------------


def _same(call: Call) -> Value | None:
    """Return the operand that a call's result equals; None if it is a new value."""
    operand = call.args[0] if call.args else None
    if type(operand) is tuple and len(operand) == 1:  # concat of one
        operand = operand[0]
    rule = _IDENTITIES.get(call.op)
    if rule is None or type(operand) is not Value or operand.meta != call.result.meta:
        return None
    return operand if rule(call) else None


def _is_number(value: Any, wanted: float) -> bool:
    return type(value) in (int, float) and value == wanted and str(value)[0] != "-"


_IDENTITIES: dict[str, Callable[[Call], bool]] = {
    "copy": lambda call: True,
    "astype": lambda call: True,
    "reshape": lambda call: True,
    "broadcast_to": lambda call: True,
    "slice": lambda call: True,
    "pad": lambda call: True,
    "concat": lambda call: len(call.args[0]) == 1,
    "permute_dims": lambda call: _ordered(call) == tuple(range(len(call.args[1]))),
    "multiply": lambda call: _is_number(call.args[1], 1),
    "divide": lambda call: _is_number(call.args[1], 1),
    "subtract": lambda call: _is_number(call.args[1], 0),
}
"""When the result is the first operand, if it has its shape and dtype."""


def _ordered(call: Call) -> tuple[int, ...]:
    axes = call.args[1]
    return tuple(axis % len(axes) for axis in axes)


def _shorter(call: Call, made: Made) -> Call:
    """Return a move of a move as one move."""
    if call.op not in ("reshape", "permute_dims") or type(call.args[0]) is not Value:
        return call
    if call.op == "reshape":
        call = replace(call, args=(call.args[0], call.result.meta.shape))
    else:
        call = replace(call, args=(call.args[0], _ordered(call)))
    inner = made.get(call.args[0])
    if not isinstance(inner, Call) or inner.op != call.op:
        return call
    source, how = inner.args
    if call.op == "permute_dims":
        how = tuple(how[axis] for axis in call.args[1])
        return replace(call, args=(source, how))
    return replace(call, args=(source, call.args[1]))


# -- common subexpressions -------------------------------------------------------------------------


def _key(instruction: Instruction) -> Any:
    """Return what is equal for two instructions with equal results."""
    if isinstance(instruction, Load):
        return "load", instruction.region
    if isinstance(instruction, Constant):
        return "constant", instruction.digest
    assert isinstance(instruction, Call)
    options = sorted(instruction.options.items())
    return instruction.op, _part(instruction.args), tuple((name, _part(value)) for name, value in options)


def _part(value: Any) -> Any:
    if type(value) is tuple:
        return tuple(map(_part, value))
    if type(value) is Number:
        return value.key
    if type(value) in (Value, View):
        return value
    return type(value), repr(value)  # 1, 1.0 and True differ, as do 0.0 and -0.0; NaN is NaN


def _forget(known: dict[Any, Any], written: Region) -> None:
    """Forget the loads that a store makes old."""
    for key in [key for key in known if key[0] == "load" and key[1].overlaps(written)]:
        del known[key]
