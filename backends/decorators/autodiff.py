"""`autodiff`: handles that record the operators behind them; the chain rule then gives the gradients.

Each differentiable op adds a `GradOperator` to a directed acyclic graph that is built on the fly (Carlier,
section 2); `backward` walks it in reverse. It proves every hand-written backward pass independently: the
vector-Jacobian products come from the op table, and a derived op without one is recorded as the primitives
of its definition.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from typing_extensions import override

from ..base import Backend
from ..drawing import Graph
from ..errors import BackendError, DtypeError, OptionError, foreign
from ..host import is_floating
from ..loop import Loop
from ..ops import OPS, Op, map_handles
from ..protocol import Run, Step
from ..select import get_backend
from ..wrapper import Wrapper
from .operator_graph import draw_operators
from .tape import GradOperator, first_gradient, walk
from .variable import Cell, Variable

_recording: ContextVar[bool] = ContextVar("lamina_recording", default=True)
_path: ContextVar[str] = ContextVar("lamina_recorded_layer", default="")
_SCALARS = (float, int, bool, type(None))
# Ops with a VJP are recorded; other derived ops are lowered first.
_RECORDED = {name for name, op in OPS.items() if op.vjp is not None or op.kind == "derived"}


def variable(data: Any, backend: str | Backend | None = None, requires_grad: bool = True) -> Variable:
    """Return a `Variable` that holds a copy of the data: a leaf of the graph.

    Parameters
    ----------
    data
        A numpy array, a torch tensor, a Variable, or nested lists (*).
    backend
        An `autodiff` stack; if None, one around the current backend.
    requires_grad
        Whether to record the ops on it and to keep its gradient.

    """
    data = data.numpy() if isinstance(data, Variable) else data
    made: Variable = tape_backend(backend).from_host(data)  # type: ignore[assignment]
    if requires_grad and not is_floating(made.dtype):
        raise OptionError(
            f"variable: expected floats, for only floats have gradients, got {made.dtype}; convert the data, "
            "or pass requires_grad=False"
        )
    made.requires_grad = bool(requires_grad)
    return made


def grad(
    output: Variable,
    inputs: Variable | Sequence[Variable],
    gradient: Any = None,
    *,
    create_graph: bool = False,
) -> list[Variable | None]:
    """Return the gradient of a scalar output (or of Σ gradient output) for each input, or None.

    inputs: one Variable, or several.
    """
    inputs = [inputs] if isinstance(inputs, Variable) else inputs
    for role, value in (("output", output), *(("inputs", value) for value in _listed(inputs))):
        if not isinstance(value, Variable):
            hint = getattr(type(value), "as_argument", "lamina.variable(data) makes one")
            raise DtypeError(f"grad: expected a Variable in {role}, got {type(value).__name__}; {hint}")
    gradients: list[Variable | None] = output.backend.backward(
        output, gradient, inputs=inputs, create_graph=create_graph
    )
    return gradients


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing inside a `with`."""
    token = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(token)


class AutodiffBackend(Wrapper):
    """Wraps every handle in a `Variable` and records the ops on Variables that require a gradient.

    Parameters are the leaves. Hand-written backward passes (in a container) and optimizers run unrecorded.
    `out` is ignored while recording: the tape may need the tensor that it would overwrite.
    """

    name = "autodiff"

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.cache_size = 1 << 62  # one block: several are assigned to cells, where the record ends
        self._ops = {name: getattr(inner, name) for name in OPS}
        for op in OPS.values():
            if op.kind == "metadata":  # every VJP rule asks for shapes: skip `around`
                setattr(self, op.name, self._metadata(op))

    def __reduce__(self) -> tuple[Any, ...]:
        return AutodiffBackend, (self.inner,)

    @override
    def around(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        opened, wanted = self._opened(op, args)
        for name in op.named:
            kwargs = {**kwargs, name: map_handles(lambda value: self._open(op, value), kwargs[name])}
        recording = _recording.get()
        if "out" in kwargs:
            if not recording:
                return self._into(op, opened, kwargs)
            for place in _places(kwargs["out"]):
                self._open(op, place)
            kwargs = {name: value for name, value in kwargs.items() if name != "out"}
        if not (wanted and recording and op.name in _RECORDED):
            result = self._ops[op.name](*opened, **kwargs)
            return Variable(result, self) if op.gives == "tensor" else op.map_result(self._closed, result)
        if op.vjp is None:
            return self.lower(op, args, kwargs)
        y = Variable(self._ops[op.name](*opened, **kwargs), self)
        y.grad_op = GradOperator(op, args, kwargs, y, _path.get())
        y.requires_grad = True
        return y

    def _metadata(self, op: Op) -> Any:
        run = self._ops[op.name]

        def metadata(x: Any) -> Any:
            return run(x.tensor if type(x) is Variable and x.backend is self else self._open(op, x))

        return metadata

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
        return Variable(tensor, self)

    def _into(self, op: Op, opened: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run an unrecorded op with `out`; a result in an `out` is that Variable."""
        out = map_handles(lambda place: self._open(op, place), kwargs["out"])
        places = _places(kwargs["out"])
        for place in places:
            if place.cell is not None:
                place.cell.touch()
        result = self._ops[op.name](*opened, **{**kwargs, "out": out})

        def closed(tensor: Any) -> Variable:
            found: Variable = next(v for v in (*places, Variable(tensor, self)) if v.tensor is tensor)
            return found

        return op.map_result(closed, result)

    # -- cells, scopes, leaves -------------------------------------------------------------------------

    @override
    def cells(self, shapes: Mapping[str, Any], *, dtype: str | None = None) -> Any:
        flat, views = self.inner.cells(shapes, dtype=dtype)
        whole, parts = Variable(flat, self), {name: Variable(view, self) for name, view in views.items()}
        versions = [0] * len(parts)
        whole.cell = Cell(versions, slice(None))
        for i, part in enumerate(parts.values()):
            part.cell = Cell(versions, slice(i, i + 1))
        return whole, parts

    @override
    def assign(self, cell: Any, value: Any) -> None:
        op = OPS["assign"]
        self.inner.assign(self._open(op, cell), self._open(op, value))
        if cell.cell is not None:
            cell.cell.touch()

    @override
    @contextlib.contextmanager
    def scope(self, name: str) -> Iterator[None]:
        outer = _path.get()
        token = _path.set(f"{outer}.{name}" if outer else name)
        try:
            with self.inner.scope(name):
                yield
        finally:
            _path.reset(token)

    @override
    def unrecorded(self) -> contextlib.AbstractContextManager[None]:
        return no_grad()

    @override
    def leaf(self, cell: Any, owner: Any) -> None:
        cell.requires_grad, cell.cell.owner = True, owner

    @override
    def compile(self, step: Step) -> Run:
        """Run the loop: each step is recorded anew. Its results have no graph: the graphs would pile up."""

        def ending(batch: tuple[Any, ...], numbers: Mapping[str, float]) -> tuple[Any, ...]:
            results: Any = step(batch, numbers)
            op = OPS["compile"]
            return (
                tuple([self._closed(self._open(op, x)) for x in results])
                if type(results) is tuple
                else results
            )

        return Loop(self, ending)

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
        """Walk the graph from `root` in reverse; return the gradients of `inputs`, or give leaves theirs.

        gradient: of root's shape; 1 if None, for a scalar root. create_graph: record the walk too.
        retain_graph: keep the graph for another call (default: create_graph).
        """
        keep = create_graph if retain_graph is None else retain_graph
        with contextlib.nullcontext() if create_graph else no_grad():
            return walk(self, root, first_gradient(self, root, gradient), inputs, keep=keep)

    def draw_graph(
        self, root: Variable, *, names: Mapping[str, Variable] | None = None, title: str = ""
    ) -> Graph:
        """Return the graph of the operators that led to `root`; names: labels for Variables."""
        return draw_operators(root, title, names=names)


def tape_backend(backend: str | Backend | None = None) -> AutodiffBackend:
    """Return this autodiff stack (the current one if None), or one around a raw backend."""
    chosen = get_backend(backend)
    if isinstance(chosen, AutodiffBackend):
        return chosen
    if isinstance(chosen, Wrapper) and not chosen.shared:
        raise BackendError(
            f"variable: expected a stack that begins with autodiff, or a raw backend, got {chosen.spec!r}"
        )
    made = AutodiffBackend(chosen)  # type: ignore[abstract]  # made by funnelled
    return _around.setdefault(id(chosen), made)


_around: dict[int, AutodiffBackend] = {}  # raw and shared backends live as long as the process


def _listed(inputs: Any) -> list[Any]:
    return list(inputs) if isinstance(inputs, (tuple, list)) else [inputs]


def _places(out: Any) -> tuple[Any, ...]:
    """Return the Variables in `out`, which may be one or a tuple with None in it."""
    return tuple(place for place in (out if type(out) in (tuple, list) else (out,)) if place is not None)
