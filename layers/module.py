"""`Module`: what every layer, container and model is."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, NoReturn, TypeVar

from ..backends import Backend, DtypeError, LaminaError, ShapeError, StateError, Tensor, get_backend
from ..backends.errors import did_you_mean
from ..backends.protocol import Shape
from .buffer import Buffer
from .initializers import Initializer
from .parameter import Parameter, check_same_shape
from .summary import Summary, summarize

_inference: ContextVar[bool] = ContextVar("lamina_inference", default=False)
Self = TypeVar("Self", bound="Module")


@contextlib.contextmanager
def inference() -> Iterator[None]:
    """Run forward passes that keep nothing for `backward`, inside a `with`."""
    token = _inference.set(True)
    try:
        yield
    finally:
        _inference.reset(token)


def is_inference() -> bool:
    """Return whether this is inside `inference()`."""
    return _inference.get()


class Module:
    """A function with parameters and a derivative written by hand.

    A subclass sets parameters and sub-modules as attributes (also in lists and dicts), and implements
    `forward` and `backward`.

    Parameters
    ----------
    backend
        Where it computes: a name, a backend, or None for the current one. Captured here, once.

    """

    enters_scopes: bool = False
    """Whether its passes run each direct sub-module in the scope of its name (see `named_scopes`)."""

    def __init__(self, backend: str | Backend | None = None) -> None:
        self.backend = get_backend(backend)
        self.training = True
        self.input_gradient = True
        """Whether `backward` must return the gradient of the input; False spares the first layer's work."""
        self._kept: tuple[Any, ...] | None = None

    # -- what a layer defines --------------------------------------------------------------------

    def forward(self, x: Tensor) -> Tensor:
        """Return the output for x, and keep what `backward` needs."""
        raise TypeError(f"{type(self).__name__} must define forward(x)")

    def backward(self, grad_output: Tensor) -> Any:
        """Accumulate the parameters' gradients and return that of the input, given that of the output.

        Returns None where `input_gradient` is False and there was nothing to compute.
        """
        raise TypeError(f"{type(self).__name__} must define backward(grad_output)")

    def output_shape(self, shape: Shape) -> Shape:
        """Return the output's shape for an input of `shape` (N, ...); ShapeError if it does not fit."""
        return shape

    @property
    def input_shape(self) -> Shape | None:
        """The shape of one input sample, where the layer knows it."""
        return None

    # -- for the layer's own use -------------------------------------------------------------------

    def parameter(self, shape: Shape, initializer: Initializer, *, fan: Shape | None = None) -> Parameter:
        """Return a new parameter on this module's backend."""
        return Parameter(shape, initializer, self.backend, fan=fan)

    def buffer(self, shape: Shape, value: float, *, dtype: str | None = None) -> Buffer:
        """Return a new buffer on this module's backend: a cell that is saved, and not trained."""
        return Buffer(shape, value, self.backend, dtype=dtype)

    def keep(self, *values: Any) -> None:
        """Keep what `backward` needs, in place of what was kept before; nothing under `inference()`."""
        self._kept = None if _inference.get() else values

    def kept(self) -> tuple[Any, ...]:
        """Return what the last `forward` kept."""
        if self._kept is None:
            raise named_error(
                StateError("backward needs a forward pass before it (and not under inference())"), self
            )
        return self._kept

    def check_gradient(self, grad_output: Tensor, expected: Shape) -> None:
        """Raise ShapeError unless a gradient has the output's shape, where the ops would broadcast it."""
        got = self.backend.shape(grad_output)
        if tuple(got) != tuple(expected):
            raise named_error(
                ShapeError(f"expected a gradient of shape {tuple(expected)}, got {tuple(got)}"), self
            )

    def misfit(self, expected: str, shape: Shape, advice: str = "") -> ShapeError:
        """Return the error for a shape: `Linear(25 -> 2): expected input (N, 25), got (64, 20)`."""
        error = ShapeError(f"{self}: expected input {expected}, got {tuple(shape)}{advice}")
        error.names_layer = True
        return error

    # -- what a user calls ---------------------------------------------------------------------------

    def __call__(self, x: Tensor) -> Tensor:
        """Run `forward`, and let errors name the layer."""
        try:
            self.backend.dtype(x)
            return self.forward(x)
        except Exception as error:
            raise_named(error, self)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_kept": None}  # a copy starts without what was kept for backward

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"

    def extra_repr(self) -> str:
        """Return what stands between the brackets of the repr."""
        return ""

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield (name, module) for each direct sub-module, found by attribute."""
        for name, value in vars(self).items():
            if name != "_kept":
                for path, item in _flattened(name, value):
                    if isinstance(item, Module):
                        yield path, item

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield (path, module) for this module ("") and everything below it."""
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield (path, parameter) for all parameters; one that is shared comes once."""
        seen: set[int] = set()
        for name, item in self._every_name():
            if isinstance(item, Parameter) and id(item) not in seen:
                seen.add(id(item))
                yield name, item

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """Yield (path, buffer) for all buffers; one that is shared comes once."""
        seen: set[int] = set()
        for name, item in self._every_name():
            if isinstance(item, Buffer) and id(item) not in seen:
                seen.add(id(item))
                yield name, item

    def parameters(self) -> ParameterList:
        """Return all parameters, in the order of `named_parameters`."""
        return ParameterList(self)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def train(self: Self, mode: bool = True) -> Self:
        """Switch to training (or not), for layers that differ."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self: Self) -> Self:
        """Switch to evaluation."""
        return self.train(False)

    def to(self: Self, backend: str | Backend, *, dtype: str | None = None) -> Self:
        """Move to another backend, in place; what was kept for `backward` is dropped."""
        target = get_backend(backend, dtype=dtype)
        for _, parameter in self.named_parameters():
            parameter.to(target)
        for _, buffer in self.named_buffers():
            buffer.to(target)
        for _, module in self.named_modules():
            module.backend = target
            module._kept = None
        return self

    def state_dict(self) -> dict[str, Any]:
        """Return {path: host array} of parameters and buffers, under torch's names and layouts.

        What is shared comes under each of its paths.
        """
        return {name: item.backend.to_host(item.data) for name, item in self._every_name()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take values from host arrays or torch tensors. Raises before anything is changed.

        A shared parameter needs one of its names; where they differ, the last holds, as in torch.
        """
        own = dict(self._every_name())
        given = {id(own[name]) for name in state if name in own}
        unknown = [f"{name!r}.{did_you_mean(str(name), own)}" for name in state if name not in own]
        needed = (*self.named_parameters(), *self.named_buffers())
        absent = [name for name, item in needed if id(item) not in given]
        if unknown or absent:
            raise StateError(
                f"load_state_dict: expected the names {', '.join(own)}; "
                + (f"missing {', '.join(absent)}; " if absent else "")
                + (f"unknown {' '.join(unknown)}" if unknown else "")
            )
        values = {name: _brought_in(name, own[name], state[name]) for name in own if name in state}
        for name, value in values.items():
            own[name].set(value)

    def summary(self, input_shape: Shape | None = None) -> Summary:
        """Return a table of layers, output shapes, parameters and FLOPs of one sample's forward pass.

        input_shape: one sample's, without the batch axis; needed where the first layers do not know it.
        """
        return summarize(self, input_shape)

    def _every_name(self) -> Iterator[tuple[str, Parameter | Buffer]]:
        """Yield (path, item) for all parameters and buffers, a shared one under each of its paths."""
        for path, module in self.named_modules():
            for name, value in vars(module).items():
                if name != "_kept":
                    for local, item in _flattened(name, value):
                        if isinstance(item, (Parameter, Buffer)):
                            yield f"{path}.{local}" if path else local, item


class ParameterList(list[Parameter]):
    """The parameters of a module, which an optimizer can look through again for new ones."""

    def __init__(self, module: Module) -> None:
        super().__init__(parameter for _, parameter in module.named_parameters())
        self.module = module

    def names(self) -> dict[int, str]:
        """Return {id(parameter): path} as it is now."""
        return {id(parameter): name for name, parameter in self.module.named_parameters()}


_ABOUT_SHAPES = re.compile(r"shape|size|dimension|broadcast|align|axis", re.IGNORECASE)


def _name(layer: object) -> str:
    text = str(layer)
    return type(layer).__name__ if "\n" in text else text


def raise_named(error: Exception, layer: object) -> NoReturn:
    """Raise the error with the layer's name, from inside the `except` that caught it."""
    named = named_error(error, layer)
    if named is error:
        raise error
    raise named from error


def named_error(error: Exception, layer: object) -> Exception:
    """Return the error with the layer's name before it, once.

    What a library says of shapes becomes a ShapeError. Anything else that is not Lamina's own (a mistake
    in a layer's code, memory that ran out) stays what it is, with a note of where it was.
    """
    kind: type[LaminaError]
    if isinstance(error, LaminaError):
        if error.names_layer:
            return error
        kind = type(error)
    elif type(error) in (ValueError, IndexError, RuntimeError) and _ABOUT_SHAPES.search(str(error)):
        kind = ShapeError
    else:
        if not getattr(error, "__notes__", None):
            error.add_note(f"in {_name(layer)}")
        return error
    where = _name(layer)
    named = kind(f"{where}: {error}")
    named.names_layer = True
    return named


def _brought_in(name: str, item: Parameter | Buffer, value: Any) -> Tensor:
    """Return a host array or torch tensor as a tensor that fits the parameter or buffer."""
    if hasattr(value, "detach"):  # torch's: numpy takes neither what needs a gradient nor what is on a GPU
        value = value.detach().cpu()
    b = item.backend
    try:
        tensor = b.from_host(value, dtype=b.dtype(item.data))
    except (TypeError, ValueError) as error:
        raise DtypeError(f"load_state_dict: {name!r}: expected an array of numbers: {error}") from error
    check_same_shape(f"load_state_dict: {name!r}", item.shape, b.shape(tensor))
    return tensor


def _flattened(name: str, value: object) -> Iterable[tuple[str, object]]:
    """Yield (path, item) for an attribute, looking into lists, tuples and dicts of items."""
    if isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _flattened(f"{name}.{i}", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _flattened(f"{name}.{key}", item)
    else:
        yield name, value
