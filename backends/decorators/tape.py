"""The tape: the operator behind each `Variable`, and the reverse walk (Carlier, section 2.2)."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import ShapeError, StateError
from ..gradients import pull_back
from ..ops import Op
from .variable import Variable

_numbers = itertools.count()


class GradOperator:
    """One recorded op: its arguments and its result."""

    __slots__ = ("args", "kwargs", "number", "op", "output", "path", "tensor", "versions")

    def __init__(
        self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any], result: Variable, path: str
    ) -> None:
        self.op, self.args, self.kwargs, self.path = op, args, kwargs, path
        self.tensor = result.tensor
        self.output = weakref.ref(result)  # weak: the result refers to this operator
        self.number = next(_numbers)
        self.versions = [(v, v.cell.version) for v in self.variables() if v.cell is not None]

    @property
    def name(self) -> str:
        """The name of the op."""
        return self.op.name

    def __repr__(self) -> str:
        return f"<GradOperator {self.name}>"

    def variables(self) -> list[Variable]:
        """Return the Variables among the arguments."""
        first = self.args[0] if self.args else None
        values = first if type(first) is tuple or type(first) is list else self.args
        return [value for value in values if type(value) is Variable]

    @property
    def children(self) -> list[GradOperator]:
        """The operators that made the arguments."""
        return [v.grad_op for v in self.variables() if v.grad_op is not None]

    def pass_grad(self, b: Any, g: Variable) -> Iterator[tuple[Variable, Variable]]:
        """Yield (x, dL/dx) for each argument x that requires a gradient, from g = dL/dy."""
        for variable, version in self.versions:
            if variable.cell is not None and variable.cell.version != version:
                raise StateError(
                    f"backward through {self.op.name}: expected its cell of shape {variable.shape} "
                    "unchanged, got one assigned since; call backward before the optimizer's step, or "
                    "run the forward pass again"
                )
        y = Variable(self.tensor, b)
        y.grad_op, y.requires_grad = self, True
        return pull_back(self.op, b, g, y, self.args, self.kwargs, _requires_grad)

    def free(self) -> None:
        """Drop the arguments and the result."""
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
"""Replaces an operator that a backward freed."""


def operators(root: Variable, caller: str = "backward") -> list[GradOperator]:
    """Return the operators that led to a Variable, the last first; StateError if they were freed."""
    nodes: dict[int, GradOperator] = {}
    waiting = [root.grad_op] if root.grad_op is not None else []
    while waiting:
        node = waiting.pop()
        if node is FREED:
            raise StateError(
                f"{caller}: an earlier backward freed the graph; run the forward pass again, or keep the "
                "graph with retain_graph=True"
            )
        if id(node) not in nodes:
            nodes[id(node)] = node
            waiting += node.children
    return sorted(nodes.values(), key=lambda node: -node.number)


def first_gradient(b: Any, root: Variable, gradient: Any) -> Variable:
    """Return the gradient of `root` itself: the caller's, or 1 for a scalar."""
    if not root.requires_grad:
        raise StateError(
            "backward: expected a result of recorded ops, got one that depends on no Variable that requires "
            "a gradient (or was computed under no_grad)"
        )
    shape = root.shape
    if gradient is None:
        if shape:
            raise ShapeError(
                f"backward: expected a scalar or a gradient of shape {shape}, got a result of shape {shape} "
                "alone; pass its gradient, or take the sum or the mean"
            )
        return Variable(b.inner.full((), 1.0, dtype=root.dtype), b)
    first: Variable = gradient if isinstance(gradient, Variable) else b.from_host(gradient)
    if first.shape != shape:
        raise ShapeError(f"backward: expected a gradient of shape {shape}, got {first.shape}")
    return first


def walk(
    b: Any, root: Variable, first: Variable, inputs: Sequence[Variable] | None, *, keep: bool
) -> list[Variable | None]:
    """Pass a gradient from `root` to the leaves; return that of `inputs`, or let leaves accumulate theirs.

    An operator runs once, after all operators that use its result: it passes the sum of their gradients.
    Sums are new tensors; a gradient that was passed on is never changed. keep: do not free the graph.
    """
    gradients: dict[int, Variable] = {id(root.source): first}
    leaves: dict[int, Variable] = {id(root): root} if root.grad_op is None else {}
    wanted = [id(variable.source) for variable in inputs or ()]
    for node in operators(root):
        g = gradients.get(id(node)) if id(node) in wanted else gradients.pop(id(node), None)
        for x, part in node.pass_grad(b, g) if g is not None else ():
            key = id(x.source)
            earlier = gradients.get(key)
            gradients[key] = part if earlier is None else b.add(earlier, part)
            if x.grad_op is None:
                leaves[key] = x
        if not keep:
            node.free()
    if inputs is not None:
        return [gradients.get(key) for key in wanted]
    for key, leaf in leaves.items():
        leaf.accumulate(gradients[key])
    return []


def _requires_grad(value: Any) -> bool:
    return type(value) is Variable and value.requires_grad
