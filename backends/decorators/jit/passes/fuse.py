"""`fuse`: which instructions one kernel computes together.

A kernel that writes a tensor to memory for the next one to read it spends more time on memory than on
arithmetic, and at small sizes more on starting loops than on running them. So elementwise ops move into the
kernel of what they work on:

- An op joins the kernel of its operand. `relu(x @ w + b)` is one kernel: the sum with b and the maximum with
  0 are computed while the product is still in registers. The update of a weight joins the product that is its
  gradient.
- An op that one other op reads waits for its reader, and is computed where that is: the mask `y <= 0` of a
  ReLU's gradient, the square inside a sum of squares.

Two things forbid it. A kernel runs where its root is in the program, so all that a new op reads must be there
by then. And if an op reads another view of a value that the kernel computes (its transpose, its first row),
the element that it needs may not be there yet: it must wait for the whole value.

At last the kernels are put in order: what reads a cell comes before what overwrites it, if that is possible.
Then an update can be written in place.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ....meta import Meta
from ..instructions import Buffer, Call, Load, Operand, Program, Store, Value, View, base_of
from .windows import Absorbed

LARGE = 1 << 16
"""The fewest elements of a large tensor, whose ops may be computed again."""
_LIGHT = ("add", "subtract", "multiply")


@dataclass(frozen=True, eq=False)
class Group:
    """The instructions of one kernel.

    Parameters
    ----------
    root
        The op that decides the loops: a product, a reduction, a gather; None if all are elementwise.
    before
        Elementwise ops whose results only the root reads, element by element; or the columns of a
        convolution, or the product that it folds or sums.
    after
        Elementwise ops on the root's result, or all ops of a group without a root, in order.
    results
        The values that other groups read: they are written to memory.

    """

    root: Call | None
    before: tuple[Call, ...]
    after: tuple[Call, ...]
    results: tuple[Value, ...]

    @property
    def product(self) -> bool:
        """Whether its kernel is that of a product: a matmul, the fold of one, or its sum over samples."""
        return self.root is not None and any(call.op == "matmul" for call in (self.root, *self.before))

    @property
    def calls(self) -> tuple[Call, ...]:
        """All instructions, in order."""
        return (*self.before, *([] if self.root is None else [self.root]), *self.after)

    @cached_property
    def reads(self) -> frozenset[Value]:
        """The values that it reads from memory."""
        inside = {value for call in self.calls for value in call.results}
        return frozenset(base_of(x) for call in self.calls for x in call.operands()) - inside


@dataclass
class _Draft:
    root: Call | None
    before: list[Call] = field(default_factory=list)
    after: list[Call] = field(default_factory=list)


@dataclass(frozen=True)
class Rules:
    """What may be fused."""

    maps: Collection[str]
    """The elementwise ops."""
    costly: Collection[str]
    """The elementwise ops that are too long for a product's kernel, which repeats them for each register."""


def fuse(program: Program, rules: Rules) -> list[Group]:
    """Return a program's calls in groups, in the order in which they run."""
    return _Fusion(program, rules).run()


class _Fusion:
    def __init__(self, program: Program, rules: Rules) -> None:
        self.program, self.rules = program, rules
        self.absorbed = Absorbed(program)
        self.drafts: list[_Draft] = []
        self.place: dict[Value, int] = {}
        """The number of the draft that computes a value."""
        self.waiting: dict[Value, Call] = {}
        """The ops that wait for their readers, by their results."""
        self.readers: dict[Value, list[tuple[Call | None, Operand]]] = {}
        for instruction in program.body:
            reader = instruction if isinstance(instruction, Call) else None
            for operand in instruction.operands():
                self.readers.setdefault(base_of(operand), []).append((reader, operand))
        for value in program.outputs:
            self.readers.setdefault(value, []).append((None, value))

    def run(self) -> list[Group]:
        for call in self.program.body:
            if not isinstance(call, Call) or self.absorbed.takes(call):
                continue
            if call.op not in self.rules.maps:
                self._root(call)
            elif self._waits(call) or self._repeated(call):
                self.waiting[call.result] = call
            else:
                self._join(call)
        return self._ordered(self._finished())

    def _waits(self, call: Call) -> bool:
        """Whether an elementwise op has one reader that can compute it: elementwise, or a reduction."""
        readers = self.readers.get(call.result, [])
        if len({id(reader) for reader, _ in readers}) != 1:
            return False
        reader, _ = readers[0]
        if reader is None or any(operand is not call.result for _, operand in readers):
            return False
        if reader.op in self.rules.maps:
            return reader.result.meta.shape == call.result.meta.shape
        return reader.op == "sum"

    def _repeated(self, call: Call) -> bool:
        """Whether an op on a large tensor is computed again by each of its readers.

        That is cheaper than to write the result and to read it again, if it takes one large tensor: for the
        differences from a mean, say, the tensor itself.
        """
        result, readers = call.result, self.readers.get(call.result, [])
        if call.op not in _LIGHT or result.meta.size < LARGE or result.meta.dtype == "bool":
            return False
        large = [x for x in call.operands() if x.meta.shape == result.meta.shape]
        if len(large) != 1 or (isinstance(large[0], View) and large[0].strides[-1] != 1):
            return False
        for reader, operand in readers:
            if reader is None or operand is not result:
                return False
            if reader.op in self.rules.maps:
                if reader.result.meta.shape != result.meta.shape:
                    return False
            elif reader.op != "sum":
                return False
        return True

    def _tree(self, call: Call) -> list[Call]:
        """Return an op, after the ops that wait for it."""
        found: dict[Value, Call] = {}

        def visit(one: Call) -> None:
            for operand in one.operands():
                if isinstance(operand, Value) and operand in self.waiting:
                    visit(self.waiting[operand])
            found[one.result] = one

        visit(call)
        return list(found.values())

    def _root(self, call: Call) -> None:
        draft = _Draft(call, before=self.absorbed.inside(call))
        for operand in call.operands():
            if isinstance(operand, Value) and operand in self.waiting:
                draft.before += self._tree(self.waiting[operand])
        self._add(draft)

    def _add(self, draft: _Draft) -> None:
        for call in (*draft.before, *([draft.root] if draft.root else []), *draft.after):
            self.place.update(dict.fromkeys(call.results, len(self.drafts)))
        self.drafts.append(draft)

    def _join(self, call: Call) -> None:
        """Add an op, and those that wait for it, to the last draft that computes an operand; or make one."""
        tree = self._tree(call)
        made = {value for one in tree for value in one.results}
        outside = [x for one in tree for x in one.operands() if base_of(x) not in made]
        last = max((self.place[base_of(x)] for x in outside if base_of(x) in self.place), default=-1)
        if last >= 0 and self._accepts(last, tree, outside):
            after = self.drafts[last].after
            after += [one for one in tree if one not in after]
            self.place.update(dict.fromkeys(made, last))
        else:
            self._add(_Draft(None, after=tree))

    def _accepts(self, place: int, tree: Sequence[Call], outside: Sequence[Operand]) -> bool:
        draft, shape = self.drafts[place], tree[-1].result.meta.shape
        inside = [x for x in outside if self.place.get(base_of(x)) == place]
        if any(type(x) is not Value or x.meta.shape != shape for x in inside):
            return False
        if draft.root is None:
            return draft.after[-1].result.meta.shape == shape
        if draft.root.op == "matmul" or any(one.op == "matmul" for one in draft.before):
            return all(one.op not in self.rules.costly for one in tree)
        return draft.root.op == "sum" and _same_kind(draft.root, tree)

    def _finished(self) -> list[Group]:
        whole = [(*d.before, *([d.root] if d.root else []), *d.after) for d in self.drafts]
        needed = {value for value, readers in self.readers.items() if any(r is None for r, _ in readers)}
        for calls in whole:
            made = {value for call in calls for value in call.results}
            needed.update(base_of(x) for call in calls for x in call.operands() if base_of(x) not in made)
        return [
            Group(
                draft.root,
                tuple(draft.before),
                tuple(draft.after),
                tuple(v for c in calls for v in c.results if v in needed and v not in self.absorbed),
            )
            for draft, calls in zip(self.drafts, whole, strict=True)
        ]

    def _ordered(self, groups: list[Group]) -> list[Group]:
        """Put what reads a cell before what overwrites it, where no value forbids it."""
        made = {value: i for i, group in enumerate(groups) for value in group.results}
        needs = [{made[value] for value in group.reads if value in made} for group in groups]
        readers: dict[Value, list[int]] = {}
        for i, group in enumerate(groups):
            for value in group.reads:
                readers.setdefault(value, []).append(i)
        loads: dict[Buffer, list[Load]] = {}
        for load in (i for i in self.program.body if isinstance(i, Load)):
            loads.setdefault(load.region.buffer, []).append(load)
        for store in (i for i in self.program.body if isinstance(i, Store)):
            writer = made.get(base_of(store.value))
            if writer is None:
                continue
            for load in loads.get(store.region.buffer, ()):
                if load.region.overlaps(store.region):
                    for reader in readers.get(load.result, ()):
                        if reader != writer and not _reaches(needs, reader, writer):
                            needs[writer].add(reader)
        return [groups[i] for i in _in_order(needs)]


def _in_order(needs: Sequence[set[int]]) -> list[int]:
    """Return the groups so that each comes after what it needs: always the first one that can come."""
    left = list(map(len, needs))
    needed_by: list[list[int]] = [[] for _ in needs]
    for group, others in enumerate(needs):
        for other in others:
            needed_by[other].append(group)
    ready = [group for group, count in enumerate(left) if count == 0]  # a list in order is a heap
    order: list[int] = []
    while ready:
        order.append(heapq.heappop(ready))
        for group in needed_by[order[-1]]:
            left[group] -= 1
            if left[group] == 0:
                heapq.heappush(ready, group)
    return order


def _reaches(needs: Sequence[set[int]], start: int, wanted: int) -> bool:
    """Whether a group needs another, directly or through others."""
    seen, left = set[int](), [start]
    while left:
        one = left.pop()
        if one == wanted:
            return True
        if one not in seen:
            seen.add(one)
            left += needs[one]
    return False


def _same_kind(root: Call, tree: Sequence[Call]) -> bool:
    kind: Meta = root.result.meta
    return all(one.result.meta == kind for one in tree)
