"""Groups in strips: a loop over the strips, and in it the kernels of the groups, on a strip's rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from ....meta import Meta
from ....protocol import Shape
from ..instructions import Call, Operand, Value, View, base_of, map_operands
from ..ir import Code, bytes_of
from ..ir import Value as Register
from ..kernels.sums import share
from ..passes.fuse import Group
from ..passes.layout import Layout
from ..passes.memory import size_of
from ..passes.strips import Strips, result_axis, together
from ..passes.views import row_major
from ..sizes import ALIGNMENT
from .arrays import element_of
from .expressions import work_of
from .parts import moved

if TYPE_CHECKING:
    from .kernels import Kernels


SKEW = 320
"""The bytes between two values of a strip. A load waits for a store before it whose address has the same last
twelve bits, as if it were to the same place; so values do not lie whole pages apart."""


@dataclass
class Sliced(Layout):
    """The layout inside a strip: the rows of a large tensor lie as in the whole."""

    fixed: dict[Value, tuple[tuple[int, ...], bool]] = field(default_factory=dict)
    """The strides of a value of a strip that has its place in a large one, and whether that is padded."""

    @override
    def strides(self, operand: Operand) -> tuple[int, ...]:
        return self.fixed[operand][0] if operand in self.fixed else super().strides(operand)

    @override
    def padded(self, operand: Operand) -> bool:
        return self.fixed[operand][1] if operand in self.fixed else super().padded(operand)


class Serial:
    """Calls kernels inside a kernel: none has parts."""

    def __init__(self, code: Code) -> None:
        self.code = code

    def kernel(self, operands: Sequence[Register], write: Any, **options: int) -> None:
        """Call a kernel as `Parts` does."""
        self.code.kernel(operands, write)


def write_strips(kernels: Kernels, strips: Strips) -> None:
    """Write groups in strips as one kernel, whose parts share the strips."""
    slicer = _Slicer(strips, kernels.layout)
    groups = together([slicer.group(*one) for one in zip(strips.groups, strips.axes, strict=True)])
    space = slicer.place(groups)
    outside = list(dict.fromkeys(value for value, _ in slicer.places.values()))

    def write(code: Code, *found: Register) -> None:
        base = dict(zip(outside, found, strict=False))
        with share(code, strips.extent // strips.rows) as t:
            known = {
                inner: code.at(base[value], (t, step * bytes_of(element_of(value))))
                for inner, (value, step) in slicer.places.items()
            }
            for inner, offset in slicer.local.items():
                known[inner] = code.at(found[-1], (offset, 1))
            inside = kernels.inside(code, known, slicer.layout)
            for several in groups:
                inside.together(several)

    values = {value: None for group in strips.groups for value in (*group.reads, *group.results)}
    work = moved(*(value.meta for value in values)) + work_of(
        call for group in strips.groups for call in (*group.before, *group.after)
    )
    pointers = [kernels.pointer(value) for value in outside]
    units = strips.extent // strips.rows
    kernels.parts.kernel(pointers, write, work=work, units=units, space=max(space, ALIGNMENT))


class _Slicer:
    """Makes groups on a strip's rows of groups on all."""

    def __init__(self, strips: Strips, layout: Layout) -> None:
        self.strips, self.outer = strips, layout
        self.layout = Sliced(dict(layout.padded_values))
        self.places: dict[Value, tuple[Value, int]] = {}
        """For a value inside, the one whose place it has, and the elements from strip to strip."""
        self.local: dict[Value, int] = {}
        """The places of the values that only the strip needs, in bytes."""
        self._made: dict[Value, Value] = {}
        self._read: dict[tuple[Value, int], Value] = {}

    def group(self, group: Group, axis: int) -> Group:
        """Return a group on a strip's rows."""
        place = result_axis(group, axis)
        before = tuple(self._call(call, axis, axis, group) for call in group.before)
        root = None if group.root is None else self._call(group.root, axis, place, group)
        after = tuple(self._call(call, place, place, group) for call in group.after)
        return Group(root, before, after, tuple(self._made[value] for value in group.results))

    def place(self, groups: Sequence[Sequence[Group]]) -> int:
        """Give each value that only the strip needs a place, used again after its last read."""
        last = {value: i for i, several in enumerate(groups) for one in several for value in one.reads}
        free: list[tuple[int, int]] = []
        taken: list[tuple[int, int, int]] = []
        end = 0
        for i, several in enumerate(groups):
            free += [(size, offset) for until, size, offset in taken if until < i]
            taken = [one for one in taken if one[0] >= i]
            for value in (value for group in several for value in group.results):
                if value in self.places:
                    continue
                size = size_of(value.meta)
                fitting = next((one for one in free if one[0] == size), None)
                if fitting is not None:
                    free.remove(fitting)
                    offset = fitting[1]
                else:
                    offset, end = end, end + size + SKEW
                self.local[value] = offset
                taken.append((last.get(value, i), size, offset))
        return end

    def _call(self, call: Call, axis: int, place: int, group: Group) -> Call:
        """Return a call on a strip's rows; its operands are cut along `axis`, its results along `place`."""
        whole = call.args[0].meta.shape if call is group.root else call.result.meta.shape
        new = {x: self._operand(x, axis - (len(whole) - len(x.meta.shape))) for x in call.operands()}
        args = tuple(map_operands(new.__getitem__, value) for value in call.args)
        options = {name: map_operands(new.__getitem__, value) for name, value in call.options.items()}
        outputs = tuple(None if value is None else self._result(value, place) for value in call.outputs)
        return Call(call.op, args, options, outputs, path=call.path)

    def _result(self, value: Value, axis: int) -> Value:
        new = self._made[value] = Value(Meta(self._cut(value.meta.shape, axis), value.meta.dtype))
        if value in self.strips.results:
            strides = self.outer.strides(value)
            self.layout.fixed[new] = strides, self.outer.padded(value)
            self.places[new] = value, strides[axis] * self.strips.rows
        return new

    def _operand(self, x: Operand, axis: int) -> Operand:
        base = base_of(x)
        if base in self._made:
            return self._made[base]
        cut = axis >= 0 and x.meta.shape[axis] != 1
        step = self.outer.strides(x)[axis] * self.strips.rows if cut else 0
        inner = self._read.get((base, step))
        if inner is None:
            inner = self._read[base, step] = Value(base.meta)
            self.places[inner] = base, step
            if base in self.outer.padded_values:
                self.layout.padded_values[inner] = self.outer.padded_values[base]
        shape = self._cut(x.meta.shape, axis) if cut else x.meta.shape
        if isinstance(x, View):
            return replace(x, base=inner, shape=shape)
        return View(inner, 0, shape, row_major(x.meta.shape))

    def _cut(self, shape: Shape, axis: int) -> Shape:
        return (*shape[:axis], self.strips.rows, *shape[axis + 1 :])
