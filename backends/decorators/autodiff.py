"""`autodiff`: handles that record the operators they came from, so that gradients follow by the chain rule.

Each differentiable op adds a `GradOperator` to a directed acyclic graph that is built on the fly (Carlier,
section 2); `backward` walks it in reverse. It is the independent proof of every backward pass written by
hand: the vector-Jacobian products come from the op table, and a derived op without one is recorded as the
primitives of its definition.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from ..base import Backend
from ..errors import BackendError, StateError, foreign
from ..ops import OPS, Op
from ..select import get_backend
from ..wrapper import Wrapper
from .tape import GradOperator, first_gradient, walk
from .variable import Cell, Variable, Whole, wrapped

_recording: ContextVar[bool] = ContextVar("lamina_recording", default=True)
_SCALARS = (float, int, bool, type(None))
# Recorded: what has vector-Jacobian products, and derived ops, as the primitives that they are made of.
_RECORDED = {name for name, op in OPS.items() if op.vjp is not None or op.kind == "derived"}


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing inside a `with`."""
    token = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(token)


class AutodiffBackend(Wrapper):
    """Wraps every handle as a `Variable`; what descends from one that requires a gradient is recorded.

    Parameters are such leaves. Backward passes written by hand, in a container, and optimizers run
    unrecorded. While recording, `out` is ignored: the tape may need what it would overwrite.
    """

    name = "autodiff"

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.cache_size = 1 << 62  # blocks are put together by assignment, where what is recorded ends
        self._ops = {name: getattr(inner, name) for name in OPS}
        self._path = ""
        for op in OPS.values():
            if op.kind == "metadata":  # asked for often, by every rule
                setattr(self, op.name, self._fact(op))

    def __reduce__(self) -> tuple[Any, ...]:
        return AutodiffBackend, (self.inner,)  # a pickle's is made anew

    def around(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Open the Variables, run the op, and record it if it descends from one that requires a gradient."""
        opened, wanted = self._opened(op, args)
        recording = _recording.get()
        if "out" in kwargs:
            if not recording:
                return self._into(op, opened, kwargs)
            for place in _places(kwargs["out"]):
                self._open(op, place)
            kwargs = {name: value for name, value in kwargs.items() if name != "out"}
        if not (wanted and recording and op.name in _RECORDED):
            result = self._ops[op.name](*opened, **kwargs)
            return wrapped(result, self) if op.gives == "tensor" else op.map_result(self._closed, result)
        if op.vjp is None:
            return self.lower(op, args, kwargs)
        variable = wrapped(self._ops[op.name](*opened, **kwargs), self)
        variable.grad_op = GradOperator(op, args, kwargs, variable, self._path)
        variable.requires_grad = True
        return variable

    def _fact(self, op: Op) -> Any:
        run = self._ops[op.name]

        def fact(x: Any) -> Any:
            return run(x.tensor if type(x) is Variable and x.backend is self else self._open(op, x))

        return fact

    def _opened(self, op: Op, args: Sequence[Any]) -> tuple[list[Any], bool]:
        """Return the arguments with tensors in place of Variables, and whether one requires a gradient."""
        opened, wanted = list(args), False
        for i in op.positions:
            value = args[i]
            kind = type(value)
            if kind is Variable and value.backend is self:
                opened[i] = value.tensor
                if value.requires_grad:
                    wanted = True
            elif kind is tuple or kind is list:
                opened[i] = tuple([self._open(op, v) for v in value])
                wanted = wanted or any(v.requires_grad for v in value)
            elif kind not in _SCALARS:
                opened[i] = self._open(op, value)
        return opened, wanted

    def _open(self, op: Op, value: Any) -> Any:
        if type(value) is Variable and value.backend is self:
            return value.tensor
        other = f"a Variable of another stack, {value.backend!r}" if type(value) is Variable else ""
        raise foreign(op.name, value, f"a Variable of {self!r}", other)

    def _closed(self, tensor: Any) -> Variable:
        return wrapped(tensor, self)

    def _into(self, op: Op, opened: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run an unrecorded op that may write into `out`."""
        places = _places(kwargs["out"])
        inside = tuple(self._open(op, place) for place in places)
        for place in places:
            place.touch()
        out = inside if op.gives == "tensors" else inside[0]
        result = self._ops[op.name](*opened, **{**kwargs, "out": out})
        return op.map_result(
            lambda tensor: next((v for v in places if v.tensor is tensor), None) or wrapped(tensor, self),
            result,
        )

    # -- cells, and what stands outside the ops --------------------------------------------------------

    def cells(self, shapes: Mapping[str, Any], *, dtype: str | None = None) -> Any:
        """Allocate cells that count their assignments."""
        flat, views = self.inner.cells(shapes, dtype=dtype)
        storage = [0, 0]
        found = {name: wrapped(view, self) for name, view in views.items()}
        for variable in found.values():
            variable.cell = Cell(storage)
        whole = wrapped(flat, self)
        whole.cell = Whole(storage)
        return whole, found

    def assign(self, cell: Any, value: Any) -> None:
        """Put a value into a cell; what was recorded of the value ends there."""
        op = OPS["assign"]
        self.inner.assign(self._open(op, cell), self._open(op, value))
        cell.touch()

    def scope(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Name the layer that what is recorded inside belongs to."""
        return _Scope(self, name)

    def unrecorded(self) -> contextlib.AbstractContextManager[None]:
        """Record nothing inside a `with`."""
        return no_grad()

    def leaf(self, cell: Any, owner: Any) -> None:
        """Let a parameter's cell require a gradient, which the parameter accumulates."""
        cell.requires_grad, cell.cell.owner = True, owner

    def compile(self, step: Any) -> Any:
        """Raise StateError: what is recorded is not there before the step runs."""
        raise StateError(
            "compile: autodiff records each step anew and compiles none; leave it out of the stack"
        )

    # -- gradients -----------------------------------------------------------------------------------

    def backward(
        self,
        root: Variable,
        gradient: Variable | None = None,
        *,
        inputs: Sequence[Variable] | None = None,
        create_graph: bool = False,
        retain_graph: bool | None = None,
    ) -> list[Variable | None]:
        """Walk the graph from `root` in reverse; leaves accumulate their gradients, or `inputs` get theirs.

        gradient: of root's shape; 1 if None, for a scalar root. create_graph: record the walk too.
        retain_graph: keep what was recorded (default: create_graph). Returns the gradients of `inputs`.
        """
        keep = create_graph if retain_graph is None else retain_graph
        with contextlib.nullcontext() if create_graph else no_grad():
            return walk(self, root, first_gradient(self, root, gradient), inputs, keep=keep)


class _Scope:
    """A name after those outside it, while it is entered."""

    def __init__(self, backend: AutodiffBackend, name: str) -> None:
        self.backend, self.name = backend, name
        self.inner = backend.inner.scope(name)

    def __enter__(self) -> None:
        b = self.backend
        self.outer = b._path
        b._path = f"{self.outer}.{self.name}" if self.outer else self.name
        self.inner.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.backend._path = self.outer
        self.inner.__exit__(*error)


def grad(
    output: Variable, inputs: Sequence[Variable], gradient: Any = None, *, create_graph: bool = False
) -> list[Variable | None]:
    """Return the gradient of a scalar output (or of Σ gradient output) for each input, or None."""
    found: list[Variable | None] = output.backend.backward(
        output, gradient, inputs=inputs, create_graph=create_graph
    )
    return found


def tape_backend(backend: Any = None) -> AutodiffBackend:
    """Return the autodiff stack that is given or current, or one around the current raw backend."""
    found = get_backend(backend)
    if isinstance(found, AutodiffBackend):
        return found
    if isinstance(found, Wrapper):
        raise BackendError(f"Variables live on a stack that begins with autodiff, {found.spec!r} does not")
    made = AutodiffBackend(found)  # type: ignore[abstract]  # made by funnelled
    return _around.setdefault(id(found), made)


_around: dict[int, AutodiffBackend] = {}  # raw backends are never let go of


def _places(out: Any) -> tuple[Any, ...]:
    return tuple(out) if type(out) in (tuple, list) else (out,)
