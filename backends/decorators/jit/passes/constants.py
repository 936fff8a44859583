"""`constants`: what is the same in every step is computed once, before the program runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ....ops import OPS
from ....shapes import range_of
from ..instructions import Call, Constant, Instruction, Program


def constants(program: Program) -> Program:
    """Return the program with ranges as constants."""
    return replace(program, body=tuple(map(_constant, program.body)))


def _constant(instruction: Instruction) -> Instruction:
    if not isinstance(instruction, Call) or instruction.op != "arange":
        return instruction
    bound = OPS["arange"].signature.bind(*instruction.args, **instruction.options)
    bound.apply_defaults()
    start, stop, step, dtype = bound.arguments.values()
    array = np.arange(*range_of(start, stop, step, dtype), dtype=dtype)
    return Constant(array, instruction.result, path=instruction.path)
