"""`views`: moves become strides.

`reshape`, `permute_dims`, `broadcast_to` and `slice` compute nothing: they give the elements of a value in
another order. A tensor in memory is a row of numbers with a *stride* for each axis, the step from one element
to the next along it. For a (2, 3) in row-major order the strides are (3, 1). Its transpose is the same row
of numbers read with strides (1, 3); every second column is a doubled stride; a broadcast axis has stride 0.

So this pass gives each operand that is a move the strides with which it reads the value behind it, a `View`,
and the moves themselves are dead. A kernel then reads x transposed as it reads x, without a copy.

One move may need a copy: a reshape that joins axes which do not lie in order, such as a transposed matrix
made flat. It stays as an instruction.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

from ....protocol import Shape
from ..instructions import Call, Operand, Program, Value, View
from .rewriting import without_dead_code


def views(program: Program) -> Program:
    """Return the program with views in place of moves. A move that is an output stays."""
    seen: dict[Value, View] = {}

    def resolve(operand: Operand) -> Operand:
        return seen.get(operand, operand) if type(operand) is Value else operand

    body = []
    for instruction in program.body:
        found = instruction.mapped(resolve)
        if isinstance(found, Call) and (view := view_of(found)) is not None:
            seen[found.result] = view
        body.append(found)
    return without_dead_code(replace(program, body=tuple(body)))


def as_made(program: Program) -> Program:
    """Return the program with outputs in the shape in which they are computed, where a reshape follows."""
    made = {i.results[0]: i for i in program.body if isinstance(i, Call) and i.results}
    read = {operand for i in program.body for operand in i.operands()}

    def source(output: Value) -> Value:
        call = made.get(output)
        plain = call is not None and call.op == "reshape" and output not in read and call.args[0] in made
        return call.args[0] if call is not None and plain else output

    return without_dead_code(replace(program, outputs=tuple(map(source, program.outputs))))


def row_major(shape: Shape) -> tuple[int, ...]:
    """Return the strides of a contiguous tensor: (3, 1) for (2, 3)."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def reshaped(shape: Shape, strides: tuple[int, ...], new: Shape) -> tuple[int, ...] | None:
    """Return the strides of a view in another shape; None if it needs a copy.

    Axes of the old shape, from the left, are joined until their size is that of some axes of the new one.
    They can be joined if each steps over the whole of the next.
    """
    if 0 in shape:
        return row_major(new)
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    result: list[int] = []
    sizes = [n for n in new if n != 1]
    while sizes:
        joined, inner, wanted = [old.pop(0)], [sizes.pop(0)], 0
        while (wanted := math.prod(inner)) != (size := math.prod(n for n, _ in joined)):
            if wanted < size:
                inner.append(sizes.pop(0))
            else:
                joined.append(old.pop(0))
        if any(s != n * t for (_, s), (n, t) in itertools.pairwise(joined)):
            return None
        step = joined[-1][1]
        result += [step * stride for stride in row_major(tuple(inner))]
    found = iter(result)
    return tuple(0 if n == 1 else next(found) for n in new)


def view_of(call: Call) -> View | None:
    """Return a move's result as a view; None for another op, or for a reshape that copies."""
    if call.op not in ("reshape", "permute_dims", "broadcast_to", "slice"):
        return None
    operand: Operand = call.args[0]
    if type(operand) is Value:
        view = View(operand, 0, operand.meta.shape, row_major(operand.meta.shape))
    else:
        assert isinstance(operand, View)
        view = operand
    shape, strides = call.result.meta.shape, view.strides
    if call.op == "permute_dims":
        strides = tuple(view.strides[axis] for axis in call.args[1])
    elif call.op == "broadcast_to":
        lead = len(shape) - len(view.shape)
        kept = (s if n == m else 0 for s, n, m in zip(strides, view.shape, shape[lead:], strict=True))
        strides = (0,) * lead + tuple(kept)
    elif call.op == "slice":
        starts, steps = call.args[1], call.options.get("steps") or (1,) * len(shape)
        offset = view.offset + sum(a * s for a, s in zip(starts, strides, strict=True))
        return replace(
            view,
            offset=offset,
            shape=shape,
            strides=tuple(s * t for s, t in zip(strides, steps, strict=True)),
        )
    else:
        found = reshaped(view.shape, strides, shape)
        if found is None:
            return None
        strides = found
    return replace(view, shape=shape, strides=strides)
