"""Parameters: cells with a gradient, and the flat storage that an optimizer packs them into."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from ..backends import Backend, DtypeError, LaminaError, OptionError, ShapeError, StateError, Tensor
from ..backends.options import shown
from ..backends.protocol import Shape
from .cell import Cell, check_shape
from .initializers import Initializer
from .random import next_stream


class Parameter(Cell):
    """A cell and the cell of its gradient.

    Parameters
    ----------
    shape
        The cell's shape.
    initializer
        Makes its initial value.
    fan
        The (out, in, *kernel) shape that the initializer computes fans from; `shape` if None.
    backend
        The backend that holds it.

    """

    storage: FlatStorage | None
    """The flat storage that an optimizer packed it into, if any."""
    grad_out: Tensor | None
    """Where the next gradient may be computed into (`out=`): its cell, until one was accumulated."""

    def __init__(
        self, shape: Shape, initializer: Initializer, backend: Backend, *, fan: Shape | None = None
    ) -> None:
        if not callable(initializer) or isinstance(initializer, type):
            raise OptionError(
                f"parameter: expected an initializer such as Constant(0.5), got {shown(initializer)}"
            )
        shape = check_shape("parameter", shape)
        seed, stream = next_stream()
        self._place(shape, backend, None, initializer(backend, shape, fan or shape, seed, stream))

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def grad(self) -> Tensor | None:
        """The gradient accumulated since `zero_grad`, of the parameter's shape; None if none was."""
        return self._grad if self.grad_out is None else None

    @grad.setter
    def grad(self, value: Tensor) -> None:
        """Raise StateError: gradients add up."""
        error = StateError("expected gradients through accumulate(grad), got an assignment to grad")
        error.culprit = self
        raise error

    def accumulate(self, grad: Tensor) -> None:
        """Assign the first gradient after `zero_grad`, add later ones. grad: the parameter's shape."""
        if (place := self.grad_out) is None:
            self._check_gradient(grad)  # `add` would broadcast
            b = self.backend
            b.assign(self._grad, b.add(self._grad, grad, out=self._grad))
            return
        if place is not grad:
            try:
                self.backend.assign(self._grad, grad)
            except LaminaError as error:
                self._check_gradient(grad)
                raise self._refused(str(error), type(error)) from error
        self.grad_out = None

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad_out = self._grad

    def _check_gradient(self, grad: Tensor) -> None:
        """Raise unless a gradient has the parameter's shape and dtype."""
        b = self.backend
        try:
            expected, got = tuple(self.shape), tuple(b.shape(grad))
            dtypes = b.dtype(self._grad), b.dtype(grad)
        except LaminaError as error:
            raise self._refused(str(error), type(error)) from error
        if got != expected:
            advice = _how_to_fit(expected, got)
            raise self._refused(f"expected a gradient of shape {expected}, got {got}{advice}", ShapeError)
        if dtypes[0] != dtypes[1]:
            raise self._refused("expected a gradient of {}, got {}; use astype".format(*dtypes), DtypeError)

    def _refused(self, message: str, kind: type[LaminaError]) -> LaminaError:
        error = kind(f"accumulate: {message}")
        error.culprit = self
        return error

    @override
    def to(self, backend: Backend) -> None:
        storage = self.storage
        super().to(backend)
        if storage is not None:
            storage.retire("the parameters were moved to another backend")

    @override
    def _place(self, shape: Shape, backend: Backend, dtype: str | None, value: Tensor) -> None:
        """Put a value into new storage; there is no gradient, and no optimizer has it."""
        super()._place(shape, backend, dtype, value)
        self.storage, self.grad_out = None, self._grad
        backend.leaf(self.data, self)

    @override
    def _allocate(self, dtype: str | None) -> None:
        _, cells = self.backend.cells({"data": self.shape, "grad": self.shape}, dtype=dtype)
        self.data, self._grad = cells["data"], cells["grad"]

    def _move_into(self, data: Tensor, grad: Tensor, storage: FlatStorage) -> None:
        self.backend.assign(data, self.data)
        if self.grad_out is None:
            self.backend.assign(grad, self._grad)
        else:
            self.grad_out = grad
        if self.storage is not None:
            self.storage.retire("its parameters were packed again by a later optimizer")
        self.data, self._grad, self.storage = data, grad, storage
        self.backend.leaf(data, self)


def _how_to_fit(expected: Shape, got: Shape) -> str:
    """Return how a gradient becomes one of the parameter's shape: by a sum or a transposition."""
    lead = len(got) - len(expected)
    if lead >= 0:
        axes = [i for i, n in enumerate(got) if i < lead or (expected[i - lead] == 1 and n != 1)]
        if axes and all(n == expected[i - lead] for i, n in enumerate(got) if i not in axes):
            over = "the batch" if axes == [0] else "the axes that the parameter does not have"
            keep = ", keepdims=True" if lead == 0 else ""
            return f"; sum over {over}: sum(..., axis={axes[0] if len(axes) == 1 else tuple(axes)}{keep})"
    return "; transpose it with permute_dims" if tuple(got) == tuple(reversed(expected)) else ""


class FlatStorage:
    """One flat buffer of values and one of gradients; each parameter is a view into both.

    An optimizer's step is then a few ops for any number of layers.
    """

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self.parameters = list(parameters)
        self.backend = parameters[0].backend
        self.retired = ""
        dtypes = {p.backend.dtype(p.data) for p in parameters}
        if len(dtypes) > 1 or any(p.backend is not self.backend for p in parameters):
            kinds = sorted({f"{p.backend!r} in {p.backend.dtype(p.data)}" for p in parameters})
            raise DtypeError(
                f"expected the parameters of a group on one backend in one dtype, got {', '.join(kinds)}"
            )
        shapes = {str(i): p.shape for i, p in enumerate(parameters)}
        self.data, values = self.backend.cells(shapes, dtype=dtypes.pop())
        self.grad, grads = self.backend.cells(shapes, dtype=self.backend.dtype(self.data))
        for (name, value), parameter in zip(values.items(), parameters, strict=True):
            parameter._move_into(value, grads[name], self)

    @classmethod
    def of(cls, parameters: Sequence[Parameter]) -> FlatStorage:
        """Return the storage that holds exactly these parameters, or a new one."""
        storage = parameters[0].storage
        if storage is not None and not storage.retired:
            held = storage.parameters
            if len(held) == len(parameters) and all(map(lambda a, b: a is b, held, parameters)):
                return storage
        return cls(parameters)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and unpickle by packing the parameters' copies: views of a buffer survive neither.

        Raises StateError if the buffers no longer hold the parameters.
        """
        self.check()
        return FlatStorage.of, (self.parameters,)

    def retire(self, why: str) -> None:
        """Note why the buffers no longer hold the parameters."""
        self.retired = why

    def check(self) -> None:
        """Raise StateError if the buffers no longer hold the parameters."""
        if self.retired:
            raise StateError(f"this optimizer is out of date: {self.retired}; make a new one")

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad_out = parameter._grad

    def finish_gradients(self) -> None:
        """Make missing gradients zero, so that the flat gradient is complete."""
        for parameter in self.parameters:
            if parameter.grad_out is not None:
                zeros = self.backend.full(parameter.shape, 0.0, dtype=self.backend.dtype(self.grad))
                parameter.accumulate(zeros)


def check_same_shape(what: str, expected: Shape, got: Shape) -> None:
    """Raise ShapeError unless the shapes are equal."""
    if tuple(expected) != tuple(got):
        raise ShapeError(f"{what}: expected shape {tuple(expected)}, got {tuple(got)}")
