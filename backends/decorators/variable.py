"""`Variable`: a tensor that knows the operator that made it (Carlier, section 2.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DtypeError
from ..host import is_floating
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


def _binary(op: str, swapped: bool = False) -> Callable[[Variable, Any], Variable]:
    def method(self: Variable, other: Any) -> Variable:
        other = self._operand(other)
        result: Variable = getattr(self.backend, op)(*((other, self) if swapped else (self, other)))
        return result

    return method


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

    # -- mathematics ---------------------------------------------------------------------------------

    def t(self) -> Variable:
        """Return the transpose: (M, N) -> (N, M)."""
        return self._op("permute_dims", (1, 0))

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Variable:
        """Return the sum over an axis; over all axes if None."""
        return self._op("sum", axis=axis, keepdims=keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Variable:
        """Return the mean over an axis; over all axes if None."""
        return self._op("mean", axis=axis, keepdims=keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Variable:
        """Return the maximum over an axis; over all axes if None."""
        return self._op("max", axis=axis, keepdims=keepdims)

    def pow(self, exponent: float) -> Variable:
        """Return each value to a power."""
        return self._op("pow", exponent)

    def softmax(self, dim: int = -1) -> Variable:
        """Return e^x / Σ e^x along an axis."""
        return self._op("softmax", axis=dim)

    def reshape(self, *shape: int) -> Variable:
        """Return the values in another shape of equal size; one extent may be -1."""
        return self._op("reshape", shape)

    def repeat(self, *times: int) -> Variable:
        """Return the tensor tiled `times` along each axis, as torch's `repeat`: new axes in front."""
        shape = (*(1,) * (len(times) - len(self.shape)), *self.shape)
        pairs = list(zip(times, shape, strict=True))
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
    __array_ufunc__ = None  # numpy then calls __rmul__ for `array * variable`

    def _op(self, name: str, *args: Any, **options: Any) -> Variable:
        result: Variable = getattr(self.backend, name)(self, *args, **options)
        return result

    def _operand(self, other: Any) -> Any:
        """Return the other operand of an operator: a Python number, or a Variable."""
        if isinstance(other, Variable) or type(other) in (int, float, bool):
            return float(other) if type(other) is int and is_floating(self.dtype) else other
        return self.backend.from_host(np.asarray(other))
