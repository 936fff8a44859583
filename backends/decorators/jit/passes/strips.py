"""`strips`: kernels that follow each other on the same rows run row by row, while the rows are in the cache.

A normalisation is a handful of kernels: a sum, a difference, a sum of squares, a product. Each goes over the
whole tensor; if that is larger than the cache, each reads it from memory again. But a row's results (a
channel's, a sample's) depend on this row alone. So kernels that keep an axis and agree on it are run for one
*strip* of the axis after the other, all of them for the first rows, then all of them for the next. What only
they read, such as the differences, needs no more memory than a strip, and stays in the cache.

A strip is as many rows as fit the cache with all that is computed of them. Here the groups of `fuse` are put
into strips; `emit/strips.py` writes them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ....protocol import Shape
from ....shapes import axes_in
from ..instructions import Call, Operand, Program, Store, Value, View, base_of
from ..sizes import BYTES
from .fuse import Group

LEAST = 1 << 18
"""The fewest bytes of a tensor that is worth strips."""
CACHED = 1 << 15
"""The bytes that a strip's rows may take, of all tensors together."""
BESIDE = 64
"""The fewest elements of a row that lie side by side."""


@dataclass(frozen=True, eq=False)
class Strips(Group):
    """Several groups that run strip by strip.

    As a group it has no root, all calls are before, and its results are what other groups read.
    """

    groups: tuple[Group, ...] = ()
    axes: tuple[int, ...] = ()
    """The axis that is cut, of what each group works on."""
    extent: int = 1
    """The extent of that axis."""
    rows: int = 1
    """The extent of a strip."""


@dataclass
class _Draft:
    shape: Shape
    """What the groups work on."""
    axis: int
    groups: list[Group] = field(default_factory=list)
    axes: list[int] = field(default_factory=list)
    places: dict[Value, int] = field(default_factory=dict)
    """The axis that is cut, of each value that the groups compute."""

    @property
    def extent(self) -> int:
        return self.shape[self.axis]


def strips(program: Program, groups: Sequence[Group]) -> list[Group]:
    """Return the groups in an order in which they may run, some of them in strips."""
    found: list[Group] = []
    left = list(groups)
    while left:
        draft = _started(left[0])
        if draft is None:
            found.append(left.pop(0))
            continue
        taken, before, after = [left[0]], [], []
        behind: set[Value] = set()
        for group in left[1:]:
            if not behind.isdisjoint(group.reads):
                behind.update(group.results)
                after.append(group)
            elif _joins(draft, group):
                taken.append(group)
            elif draft.places.keys().isdisjoint(group.reads):
                before.append(group)
            else:
                behind.update(group.results)
                after.append(group)
        if len(taken) < 2:
            found.append(left.pop(0))
            continue
        # Only what stands between the first group and the last one is moved.
        last = left.index(taken[-1])
        middle, rest = set(map(id, left[:last])), left[last + 1 :]
        found += [group for group in before if id(group) in middle]
        found.append(_finished(draft, _needed(program, groups, draft)))
        left = [*(group for group in after if id(group) in middle), *rest]
    return found


def together(groups: Sequence[Group]) -> list[tuple[Group, ...]]:
    """Return groups in order, those in one tuple that are sums over the same axes: one loop computes them."""
    found: list[tuple[Group, ...]] = []
    for group in groups:
        alike = found and all(_alike(group, other) for other in found[-1])
        if alike:
            found[-1] = (*found[-1], group)
        else:
            found.append((group,))
    return found


def _alike(group: Group, other: Group) -> bool:
    """Whether a group is a sum like another one, and reads none of its results before its own is there."""
    if group.root is None or other.root is None or not group.root.op == other.root.op == "sum":
        return False
    same = reduced_axes(group) == reduced_axes(other) and domain(group) == domain(other)
    kinds = group.root.result.meta == other.root.result.meta
    early = {base_of(x) for call in (*group.before, group.root) for x in call.operands()}
    late = {x.base for call in group.after for x in call.operands() if isinstance(x, View)}
    return same and kinds and (early | late).isdisjoint(other.results)


def domain(group: Group) -> Shape:
    """Return the shape of what a group works on: of a reduction, what it reduces."""
    if group.root is None:
        return group.after[-1].result.meta.shape
    operand: Operand = group.root.args[0]
    return operand.meta.shape


def reduced_axes(group: Group) -> tuple[int, ...]:
    """Return the axes that a group reduces, in order."""
    if group.root is None:
        return ()
    rank = len(domain(group))
    found = axes_in(group.root.op, _option(group.root, "axis", 1), rank)
    axes = range(rank) if found is None else [found] if isinstance(found, int) else found
    return tuple(sorted(axis % rank for axis in axes))


def result_axis(group: Group, axis: int) -> int:
    """Return where an axis of what a group works on is in its results."""
    if group.root is None or _option(group.root, "keepdims", 2):
        return axis
    return axis - sum(other < axis for other in reduced_axes(group))


def _option(call: Call, name: str, place: int) -> object:
    return call.options.get(name, call.args[place] if len(call.args) > place else None)


def _started(group: Group) -> _Draft | None:
    """Return a draft with one group, a reduction over large rows; None for another group."""
    if group.root is None or group.root.op not in ("sum", "max") or _numbered(group):
        return None
    shape, reduced = domain(group), reduced_axes(group)
    size = math.prod(shape) * BYTES[group.root.args[0].meta.dtype]
    axis = next((a for a, n in enumerate(shape) if a not in reduced and n > 1), None)
    if size < LEAST or axis is None or math.prod(shape[axis + 1 :]) < BESIDE:
        return None
    draft = _Draft(shape, axis)
    return draft if _joins(draft, group) else None


def _joins(draft: _Draft, group: Group) -> bool:
    """Add a group to a draft if it works on the same rows, and reads of the draft's values only these."""
    if group.product or (group.root is not None and group.root.op not in ("sum", "max")):
        return False
    shape, axis = domain(group), draft.axis
    if len(shape) != len(draft.shape) or shape[axis] != draft.extent or axis in reduced_axes(group):
        return False
    inside = any(base_of(x) in draft.places for call in group.calls for x in call.operands())
    if (not inside and shape != draft.shape) or _numbered(group):
        return False
    place = result_axis(group, axis)
    own = {value for call in group.calls for value in call.results}
    for call in group.calls:
        early = group.root is not None and call not in group.after
        here, whole = (axis, shape) if early or group.root is None else (place, call.result.meta.shape)
        for x in call.operands():
            known = draft.places.get(base_of(x))
            if base_of(x) in own or known is None:
                continue
            at = here - (len(whole) - len(x.meta.shape))
            if type(x) is not Value or at != known:
                return False
    draft.groups.append(group)
    draft.axes.append(axis)
    draft.places.update(dict.fromkeys((v for c in group.after for v in c.results), place))
    if group.root is not None:
        draft.places.update(dict.fromkeys(group.root.results, place))
        draft.places.update(dict.fromkeys((v for c in group.before for v in c.results), axis))
    return True


def _numbered(group: Group) -> bool:
    return any(True for call in group.calls for _ in call.numbers())


def _needed(program: Program, groups: Sequence[Group], draft: _Draft) -> set[Value]:
    """Return the values that are read by more than a draft's groups."""
    others = [group for group in groups if group not in draft.groups]
    kept = {base_of(x) for i in program.body if isinstance(i, Store) for x in i.operands()}
    return kept | set(program.outputs) | {value for group in others for value in group.reads}


def _finished(draft: _Draft, needed: Collection[Value]) -> Strips:
    calls = tuple(call for group in draft.groups for call in group.calls)
    results = tuple(value for group in draft.groups for value in group.results if value in needed)
    return Strips(
        None,
        calls,
        (),
        results,
        tuple(draft.groups),
        tuple(draft.axes),
        draft.extent,
        _rows(draft),
    )


def _rows(draft: _Draft) -> int:
    """Return the rows of a strip: a divisor of all, so that every strip has as many."""
    sizes: Mapping[Value, int] = {
        value: value.meta.size * BYTES[value.meta.dtype]
        for group in draft.groups
        for value in (*group.reads, *group.results)
    }
    most = max(CACHED * draft.extent // max(sum(sizes.values()), 1), 1)
    return next(n for n in range(min(most, draft.extent), 0, -1) if draft.extent % n == 0)
