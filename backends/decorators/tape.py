"""The tape: which op made each `Variable`, and the walk over it in reverse (Carlier, section 2.2)."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..base import Backend
from ..errors import ShapeError, StateError
from ..ops import Op
from .variable import Variable, wrapped

_numbers = itertools.count()


class GradOperator:
    """One op that was recorded: its arguments, its result, and how a gradient passes through it."""

    __slots__ = ("args", "kwargs", "number", "op", "output", "path", "tensor", "versions")

    def __init__(
        self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any], result: Variable, path: str
    ) -> None:
        self.op, self.args, self.kwargs, self.path = op, args, kwargs, path
        self.tensor = result.tensor
        self.output = weakref.ref(result)  # which refers to this
        self.number = next(_numbers)
        self.versions = [(v, v.cell.version) for v in self.variables() if v.cell is not None]

    @property
    def name(self) -> str:
        """The op's."""
        return self.op.name

    def __repr__(self) -> str:
        return f"<GradOperator {self.name}>"

    def variables(self) -> list[Variable]:
        """Return the Variables among the arguments."""
        first = self.args[0] if self.args else None
        given = first if type(first) is tuple or type(first) is list else self.args
        return [value for value in given if type(value) is Variable]

    @property
    def children(self) -> list[GradOperator]:
        """The operators that made the arguments."""
        return [v.grad_op for v in self.variables() if v.grad_op is not None]

    def pass_grad(self, b: Backend, g: Variable) -> Iterator[tuple[Variable, Variable]]:
        """Yield each argument that requires a gradient with its part of it, for g = dL/dy."""
        for variable, version in self.versions:
            if variable.cell is not None and variable.cell.version != version:
                raise StateError(
                    f"backward through {self.op.name}: a cell of shape {variable.shape} that it used was "
                    "assigned since; call backward before the optimizer's step, or run the forward pass again"
                )
        y = wrapped(self.tensor, b)
        y.grad_op, y.requires_grad = self, True
        assert self.op.vjp is not None
        value: Any
        for i, rule in zip(self.op.positions, self.op.vjp, strict=True):
            value = self.args[i] if i < len(self.args) else None
            if rule is None:
                continue
            if type(value) is Variable and value.requires_grad:
                yield value, rule(b, g, y, *self.args, **self.kwargs)
            elif type(value) in (tuple, list) and any(v.requires_grad for v in value):
                parts = rule(b, g, y, *self.args, **self.kwargs)
                yield from ((v, part) for v, part in zip(value, parts, strict=True) if v.requires_grad)

    def free(self) -> None:
        """Let go of what it holds."""
        result = self.output()
        if result is not None:
            result.grad_op = FREED
        self.args, self.kwargs, self.tensor, self.versions = (), {}, None, []


class _Freed(GradOperator):
    __slots__ = ()
    name = ""

    def __init__(self) -> None:
        self.number = -1


FREED = _Freed()
"""In the place of an operator that was let go of."""


def operators(root: Variable, what: str = "backward") -> list[GradOperator]:
    """Return the operators that led to a Variable, each before those that it depends on.

    Raises StateError where they were let go of; `what` needed them.
    """
    found: dict[int, GradOperator] = {}
    waiting = [root.grad_op] if root.grad_op is not None else []
    while waiting:
        node = waiting.pop()
        if node is FREED:
            raise StateError(
                f"{what}: what was recorded was let go of by an earlier backward; run the forward pass "
                "again, or keep it with retain_graph=True"
            )
        if id(node) not in found:
            found[id(node)] = node
            waiting += node.children
    return sorted(found.values(), key=lambda node: -node.number)


def first_gradient(b: Any, root: Variable, gradient: Any) -> Variable:
    """Return the gradient that the walk starts with: the one that is given, or 1 for a scalar root."""
    shape = tuple(b.shape(root))
    if not root.requires_grad:
        raise StateError(
            "backward: nothing was recorded; the result depends on no Variable that requires a gradient "
            "(or was computed under no_grad)"
        )
    if gradient is None:
        if shape:
            raise ShapeError(
                f"backward: a result of shape {shape} needs the gradient of that shape; only a "
                "scalar has one by itself (take the sum or the mean)"
            )
        return wrapped(b.inner.full((), 1.0, dtype=root.dtype), b)
    given: Variable = (
        gradient if isinstance(gradient, Variable) else Variable(gradient, b, requires_grad=False)
    )
    if given.shape != shape:
        raise ShapeError(f"backward: expected a gradient of shape {shape}, got {given.shape}")
    return given


def walk(
    b: Any, root: Variable, first: Variable, inputs: Sequence[Variable] | None, *, keep: bool
) -> list[Variable | None]:
    """Pass a gradient from `root` to the leaves; return that of `inputs`, or let leaves accumulate theirs.

    A gradient that was handed on is never changed: where paths meet, a new one is their sum. Each operator
    passes its gradient once, when all that depend on it have. keep: do not let go of what was recorded.
    """
    gradients: dict[int, Variable] = {id(root.source): first}
    leaves: dict[int, Variable] = {id(root): root} if root.grad_op is None else {}
    wanted = [id(variable.source) for variable in inputs or ()]
    for node in operators(root):
        g = gradients.get(id(node)) if id(node) in wanted else gradients.pop(id(node), None)
        for parent, part in node.pass_grad(b, g) if g is not None else ():
            key = id(parent.source)
            earlier = gradients.get(key)
            gradients[key] = part if earlier is None else b.add(earlier, part)
            if parent.grad_op is None:
                leaves[key] = parent
        if not keep:
            node.free()
    if inputs is not None:
        return [gradients.get(key) for key in wanted]
    for key, leaf in leaves.items():
        leaf.accumulate(gradients[key])
    return []
