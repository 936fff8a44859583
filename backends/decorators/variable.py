"""`Variable`: a tensor that knows how it was made (Carlier, section 2.1).

A `Variable` is the handle of the `autodiff` backend, and what a person writes mathematics with: it has
operators and methods, each one or a few ops of its backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import OptionError
from ..protocol import Axis, Shape

if TYPE_CHECKING:
    from .tape import GradOperator


class Cell:
    """What a Variable that is a cell has besides: a version that grows with each assignment."""

    __slots__ = ("owner", "storage", "view_version")

    def __init__(self, storage: list[int]) -> None:
        self.storage = storage
        """[how often the whole was assigned, how often anything was]: one list for all views of a buffer."""
        self.view_version = 0
        self.owner: Any = None
        """The parameter whose cell this is."""

    @property
    def version(self) -> int:
        """Grows when this view, or the whole buffer, is assigned."""
        return self.view_version + self.storage[0]


class Whole(Cell):
    """The cell that is the whole buffer."""

    __slots__ = ()

    @property
    def version(self) -> int:
        """Grows when anything in the buffer is assigned."""
        return self.storage[1]


def _unary(op: str) -> Any:
    def method(self: Variable) -> Variable:
        """Return the backend's op of that name, elementwise: (*) -> (*)."""
        return self._op(op)

    method.__name__ = op
    return method


def _binary(op: str, swapped: bool = False) -> Any:
    def method(self: Variable, other: Any) -> Variable:
        other = self._with(other)
        result: Variable = getattr(self.backend, op)(*((other, self) if swapped else (self, other)))
        return result

    return method


class Variable:
    """A tensor with the operator that made it, and a gradient once `backward` was called.

    Parameters
    ----------
    data
        A numpy array, a torch tensor, or nested lists (*).
    backend
        An `autodiff` stack; one around the current backend if None.
    requires_grad
        Whether ops on it are recorded, and its gradient is kept.

    """

    tensor: Any
    """The inner backend's handle."""
    backend: Any
    grad_op: GradOperator | None = None
    """What made it; None for a leaf."""
    requires_grad = False
    cell: Cell | None = None
    _grad: Variable | None = None

    def __init__(self, data: Any, backend: Any = None, requires_grad: bool = True) -> None:
        from .autodiff import tape_backend  # which imports this class

        self.backend = tape_backend(backend)
        self.tensor = self.backend.inner.from_host(np.asarray(data))
        self.requires_grad = bool(requires_grad)
        if self.requires_grad and not self.dtype.startswith("float"):
            raise OptionError(
                f"Variable: only floats have gradients, got {self.dtype}; pass requires_grad=False"
            )

    def __repr__(self) -> str:
        how = f", grad_op={self.grad_op.name}" if self.grad_op is not None and self.grad_op.name else ""
        return f"Variable({np.array2string(self.numpy(), separator=', ', prefix='Variable(')}{how})"

    @property
    def source(self) -> Any:
        """What a gradient belongs to: the operator that made it, or itself if it is a leaf."""
        return self.grad_op or self

    # -- gradients -----------------------------------------------------------------------------------

    @property
    def grad(self) -> Variable | None:
        """The gradient (*) that `backward` left here, of this one's shape; None before."""
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
        """Put dL/dv into `grad` of every leaf v, L being this scalar (or Σ gradient this).

        create_graph: record that walk too, for gradients of gradients. retain_graph: keep what was recorded
        for another call (default: create_graph).
        """
        self.backend.backward(self, gradient, create_graph=create_graph, retain_graph=retain_graph)

    def touch(self) -> None:
        """Count an assignment, if this is a cell."""
        cell = self.cell
        if cell is None:
            return
        cell.storage[1] += 1
        if type(cell) is Whole:
            cell.storage[0] += 1
        else:
            cell.view_version += 1

    def detach(self) -> Variable:
        """Return the same values with no history."""
        return wrapped(self.tensor, self.backend)

    def draw_graph(self, names: Mapping[str, Any] | None = None, title: str = "") -> Any:
        """Return the graph of operators that led here: DOT text (`source`), with `render(path)`.

        names: what Variables are called in it, {"x": x, "weight": layer.weight.data}.
        """
        from .operator_graph import draw_operators  # which imports this class

        return draw_operators(self, title, names=names)

    # -- facts ---------------------------------------------------------------------------------------

    @property
    def shape(self) -> Shape:
        """The extents (*)."""
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
        """Return the sum over an axis, or over all."""
        return self._op("sum", axis=axis, keepdims=keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Variable:
        """Return the mean over an axis, or over all."""
        return self._op("mean", axis=axis, keepdims=keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Variable:
        """Return the maximum over an axis, or over all."""
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
        """Return the values repeated whole so many times along each axis, new axes in front."""
        lead = (1,) * (len(times) - len(self.shape))
        once = self.reshape(*(n for extent in (*lead, *self.shape) for n in (1, extent)))
        wide = tuple(n for k, extent in zip(times, (*lead, *self.shape), strict=True) for n in (k, extent))
        spread = once._op("broadcast_to", wide)
        return spread.reshape(*(k * n for k, n in zip(times, (*lead, *self.shape), strict=True)))

    exp, log, sqrt, tanh = _unary("exp"), _unary("log"), _unary("sqrt"), _unary("tanh")
    abs, sigmoid, relu, softplus = _unary("abs"), _unary("sigmoid"), _unary("relu"), _unary("softplus")
    __neg__ = _unary("negative")
    __add__, __radd__ = _binary("add"), _binary("add", swapped=True)
    __sub__, __rsub__ = _binary("subtract"), _binary("subtract", swapped=True)
    __mul__, __rmul__ = _binary("multiply"), _binary("multiply", swapped=True)
    __truediv__, __rtruediv__ = _binary("divide"), _binary("divide", swapped=True)
    __pow__, __rpow__ = _binary("pow"), _binary("pow", swapped=True)
    __matmul__ = mm = _binary("matmul")
    __array_ufunc__ = None  # numpy leaves `array * variable` to us

    def _op(self, name: str, *args: Any, **options: Any) -> Variable:
        result: Variable = getattr(self.backend, name)(self, *args, **options)
        return result

    def _with(self, other: Any) -> Any:
        """Return the other operand: a Python number, or a Variable made of an array."""
        if isinstance(other, Variable) or type(other) in (int, float, bool):
            return float(other) if type(other) is int and self.dtype.startswith("float") else other
        return Variable(other, self.backend, requires_grad=False)


def wrapped(tensor: Any, backend: Any) -> Variable:
    """Return a Variable around a handle of the inner backend."""
    variable = Variable.__new__(Variable)
    variable.tensor, variable.backend = tensor, backend
    return variable
