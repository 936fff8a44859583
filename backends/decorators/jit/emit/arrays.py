"""Operands as arrays of the kernels: elements, strides, broadcasting."""

from __future__ import annotations

from dataclasses import replace

from ....protocol import Shape
from ..instructions import Operand
from ..ir import ELEMENTS
from ..kernels.span import Array


def element_of(operand: Operand) -> str:
    """Return LLVM's name of an operand's dtype."""
    return ELEMENTS[operand.meta.dtype]


def spread(array: Array, shape: Shape, wanted: Shape) -> Array:
    """Return an array of a shape as one of a shape that it broadcasts to."""
    lead = len(wanted) - len(shape)
    kept = (s if n == m else 0 for s, n, m in zip(array.strides, shape, wanted[lead:], strict=True))
    return replace(array, strides=(0,) * lead + tuple(kept))
