"""`turn`: images keep the order in which convolutions compute them, with the samples last.

A convolution computes (C, *size, N), where the samples of a place lie side by side and fill vectors. The
layer returns the transpose (N, C, *size), and the next convolution transposes back. What stands between
(elementwise ops, normalisation, pooling) knows nothing of it, and would read across memory.

So transpositions *sink*: `relu(transpose(y))` becomes `transpose(relu(y))`, and a transposition that meets
its inverse is gone. An elementwise op takes its other operands in the order of the first one; a reduction
reduces other axes; pooling sees each sample as a place. What is left stands where an image leaves for
something that needs the old order, at the edges of the program.

`unfold`, `matmul` and `fold` over samples that come first, as in README's `MyConv2d`, are written with the
samples last, as `Conv2d` does it. The gradient of the weights is then one product in place of one for each
sample.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, NamedTuple

from ....protocol import Shape
from ....shapes import axes_in
from ....windows import Window
from ..builder import Builder
from ..instructions import Call, Operand, Program, Value
from .moves import grouped, joined


class Moved(NamedTuple):
    """A value as a transposition of another: permute_dims(reshape(value, middle), order)."""

    value: Value
    middle: Shape
    order: tuple[int, ...]

    @property
    def shape(self) -> Shape:
        """The shape after the transposition."""
        return tuple(self.middle[axis] for axis in self.order)

    @property
    def turned(self) -> bool:
        """Whether an element lies elsewhere than in row-major order."""
        wide = [axis for axis in self.order if self.middle[axis] != 1]
        return wide != sorted(wide)

    @property
    def samples_last(self) -> bool:
        """Whether the first axis comes last in memory, and the others are in order."""
        rank = len(self.order)
        return rank > 1 and self.order == (rank - 1, *range(rank - 1))


def turn(program: Program, maps: Collection[str]) -> Program:
    """Return the program with transpositions as late as possible; `maps` are the elementwise ops."""
    return _Turning(program, maps).run()


class _Turning:
    def __init__(self, program: Program, maps: Collection[str]) -> None:
        self.program, self.maps = program, maps
        self.b: Any = Builder(maps | {"max_pool", "max_pool_grad"})  # type: ignore[abstract, operator]
        self.moved: dict[Value, Moved] = {}
        self.plain: dict[Value, Value] = {}
        """What stands for a value, in its own shape."""
        self.turned: dict[tuple[Value, Shape, tuple[int, ...]], Value] = {}
        self.places: set[Value] = set()
        """The indices of max pooling that count the samples as places."""
        self.sources: dict[Value, Operand] = {}
        """What each reshape has reshaped."""
        self.readers: dict[Value, list[Call | None]] = {value: [None] for value in program.outputs}
        for instruction in program.body:
            for operand in instruction.operands():
                reader = instruction if isinstance(instruction, Call) else None
                self.readers.setdefault(operand, []).append(reader)  # type: ignore[arg-type]

    def run(self) -> Program:
        rules: dict[str, Callable[[Call], Value | Moved | None]] = {
            "permute_dims": self._permute,
            "reshape": self._reshape,
            "sum": self._reduce,
            "max": self._reduce,
            "max_pool": self._pool,
            "max_pool_grad": self._pool_grad,
            "unfold": self._unfold,
            "matmul": self._matmul,
            "fold": self._fold,
        }
        for instruction in self.program.body:
            self.b.path = instruction.path
            if isinstance(instruction, Call):
                rule = self._map if instruction.op in self.maps else rules.get(instruction.op)
                found = rule(instruction) if rule is not None else None
                if isinstance(found, Moved):
                    self.moved[instruction.results[0]] = found
                    continue
                if found is not None:
                    self.plain[instruction.results[0]] = found
                    continue
            self.b.body.append(instruction.mapped(self._plain))
        outputs = tuple(map(self._plain, self.program.outputs))
        return replace(self.program, body=tuple(self.b.body), outputs=outputs)

    # -- values in one order and in another ------------------------------------------------------------

    def _plain(self, value: Operand) -> Any:
        """Return a value in its own shape."""
        assert isinstance(value, Value)
        found = self.moved.get(value)
        if found is not None and value not in self.plain:
            self.plain[value] = self._permuted(self._shaped(found.value, found.middle), found.order)
        return self.plain.get(value, value)

    def _shaped(self, value: Value, shape: Shape) -> Value:
        return value if value.meta.shape == shape else self.b.reshape(value, shape)

    def _permuted(self, value: Value, order: tuple[int, ...]) -> Value:
        ordered = order == tuple(range(len(order)))
        return value if ordered else self.b.permute_dims(value, order)

    def _known(self, value: Any) -> Moved:
        """Return a value as a transposition, perhaps of itself."""
        found = self.moved.get(value)
        if found is not None:
            return found
        plain: Value = self._plain(value)
        return Moved(plain, plain.meta.shape, tuple(range(len(plain.meta.shape))))

    def _as(self, value: Any, middle: Shape, order: tuple[int, ...]) -> Value:
        """Return permute_dims(value, inverse of the order), of shape `middle`."""
        found = self._known(value)
        key = found.value, found.middle, (*order, -1, *found.order)
        if key not in self.turned:
            inverse = tuple(order.index(axis) for axis in range(len(order)))
            through = tuple(found.order[axis] for axis in inverse)
            self.turned[key] = self._permuted(self._shaped(found.value, found.middle), through)
        return self.turned[key]

    # -- moves ---------------------------------------------------------------------------------------

    def _permute(self, call: Call) -> Moved:
        x, order = call.args
        rank, source = len(order), self.sources.get(x)
        inner = self._known(x)
        if source is not None and x not in self.moved:  # ops behind it can join the kernel of the source
            inner = inner._replace(value=self._plain(source))
        return Moved(inner.value, inner.middle, tuple(inner.order[axis % rank] for axis in order))

    def _reshape(self, call: Call) -> Moved | None:
        inner, shape = self.moved.get(call.args[0]), call.result.meta.shape
        if inner is None:
            self.sources[call.result] = call.args[0]
            return None
        found = joined(inner.middle, inner.order, shape)
        return None if found is None else Moved(inner.value, *found)

    # -- ops ---------------------------------------------------------------------------------------------

    def _map(self, call: Call) -> Moved | None:
        shape = call.result.meta.shape
        operands = [x for x in call.operands() if x.meta.shape == shape and x in self.moved]
        found = (self.moved[x] for x in operands)
        first = next((one for one in found if one.order != tuple(range(len(one.order)))), None)
        if first is None:
            return None
        groups = grouped(first.middle, first.value.meta.shape)
        taken = {x: self._beside(x, first, groups) for x in call.operands()}
        if any(value is None for value in taken.values()):
            groups = [([i], [i]) for i in range(len(first.middle))]
            first = first._replace(value=self._shaped(first.value, first.middle))
            taken = {x: self._beside(x, first, groups) for x in call.operands()}
        known: Any = taken
        new = call.mapped(known.__getitem__)
        return first._replace(value=getattr(self.b, call.op)(*new.args, **new.options))

    def _beside(self, operand: Any, first: Moved, groups: Any) -> Value | None:
        """Return an operand that broadcasts to `first` for a computation on its value; None if it cannot."""
        known = self._known(operand)
        if known == first:
            return first.value
        if not operand.meta.shape:
            return self._plain(operand)  # type: ignore[no-any-return]
        rank = len(first.order)
        if len(operand.meta.shape) < rank:
            wide = (1,) * (rank - len(operand.meta.shape)) + operand.meta.shape
            plain = self.b.reshape(self._plain(operand), wide)
            known = Moved(plain, wide, tuple(range(rank)))
        inverse = tuple(first.order.index(axis) for axis in range(rank))
        middle = tuple(known.shape[axis] for axis in inverse)
        shape = []
        for inner, outer in groups:
            extents = [middle[axis] for axis in inner]
            if extents == [first.middle[axis] for axis in inner]:
                shape += [first.value.meta.shape[axis] for axis in outer]
            elif extents == [1] * len(inner):
                shape += [1] * len(outer)
            else:
                return None
        through = tuple(known.order[axis] for axis in inverse)
        return self._shaped(self._permuted(self._shaped(known.value, known.middle), through), tuple(shape))

    def _reduce(self, call: Call) -> Moved | None:
        inner, options = self.moved.get(call.args[0]), {"axis": None, "keepdims": False, **call.options}
        if inner is None or not inner.turned or len(call.args) > 1:
            return None
        rank = len(inner.order)
        found = axes_in(call.op, options["axis"], rank)
        axes = range(rank) if found is None else [found] if isinstance(found, int) else found
        summed = {inner.order[axis % rank] for axis in axes}
        groups = grouped(inner.middle, inner.value.meta.shape)
        whole = [i for i, (fine, _) in enumerate(groups) if set(fine) <= summed]
        rest = any(summed & set(fine) for i, (fine, _) in enumerate(groups) if i not in whole)
        value, along = inner.value, tuple(whole)
        if rest or any(len(coarse) != 1 for _, coarse in groups):
            value, along = self._shaped(inner.value, inner.middle), tuple(sorted(summed))
        keepdims = bool(options["keepdims"])
        total = getattr(self.b, call.op)(value, axis=along, keepdims=keepdims)
        if keepdims:
            middle = tuple(1 if axis in summed else n for axis, n in enumerate(inner.middle))
            return Moved(total, middle, inner.order)
        left = [axis for axis in range(rank) if axis not in summed]
        shape = tuple(inner.middle[axis] for axis in left)
        order = tuple(left.index(axis) for axis in inner.order if axis in left)
        return Moved(self._shaped(total, shape), shape, order)

    # -- windows -----------------------------------------------------------------------------------------

    def _pool(self, call: Call) -> Moved | None:
        inner = self.moved.get(call.args[0])
        indices: Any = call.outputs[1]
        own = all(r is not None and r.op == "max_pool_grad" for r in self.readers.get(indices, []))
        if inner is None or not inner.samples_last or not own or len(inner.order) > 5:
            return None
        window = _with_samples(call.args[1], inner.middle[-1])
        values, places = self.b.max_pool(self._shaped(inner.value, (1, *inner.middle)), window)
        middle = (*inner.middle[:1], *window.counts)
        self.moved[indices] = Moved(places, middle, inner.order)
        self.places.add(indices)
        return Moved(values, middle, inner.order)

    def _pool_grad(self, call: Call) -> Moved | None:
        grad, indices, size = call.args
        if indices not in self.places:
            return None
        places = self.moved[indices]
        taken = self._as(grad, places.middle, places.order)
        samples = places.middle[-1]
        image = self.b.max_pool_grad(
            self._shaped(taken, (1, *places.middle)),
            self._shaped(places.value, (1, *places.middle)),
            (*size, samples),
            **call.options,
        )
        return Moved(image, (places.middle[0], *size, samples), places.order)

    def _unfold(self, call: Call) -> Moved | None:
        """Turn the columns of samples that come first, if only products read them."""
        x, window = call.args[0], call.args[1]
        samples, depth, length = call.result.meta.shape
        readers = self.readers.get(call.result, [])
        if samples < 2 or len(window.size) > 3 or not x.meta.dtype.startswith("float"):
            return None
        if not all(r is not None and r.op in ("matmul", "permute_dims", "reshape") for r in readers):
            return None
        rank = len(x.meta.shape)
        order = (rank - 1, *range(rank - 1))
        image = self._as(x, (*x.meta.shape[1:], samples), order)
        columns = self.b.unfold(self._shaped(image, (1, *image.meta.shape)), _with_samples(window, samples))
        return Moved(columns, (depth, length, samples), (2, 0, 1))

    def _matmul(self, call: Call) -> Moved | None:
        x, y = call.args
        if len(call.result.meta.shape) != 3 or call.result.meta.shape[0] < 2 or len(y.meta.shape) != 3:
            return None
        samples, rows, columns = call.result.meta.shape
        readers = self.readers.get(call.result, [])
        if len(x.meta.shape) == 2:
            found = self._known(y)
            folded = all(r is not None and r.op == "fold" for r in readers)
            if not folded and not (found.order == (2, 0, 1) and len(found.middle) == 3):
                return None
            depth = x.meta.shape[1]
            value = self._as(y, (depth, columns, samples), (2, 0, 1))
            product = self.b.matmul(self._plain(x), self._shaped(value, (depth, columns * samples)))
            return Moved(product, (rows, columns, samples), (2, 0, 1))
        found = self._known(y)  # (N, L, C K), the transpose of columns
        if found.order == (2, 1, 0) and len(found.middle) == 3 and len(readers) == 1:
            reader = readers[0]
            if reader is not None and reader.op == "sum" and reader.options.get("axis") == 0:
                length = x.meta.shape[2]
                grad = self._as(x, (rows, length, samples), (2, 0, 1))
                matrix = self._shaped(found.value, (columns, length * samples))
                product = self.b.matmul(
                    self._shaped(grad, (rows, length * samples)), self.b.permute_dims(matrix, (1, 0))
                )
                return Moved(product, (1, rows, columns), (0, 1, 2))
        return None

    def _fold(self, call: Call) -> Moved | None:
        found = self.moved.get(call.args[0])
        if found is None or found.order != (2, 0, 1) or len(found.middle) != 3:
            return None
        depth, length, samples = found.middle
        columns = self._shaped(found.value, (1, depth, length * samples))
        image = self.b.fold(columns, _with_samples(call.args[1], samples))
        shape = (*image.meta.shape[1:],)
        return Moved(image, shape, (len(shape) - 1, *range(len(shape) - 1)))


def _with_samples(window: Window, samples: int) -> Window:
    """Return a window over images whose last axis is the samples."""
    return Window.of(
        (*window.size, samples),
        (*window.kernel_size, 1),
        (*window.stride, 1),
        (*window.padding, (0, 0)),
        (*window.dilation, 1),
    )
