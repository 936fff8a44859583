"""Which products are convolutions: those of columns, which are then never made.

`unfold` is a view: a column of a window is the image with more strides. So a product with the columns reads
the image itself (kernels/direct.py), and if only such products read the columns, they are not computed. A
`fold` of a product is a convolution too: its taps move from the rows of the product to the sum.
"""

from __future__ import annotations

import math

from ....protocol import Shape
from ....windows import Window
from ..instructions import Call, Operand, Program, Value, View, base_of
from ..sizes import LONGEST
from .views import row_major


class Absorbed:
    """The ops that a program's convolutions compute as they go.

    Parameters
    ----------
    columns
        The `unfold` of each value that only products read.
    products
        The matmul of each value that only a `fold` reads, or a sum over its samples.

    """

    def __init__(self, program: Program) -> None:
        self.columns: dict[Value, Call] = {}
        self.products: dict[Value, Call] = {}
        self._readers: dict[Value, list[tuple[Call | None, Operand]]] = {
            value: [(None, value)] for value in program.outputs
        }
        for instruction in program.body:
            reader = instruction if isinstance(instruction, Call) else None
            for operand in instruction.operands():
                self._readers.setdefault(base_of(operand), []).append((reader, operand))
        for call in program.body:
            if isinstance(call, Call) and call.op == "unfold" and _known(call.args[0], call.args[1]):
                found = self._readers.get(call.result, [])
                if found and all(self._multiplies(reader, operand, call) for reader, operand in found):
                    self.columns[call.result] = call
            elif isinstance(call, Call) and call.op == "matmul" and self._taken(call):
                self.products[call.result] = call

    def __contains__(self, value: Value) -> bool:
        return value in self.columns or value in self.products

    def takes(self, call: Call) -> bool:
        """Whether an op is computed inside the kernels of its readers."""
        return any(value in self for value in call.results)

    def inside(self, call: Call) -> list[Call]:
        """Return the ops that the kernel of an op computes, in order."""
        found = []
        for value in map(base_of, call.operands()):
            if value in self.products:
                found += [*self.inside(self.products[value]), self.products[value]]
            elif value in self.columns:
                found.append(self.columns[value])
        return found

    def _taken(self, product: Call) -> bool:
        """Whether the only reader of a product is a fold of it, or a sum over its samples."""
        found = self._readers.get(product.result, [])
        if len(found) != 1:
            return False
        reader, operand = found[0]
        if reader is None:
            return False
        if reader.op == "fold":
            return not self.inside(product) and _folds(reader, operand, product)
        return _sums(reader, product)

    def _multiplies(self, reader: Call | None, operand: Operand, unfold: Call) -> bool:
        """Whether a product has columns as its second operand: (C K, L), or their transpose, or of groups."""
        if reader is None or reader.op != "matmul" or reader.args[1] is not operand:
            return False
        x, (samples, depth, length) = reader.args[0], unfold.result.meta.shape
        if base_of(x) is unfold.result:
            return False
        if isinstance(operand, View) and operand.offset:
            return False
        shape = operand.meta.shape
        strides = operand.strides if isinstance(operand, View) else row_major(shape)
        apart = not samples_last(unfold.args[0].meta.shape, unfold.args[1])
        whole = math.prod(shape) == samples * depth * length and len(shape) <= 3 + apart
        if not whole or (apart and shape[0] != samples):
            return False
        if shape[-1] == length and _row_major(shape, strides):
            return shape[-2] <= LONGEST and len(x.meta.shape) == len(shape) - apart
        if not transposed(operand, length) or len(x.meta.shape) != len(shape):
            return False
        found = self._readers.get(reader.result, [])
        return not apart or (len(found) == 1 and found[0][0] is not None and _sums(found[0][0], reader))


def _known(image: Operand, window: Window) -> bool:
    """Whether an image has floats, and at most three axes beside the samples."""
    shape, rank = image.meta.shape, len(window.size)
    return (
        image.meta.dtype.startswith("float") and 0 not in shape and (rank <= 3 or samples_last(shape, window))
    )


def samples_last(shape: Shape, window: Window) -> bool:
    """Whether an image of one sample has its samples as the last axis, in which each is a window."""
    ends = window.kernel_size[-1], window.stride[-1], window.padding[-1]
    return shape[0] == 1 and ends == (1, 1, (0, 0)) and 2 <= len(window.size) <= 4


def transposed(columns: Operand, length: int) -> bool:
    """Whether a view of columns of this length is their transpose."""
    if not isinstance(columns, View):
        return False
    shape, strides = list(columns.shape), list(columns.strides)
    shape[-2:], strides[-2:] = shape[:-3:-1], strides[:-3:-1]
    return shape[-1] == length and _row_major(tuple(shape), tuple(strides))


def _row_major(shape: Shape, strides: tuple[int, ...]) -> bool:
    """Whether strides are those of a contiguous tensor."""
    pairs = zip(shape, strides, row_major(shape), strict=True)
    return all(s == t for n, s, t in pairs if n != 1)


def _folds(reader: Call, operand: Operand, product: Call) -> bool:
    """Whether a fold reads a whole product as columns."""
    window, terms = reader.args[1], product.args[0].meta.shape[-1]
    whole = type(operand) is Value or (type(operand) is View and _whole(operand))
    apart = not samples_last(reader.result.meta.shape, window)
    known = _known(reader.result, window) and len(product.result.meta.shape) <= 3 + apart
    return bool(whole and known and terms * window.places <= LONGEST)


def _sums(reader: Call, product: Call) -> bool:
    """Whether an op adds up the matrices of a product, of floats."""
    shape, dtype = product.result.meta.shape, product.result.meta.dtype
    first = reader.op == "sum" and reader.args[0] is product.result and len(reader.args) == 1
    axis = reader.options.get("axis")
    whole = not reader.options.get("keepdims") and axis in (0, (0,)) and len(shape) in (3, 4)
    same = all(x.meta.shape[0] == shape[0] and len(x.meta.shape) == len(shape) for x in product.operands())
    return first and whole and same and dtype.startswith("float") and 0 not in shape


def _whole(view: View) -> bool:
    """Whether a view is a whole value in another shape."""
    size = math.prod(view.shape) == view.base.meta.size
    return not view.offset and size and _row_major(view.shape, view.strides)
