"""`Module`: the base of every layer, container and model."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

from ..backends import (
    Backend,
    DtypeError,
    LaminaError,
    OptionError,
    ShapeError,
    StateError,
    Tensor,
    get_backend,
)
from ..backends.errors import did_you_mean
from ..backends.host import is_floating
from ..backends.options import flag, shown
from ..backends.protocol import Shape
from .buffer import Buffer
from .call import INFERENCE, TRAINING, WITHOUT_INPUT_GRADIENT, InstanceMethod, Kept, run_all
from .cell import Cell
from .faults import check_made, named_backward, named_error, raise_named
from .initializers import Initializer
from .parameter import Parameter, check_same_shape
from .summary import Summary, summarize

Self = TypeVar("Self", bound="Module")
C = TypeVar("C", bound=Cell)


class Module:
    """A function with parameters and a derivative written by hand.

    A subclass sets parameters and sub-modules as attributes (also in lists and dicts), and implements
    `forward` and `backward`. Errors of both name the layer.

    Parameters
    ----------
    backend
        The backend that computes: a name, a backend, or None for the current one. Captured here, once.

    """

    as_argument = "call it first, and pass its output"
    refuses_values: ClassVar[bool] = False
    """Whether `forward` refuses some values (an index out of range): a fit then tries all samples first."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if inspect.isfunction(own := vars(cls).get("backward")):
            setattr(cls, "backward", named_backward(own))  # noqa: B010
            setattr(cls, "_backward", own)  # noqa: B010

    def __init__(self, backend: str | Backend | None = None) -> None:
        self.backend = get_backend(backend)
        self._training = True
        self._kept = Kept()

    # -- the state of the call ---------------------------------------------------------------------

    @property
    def training(self) -> bool:
        """Whether this call trains: as `with mode(...)` says, else as `train()` or `eval()` set it."""
        training = TRAINING.get()
        return self._training if training is None else training

    @property
    def input_gradient(self) -> bool:
        """Whether `backward` must return the gradient of the input (see `without_input_gradient`)."""
        return WITHOUT_INPUT_GRADIENT.get() is not self

    # -- what a layer defines --------------------------------------------------------------------

    def forward(self, x: Tensor) -> Tensor:
        """Return the output for x, and keep what `backward` needs."""
        raise TypeError(f"{type(self).__name__} must define forward(x)")

    def backward(self, grad_output: Tensor) -> Any:
        """Accumulate the parameters' gradients; return the input's, or None without `input_gradient`."""
        raise TypeError(f"{type(self).__name__} must define backward(grad_output)")

    def output_shape(self, shape: Shape) -> Shape:
        """Return the output's shape for an input of `shape` (N, ...).

        Raises ShapeError (see `misfit`) if the input does not fit. If `forward` fails, its caller asks here
        whether the shape was at fault.
        """
        return shape

    @property
    def input_shape(self) -> Shape | None:
        """The shape of one input sample, if the layer knows it."""
        return None

    _backward = backward
    """`backward` as the class defines it: a container, which names the layer in errors itself, calls this."""

    def get_extra_state(self) -> Any:
        """Return what a checkpoint holds of the layer beside its cells; None for nothing.

        Such as a seed: dicts with texts as keys, lists, texts and numbers. A `state_dict` does not hold it.
        """
        return None

    def set_extra_state(self, state: Any) -> None:
        """Restore the state of `get_extra_state`; raise an error, before any change, if it is another."""

    # -- for the layer's own use -------------------------------------------------------------------

    def parameter(self, shape: Shape, initializer: Initializer, *, fan: Shape | None = None) -> Parameter:
        """Return a new parameter on this module's backend."""
        return self._new(shape, lambda: Parameter(shape, initializer, self.backend, fan=fan))

    def buffer(
        self, shape: Shape, value: float, *, dtype: str | None = None, persistent: bool = True
    ) -> Buffer:
        """Return a new buffer on this module's backend; no `state_dict` holds one that is not persistent."""
        return self._new(
            shape, lambda: Buffer(shape, value, self.backend, dtype=dtype, persistent=persistent)
        )

    def _new(self, shape: Shape, make: Callable[[], C]) -> C:
        check_made(self)
        name = type(self).__name__  # the repr may need attributes that are not set yet
        try:
            return make()
        except LaminaError as error:
            if error.names_layer:
                raise
            raise type(error)(f"{name}: {error}") from error
        except MemoryError as error:
            raise OptionError(f"{name}: expected a shape that fits the memory, got {shown(shape)}") from error

    def keep(self, *values: Any) -> None:
        """Keep the values that `backward` needs, in place of the last call's; none under `inference()`."""
        self._kept.values = None if INFERENCE.get() else values

    def kept(self) -> tuple[Any, ...]:
        """Return the values that this thread's last `forward` kept."""
        values = self._kept.values
        if values is None:
            raise named_error(
                StateError(
                    "backward needs a forward pass before it that calls self.keep(...), in this thread and "
                    "not under inference()"
                ),
                self,
            )
        return values

    def check_floating(self, x: Tensor) -> str:
        """Return the input's dtype; raise DtypeError unless it is floating."""
        dtype = self.backend.dtype(x)
        if not is_floating(dtype):
            raise DtypeError(f"expected a floating input, got {dtype}; convert it with astype")
        return dtype

    def check_gradient(self, grad_output: Tensor, shape: Shape, dtype: str | None = None) -> None:
        """Raise unless a gradient has the output's shape and dtype; for ops that would take another one."""
        b = self.backend
        got = b.shape(grad_output)
        if tuple(got) != tuple(shape):
            raise named_error(
                ShapeError(f"expected a gradient of shape {tuple(shape)}, got {tuple(got)}"), self
            )
        if dtype is not None and b.dtype(grad_output) != dtype:
            raise named_error(
                DtypeError(f"expected a gradient of {dtype}, got {b.dtype(grad_output)}; use astype"), self
            )

    def misfit(self, expected: str, shape: Shape, advice: str = "") -> ShapeError:
        """Return the error for a shape: `Linear(25 -> 2): expected input (N, ..., 25), got (64, 20)`."""
        error = ShapeError(f"{self}: expected input {expected}, got {tuple(shape)}{advice}")
        error.names_layer = True
        return error

    # -- what a user calls ---------------------------------------------------------------------------

    def __call__(self, x: Tensor) -> Tensor:
        """Run `forward`; errors name the layer."""
        try:
            return self.forward(x)
        except Exception as error:
            raise_named(error, self, x)

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes of a copy, which has kept nothing for `backward`."""
        own = list(vars(self).items())
        return {k: v for k, v in own if not isinstance(v, InstanceMethod)} | {"_kept": Kept()}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"

    def extra_repr(self) -> str:
        """Return the text between the brackets of the repr."""
        return ""

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield (name, module) for each direct sub-module: those in attributes, lists and dicts."""
        for name, value in list(vars(self).items()):  # another thread may add a scope
            for path, item in _flattened(name, value):
                if isinstance(item, Module):
                    yield path, item

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield (path, module) for this module ("") and everything below it."""
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield (path, parameter) for all parameters, a shared one once."""
        return self._distinct(Parameter)

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """Yield (path, buffer) for all buffers, a shared one once."""
        return self._distinct(Buffer)

    def parameters(self) -> ParameterList:
        """Return all parameters, in the order of `named_parameters`."""
        return ParameterList(self)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def train(self: Self, mode: bool = True) -> Self:
        """Set the default mode of calls: training, or evaluation if `mode` is False."""
        mode = flag(f"{type(self).__name__}.train", "mode", mode)
        for _, module in self.named_modules():
            module._training = mode
        return self

    def eval(self: Self) -> Self:
        """Set the default mode of calls to evaluation."""
        return self.train(False)

    def to(self: Self, backend: str | Backend, *, dtype: str | None = None) -> Self:
        """Move to another backend, in place; values kept for `backward` are dropped."""
        target = get_backend(backend, dtype=dtype)
        for _, cell in self._distinct(Cell):
            cell.to(target)
        for _, module in self.named_modules():
            module.backend = target
            module._kept = Kept()
        return self

    def state_dict(self) -> dict[str, Any]:
        """Return {path: host array} of parameters and persistent buffers, under torch's names and layouts.

        A shared one stands under each of its paths.
        """
        return {name: cell.backend.to_host(cell.data) for name, cell in self._saved_cells()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Assign values from host arrays or torch tensors; raise before any changes if one does not fit.

        A shared parameter needs one of its names; if its values differ, the last holds, as in torch. An
        interrupt (Ctrl-C) waits until all values are assigned.
        """
        if not isinstance(state, Mapping):
            raise OptionError(
                f"load_state_dict: expected a mapping of names to arrays, got {shown(state)}; "
                "pass a state_dict()"
            )
        own = dict(self._saved_cells())
        assigned = {id(own[name]) for name in state if name in own}
        unknown = [f"{name!r}.{did_you_mean(str(name), own)}" for name in state if name not in own]
        missing = [n for n, cell in self._distinct(Cell) if cell.persistent and id(cell) not in assigned]
        if unknown or missing:
            raise StateError(
                f"load_state_dict: expected the names {', '.join(own)}; "
                + (f"missing {', '.join(missing)}; " if missing else "")
                + (f"unknown {' '.join(unknown)}" if unknown else "")
            )
        values = {name: _tensor_for(name, own[name], state[name]) for name in own if name in state}
        run_all(functools.partial(own[name].set, value) for name, value in values.items())

    def summary(self, input_shape: Shape | None = None) -> Summary:
        """Return a table of layers, output shapes, parameters and FLOPs of one sample's forward pass.

        input_shape: one sample's, without the batch axis; needed if the first layers do not know it.
        """
        return summarize(self, input_shape)

    def _distinct(self, kind: type[C]) -> Iterator[tuple[str, C]]:
        """Yield (path, cell) for all cells of a kind, a shared one once."""
        seen: set[int] = set()
        for name, cell in self._named_cells():
            if isinstance(cell, kind) and id(cell) not in seen:
                seen.add(id(cell))
                yield name, cell

    def _saved_cells(self) -> Iterator[tuple[str, Cell]]:
        """Yield (path, cell) for all cells that a `state_dict` holds."""
        return ((name, cell) for name, cell in self._named_cells() if cell.persistent)

    def _named_cells(self) -> Iterator[tuple[str, Cell]]:
        """Yield (path, cell) for all parameters and buffers, a shared one under each of its paths."""
        for path, module in self.named_modules():
            for name, value in list(vars(module).items()):
                for local, item in _flattened(name, value):
                    if isinstance(item, Cell):
                        yield f"{path}.{local}" if path else local, item


_PLAIN = frozenset({int, float, bool, str, type(None), Kept})


def has_parameters(module: Module) -> bool:
    """Return whether a module holds parameters; fast if one is an attribute, or nothing could hold one."""
    attributes = vars(module)
    if Parameter in map(type, attributes.values()):
        return True
    if type(module).named_children is Module.named_children:
        kinds = set(map(type, attributes.values())) - {type(attributes["backend"])}
        if kinds <= _PLAIN:
            return False
    return next(module.named_parameters(), None) is not None


class ParameterList(list[Parameter]):
    """The parameters of a module, in which an optimizer can look for new ones."""

    def __init__(self, module: Module) -> None:
        super().__init__(parameter for _, parameter in module.named_parameters())
        self.module = module

    def names(self) -> dict[int, str]:
        """Return {id(parameter): path} of the module as it is now."""
        return {id(parameter): name for name, parameter in self.module.named_parameters()}


def _tensor_for(name: str, cell: Cell, value: Any) -> Tensor:
    """Return a host array or torch tensor as a tensor of a cell's shape and dtype."""
    if hasattr(value, "detach"):  # numpy refuses torch's tensors on a GPU or with requires_grad
        value = value.detach().cpu()
    b = cell.backend
    try:
        tensor = b.from_host(value, dtype=b.dtype(cell.data))
    except (TypeError, ValueError) as error:
        raise DtypeError(f"load_state_dict: {name!r}: expected an array of numbers: {error}") from error
    check_same_shape(f"load_state_dict: {name!r}", cell.shape, b.shape(tensor))
    return tensor


def _flattened(name: str, value: object) -> Iterable[tuple[str, object]]:
    """Yield (path, item) for an attribute and the items of lists, tuples and dicts in it."""
    if isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _flattened(f"{name}.{i}", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _flattened(f"{name}.{key}", item)
    else:
        yield name, value
