"""Which products are convolutions: those of columns, which are then never made.

`unfold` is a view: a column of a window is the image with more strides. So a product with the columns reads
the image itself (kernels/direct.py), and if only such products read the columns, they are not computed. A
`fold` of a product is a convolution too: its taps move from the rows of the product to the sum.
"""

from __future__ import annotations

import math

from ..instructions import Call, Operand, Program, Value, View, base_of
from .views import row_major

LONGEST = 8192
"""The most terms of a sum whose tile adds them one after the other, as in kernels/sums.py."""


class Absorbed:
    """The ops that a program's convolutions compute as they go.

    Parameters
    ----------
    columns
        The `unfold` of each value that only products read.
    products
        The matmul of each value that only a `fold` reads.

    """

    def __init__(self, program: Program) -> None:
        self.columns: dict[Value, Call] = {}
        self.products: dict[Value, Call] = {}
        readers: dict[Value, list[tuple[Call | None, Operand]]] = {v: [(None, v)] for v in program.outputs}
        for instruction in program.body:
            reader = instruction if isinstance(instruction, Call) else None
            for operand in instruction.operands():
                readers.setdefault(base_of(operand), []).append((reader, operand))
        for call in program.body:
            if not isinstance(call, Call):
                continue
            found = readers.get(call.results[0], []) if call.results else []
            if call.op == "unfold" and _one_sample(call.args[0], call) and found:
                if all(reader is not None and _multiplies(reader, operand) for reader, operand in found):
                    self.columns[call.result] = call
            elif call.op == "matmul" and len(found) == 1 and not self.inside(call):
                (reader, operand), terms = found[0], call.args[0].meta.shape[-1]
                if reader is not None and reader.op == "fold" and _folds(reader, operand, terms):
                    self.products[call.result] = call

    def __contains__(self, value: Value) -> bool:
        return value in self.columns or value in self.products

    def takes(self, call: Call) -> bool:
        """Whether an op is computed inside the kernels of its readers."""
        return any(value in self for value in call.results)

    def inside(self, call: Call) -> list[Call]:
        """Return the ops that the kernel of an op computes."""
        found = [self.products.get(base_of(x)) or self.columns.get(base_of(x)) for x in call.operands()]
        return [one for one in found if one is not None]


def _one_sample(image: Operand, unfold: Call) -> bool:
    """Whether the samples are the last axis of an image of one sample, in which each is a window."""
    window = unfold.args[1]
    floating = image.meta.dtype.startswith("float")
    return floating and image.meta.shape[0] == 1 and 0 not in image.meta.shape and _samples_last(window)


def _samples_last(window: object) -> bool:
    found: tuple[object, ...] = (
        window.kernel_size[-1],  # type: ignore[attr-defined]
        window.stride[-1],  # type: ignore[attr-defined]
        window.padding[-1],  # type: ignore[attr-defined]
    )
    return found == (1, 1, (0, 0)) and 2 <= len(window.size) <= 4  # type: ignore[attr-defined]


def _multiplies(reader: Call, operand: Operand) -> bool:
    """Whether a product has columns as its second operand: (C K, L), or their transpose, or of groups."""
    if reader.op != "matmul" or reader.args[1] is not operand or type(operand) is not View:
        return False
    if base_of(reader.args[0]) is operand.base or len(reader.args[0].meta.shape) != len(operand.shape):
        return False
    shape, strides = operand.shape, operand.strides
    depth, length = operand.base.meta.shape[1:]
    if operand.offset or len(shape) > 3 or math.prod(shape) != depth * length:
        return False
    if shape[-1] == length and _row_major(shape, strides):
        return shape[-2] <= LONGEST
    return transposed(operand, length)


def transposed(columns: View, length: int) -> bool:
    """Whether a view of columns of this length is their transpose."""
    shape, strides = list(columns.shape), list(columns.strides)
    shape[-2:], strides[-2:] = shape[:-3:-1], strides[:-3:-1]
    return shape[-1] == length and _row_major(tuple(shape), tuple(strides))


def _row_major(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether strides are those of a contiguous tensor."""
    pairs = zip(shape, strides, row_major(shape), strict=True)
    return all(s == t for n, s, t in pairs if n != 1)


def _folds(reader: Call, operand: Operand, terms: int) -> bool:
    """Whether a fold reads a whole product as the columns of one sample."""
    image, window = reader.result.meta.shape, reader.args[1]
    whole = type(operand) is Value or (type(operand) is View and _whole(operand))
    known = operand.meta.dtype.startswith("float") and image[0] == 1 and 0 not in image
    return bool(whole and known and _samples_last(window) and terms * window.places <= LONGEST)


def _whole(view: View) -> bool:
    """Whether a view is a whole value in another shape."""
    size = math.prod(view.shape) == view.base.meta.size
    return not view.offset and size and _row_major(view.shape, view.strides)
