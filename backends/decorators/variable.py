"""`Variable`: a tensor that knows the operator that made it (Carlier, section 2.1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import DERIVED, PRIMITIVES
from ..errors import DtypeError, ShapeError
from ..host import is_floating
from ..names import OP_FOR
from ..options import integer
from ..protocol import Axis, Shape

if TYPE_CHECKING:
    from ..drawing import Graph
    from .tape import GradOperator


class Cell:
    """What a Variable has if it is a cell: its owner, and a version that grows with each assignment.

    The buffer of `cells` keeps one version per view. A view covers its own; the whole buffer covers all.
    """

    __slots__ = ("owner", "versions", "views")

    def __init__(self, versions: list[int], views: slice) -> None:
        self.versions, self.views = versions, views
        self.owner: Any = None
        """The parameter that accumulates the gradient."""

    @property
    def version(self) -> int:
        """The number of assignments to any part of this cell."""
        return sum(self.versions[self.views])

    def touch(self) -> None:
        """Count an assignment."""
        self.versions[self.views] = [version + 1 for version in self.versions[self.views]]


def _unary(op: str) -> Callable[[Variable], Variable]:
    def method(self: Variable) -> Variable:
        """Return the backend's op of that name, elementwise: (*) -> (*)."""
        return self._op(op)

    method.__name__ = op
    return method


def _binary(op: str, swapped: bool = False) -> Callable[[Variable, Any], Any]:
    def method(self: Variable, other: Any) -> Any:
        if other is None or isinstance(other, (str, bytes)):
            return NotImplemented
        other = self._operand(other)
        return getattr(self.backend, op)(*((other, self) if swapped else (self, other)))

    return method


def _comparison(op: str, negated: bool = False) -> Callable[[Variable, Any], Any]:
    def method(self: Variable, other: Any) -> Any:
        if other is None or isinstance(other, (str, bytes)):
            return NotImplemented  # == and != then compare identities
        x: Any = self
        if type(other) is float and not is_floating(self.dtype):
            x = self.backend.astype(self, "float64")
        elif type(other) is bool and is_floating(self.dtype):
            other = float(other)
        y = self._operand(other)
        # x >= y is y <= x: both are False beside NaN.
        result = self.backend.less_equal(y, x) if op == "greater_equal" else getattr(self.backend, op)(x, y)
        return self.backend.logical_not(result) if negated else result

    return method


def _extents(method: str, given: tuple[Any, ...], *, least: int) -> Shape:
    """Return the integers of `2, 3` or of `(2, 3)`."""
    values = given[0] if len(given) == 1 and isinstance(given[0], (tuple, list)) else given
    return tuple(integer(method, f"argument {i}", value, least=least) for i, value in enumerate(values))


def _axis(axis: Any, dim: Any) -> Any:
    """Return an axis by either name, as the backends take it."""
    chosen = dim if axis is None else axis
    return tuple(chosen) if isinstance(chosen, list) else chosen


class Variable:
    """The handle of an `autodiff` backend; `lamina.variable` makes one from data.

    Operators and methods call ops of that backend, which record themselves in `grad_op`.

    Parameters
    ----------
    tensor
        The inner backend's handle.
    backend
        The `autodiff` backend that the ops run on.

    """

    grad_op: GradOperator | None = None
    """The operator that made it; None for a leaf."""
    requires_grad = False
    cell: Cell | None = None
    _grad: Variable | None = None

    def __init__(self, tensor: Any, backend: Any = None) -> None:
        if backend is None:
            raise DtypeError(
                "Variable: expected a backend's tensor and its autodiff backend, got "
                f"{type(tensor).__name__} alone; lamina.variable(data) makes a Variable from data"
            )
        self.tensor = tensor
        self.backend = backend

    def __repr__(self) -> str:
        how = f", grad_op={self.grad_op.name}" if self.grad_op is not None and self.grad_op.name else ""
        return f"Variable({np.array2string(self.numpy(), separator=', ', prefix='Variable(')}{how})"

    @property
    def source(self) -> Any:
        """The node of the graph that its gradient belongs to: its operator, or itself if it is a leaf."""
        return self.grad_op or self

    # -- gradients -----------------------------------------------------------------------------------

    @property
    def grad(self) -> Variable | None:
        """The gradient (*) that `backward` accumulated, of this shape; None before."""
        return self._grad if self.cell is None or self.cell.owner is None else self.cell.owner.grad

    def accumulate(self, gradient: Variable) -> None:
        """Add to the gradient of this leaf."""
        if self.cell is not None and self.cell.owner is not None:
            self.cell.owner.accumulate(gradient)
        else:
            self._grad = gradient if self._grad is None else self.backend.add(self._grad, gradient)

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self._grad = None

    def backward(
        self, gradient: Any = None, *, create_graph: bool = False, retain_graph: bool | None = None
    ) -> None:
        """Put dL/dv into `grad` of every leaf v; L is this scalar (or Σ gradient this).

        create_graph: record the walk, for gradients of gradients. retain_graph: keep the graph for another
        call (default: create_graph).
        """
        self.backend.backward(self, gradient, create_graph=create_graph, retain_graph=retain_graph)

    def detach(self) -> Variable:
        """Return the same values without history."""
        return Variable(self.tensor, self.backend)

    def draw_graph(self, names: Mapping[str, Any] | None = None, title: str = "") -> Graph:
        """Return the graph of the operators that led here; `render(path)` draws it, `source` is DOT text.

        names: labels for Variables, {"x": x, "weight": layer.weight.data}.
        """
        graph: Graph = self.backend.draw_graph(self, names=names, title=title)
        return graph

    # -- facts ---------------------------------------------------------------------------------------

    @property
    def shape(self) -> Shape:
        """The shape (*)."""
        return tuple(self.backend.shape(self))

    @property
    def dtype(self) -> str:
        """ "float32", "float64", "int64" or "bool"."""
        return str(self.backend.inner.dtype(self.tensor))

    def numpy(self) -> Any:
        """Return the values as a numpy array (*)."""
        return self.backend.to_host(self)

    def item(self) -> Any:
        """Return the one value as a Python number."""
        return self.backend.item(self)

    def __bool__(self) -> bool:
        return bool(self._one("bool"))

    def __float__(self) -> float:
        return float(self._one("float"))

    def __int__(self) -> int:
        return int(self._one("int"))

    def _one(self, caller: str) -> Any:
        if math.prod(self.shape) != 1:
            raise ShapeError(
                f"{caller}: expected a Variable of one element, got shape {self.shape}; reduce it first, as "
                "in v.numpy().all()"
            )
        return self.item()

    __hash__ = object.__hash__
    """By identity, as in torch: == compares elements."""

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in _ELSEWHERE]

    # -- mathematics ---------------------------------------------------------------------------------

    def t(self) -> Variable:
        """Return the transpose of a matrix, (M, N) -> (N, M); fewer axes stay as they are."""
        rank = len(self.shape)
        if rank > 2:
            raise ShapeError(f"t: expected at most two axes, got shape {self.shape}; use permute_dims")
        return self._op("permute_dims", (1, 0)) if rank == 2 else self

    def sum(
        self,
        axis: Axis = None,
        keepdims: bool = False,
        *,
        dim: Axis = None,
        keepdim: bool = False,
    ) -> Variable:
        """Return the sum over an axis, or over all if None; `dim` and `keepdim` are torch's names."""
        return self._op("sum", axis=_axis(axis, dim), keepdims=keepdims or keepdim)

    def mean(
        self,
        axis: Axis = None,
        keepdims: bool = False,
        *,
        dim: Axis = None,
        keepdim: bool = False,
    ) -> Variable:
        """Return the mean over an axis, or over all if None; `dim` and `keepdim` are torch's names."""
        return self._op("mean", axis=_axis(axis, dim), keepdims=keepdims or keepdim)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Variable:
        """Return the maximum over an axis; over all axes if None."""
        return self._op("max", axis=_axis(axis, None), keepdims=keepdims)

    def pow(self, exponent: Any) -> Variable:
        """Return each value to a power: a number, or a Variable."""
        return self._op("pow", self._operand(exponent))

    def softmax(self, dim: int = -1) -> Variable:
        """Return e^x / Σ e^x along an axis."""
        return self._op("softmax", axis=dim)

    def reshape(self, *shape: Any) -> Variable:
        """Return the values in another shape of equal size, `2, 3` or `(2, 3)`; one extent may be -1."""
        return self._op("reshape", _extents("reshape", shape, least=-1))

    def repeat(self, *times: Any) -> Variable:
        """Return the tensor tiled `times` along each axis, as torch's `repeat`: new axes in front."""
        counts, rank = _extents("repeat", times, least=0), len(self.shape)
        if len(counts) < rank:
            raise ShapeError(
                f"repeat: expected a number for each axis of shape {self.shape}, {rank} or more, got {counts}"
            )
        shape = (*(1,) * (len(counts) - rank), *self.shape)
        pairs = list(zip(counts, shape, strict=True))
        once = self.reshape(*(n for extent in shape for n in (1, extent)))
        tiled = once._op("broadcast_to", tuple(n for pair in pairs for n in pair))
        return tiled.reshape(*(count * extent for count, extent in pairs))

    exp, log, sqrt, tanh = _unary("exp"), _unary("log"), _unary("sqrt"), _unary("tanh")
    abs, sigmoid, relu, softplus = _unary("abs"), _unary("sigmoid"), _unary("relu"), _unary("softplus")
    __neg__ = _unary("negative")
    __add__, __radd__ = _binary("add"), _binary("add", swapped=True)
    __sub__, __rsub__ = _binary("subtract"), _binary("subtract", swapped=True)
    __mul__, __rmul__ = _binary("multiply"), _binary("multiply", swapped=True)
    __truediv__, __rtruediv__ = _binary("divide"), _binary("divide", swapped=True)
    __pow__, __rpow__ = _binary("pow"), _binary("pow", swapped=True)
    __matmul__ = mm = _binary("matmul")
    __eq__, __ne__ = _comparison("equal"), _comparison("equal", negated=True)
    __lt__, __le__ = _comparison("less"), _comparison("less_equal")
    __gt__, __ge__ = _comparison("greater"), _comparison("greater_equal")
    __invert__ = _unary("logical_not")
    __array_ufunc__ = None  # numpy then calls __rmul__ for `array * variable`

    def _op(self, name: str, *args: Any, **options: Any) -> Variable:
        result: Variable = getattr(self.backend, name)(self, *args, **options)
        return result

    def _operand(self, other: Any) -> Any:
        """Return the other operand of an operator: a Python number, or a Variable."""
        if isinstance(other, Variable) or type(other) in (int, float, bool):
            return float(other) if type(other) is int and is_floating(self.dtype) else other
        return self.backend.from_host(np.asarray(other))


class _Elsewhere:
    """An op that is no method of Variables, or torch's or numpy's name for one: it says what to use."""

    def __init__(self, name: str, op: str) -> None:
        self.message = f"Variable has no attribute {name!r}; use " + (
            op if hasattr(Variable, op) else f"v.backend.{op}(v, ...)"
        )

    def __get__(self, variable: object, owner: type) -> Any:
        if variable is None:
            return self
        raise AttributeError(self.message)


_ELSEWHERE = {
    name: _Elsewhere(name, op)
    for name, op in {**OP_FOR, **{op: op for op in (*PRIMITIVES, *DERIVED)}}.items()
    if not hasattr(Variable, name)
}
for _name, _elsewhere in _ELSEWHERE.items():  # not __getattr__, which slows every attribute
    setattr(Variable, _name, _elsewhere)
