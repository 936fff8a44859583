"""`lower`: derived ops become the primitives of their definitions.

A step calls ops such as `linear`, `softmax` or `adam_step`. Each has a definition in primitives, in
backends/base.py: linear(x, W, b) is matmul(x, permute_dims(W, (1, 0))) plus b. There are many derived ops and
a user may add more, but a compiler that knows the primitives knows them all. So this pass runs each
definition on the program's own values; the definition's primitives replace the call.

It also gives later passes more to do: in the definition they see the transposition of W, which is a matter of
strides, and the sum with b, which can be done where the product is computed.

The compiler may keep an op whole, if it has a better way than the definition.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from ....base import Backend
from ....ops import OPS
from ..builder import Builder
from ..instructions import Call, Program
from .rewriting import Replaced


def lower(program: Program, *, whole: Collection[str] = ()) -> Program:
    """Return the program without derived ops, but for those in `whole`."""
    b: Any = Builder(whole)  # type: ignore[abstract]  # made by funnelled
    replaced = Replaced()
    for instruction in program.body:
        found = instruction.mapped(replaced.resolve)
        if not isinstance(found, Call) or OPS[found.op].kind != "derived" or found.op in whole:
            b.body.append(found)
            continue
        b.path = found.path
        result = getattr(Backend, found.op)(b, *found.args, **found.options)
        results = (result,) if OPS[found.op].gives == "tensor" else result
        for old, new in zip(found.outputs, results, strict=True):
            if old is not None:
                replaced[old] = new
    outputs = tuple(map(replaced.value, program.outputs))
    return replace(program, body=tuple(b.body), outputs=outputs)
