"""`Sequential`: layers in a chain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from typing_extensions import override

from ..backends import Backend, OptionError, ShapeError, StateError, Tensor
from ..backends.errors import did_you_mean
from ..backends.protocol import Shape
from .call import WITHOUT_INPUT_GRADIENT
from .faults import check_made, named_error, raise_named
from .linear import Linear
from .module import Module, has_parameters


class Sequential(Module):
    """f = fₖ ∘ ... ∘ f₁.

    Index it by position, by name, or by kind and number (`fc_1` is the first Linear, `act_1` the first layer
    without parameters). Sizes that do not fit are an error when a layer is added.

    Parameters
    ----------
    *layers
        Modules, named "0", "1", ...; or one mapping {name: module}.
    backend
        The backend of all layers; the first layer's if None.

    """

    def __init__(self, *layers: Module | Mapping[str, Module], backend: str | Backend | None = None) -> None:
        named: dict[str, Any] = {}
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            named = dict(layers[0])
        else:
            named = {str(i): layer for i, layer in enumerate(layers)}
        first = next(iter(named.values()), None)
        if isinstance(first, Module):
            check_made(first)
        super().__init__(first.backend if backend is None and isinstance(first, Module) else backend)
        self._layers: dict[str, Module] = {}
        self._extend(named)

    # -- building --------------------------------------------------------------------------------

    def append(self, layer: Module, name: str | None = None) -> Sequential:
        """Add a layer at the end and return self; its backend and its size must fit."""
        if not self._layers and isinstance(layer, Module):
            check_made(layer)
            self.backend = layer.backend
        self._extend({name or str(len(self._layers)): layer})
        return self

    add_layer = append

    def _extend(self, named: Mapping[str, Any]) -> None:
        """Add layers, or none if one does not fit."""
        layers = dict(self._layers)
        paths = {id(m): path for path, m in self._modules_of(layers)}
        for name, layer in named.items():
            self._check(name, layer, layers)
            new = {id(m): path for path, m in self._modules_of({name: layer})}
            if again := [paths[key] for key in new if key in paths]:
                # Its second forward would replace the values of its first.
                raise OptionError(
                    f"Sequential: expected layer {name!r} to be new, got layer {again[0]!r} again; make a "
                    "new layer, and assign the old one's parameters to it to share weights"
                )
            paths |= new
            layers[name] = layer
        _check_sizes(layers)
        self._layers = layers

    def _check(self, name: str, layer: Any, layers: Mapping[str, Module]) -> None:
        if not isinstance(layer, Module):
            hint = f"; call the class: {layer.__name__}()" if isinstance(layer, type) else ""
            raise OptionError(f"Sequential: expected layer {name!r} to be a Module, got {layer!r}{hint}")
        if not isinstance(name, str) or name in layers or "." in name:
            raise OptionError(f"Sequential: expected layer names to be new and without a dot, got {name!r}")
        check_made(layer)
        if layer.backend is not self.backend:
            same = repr(layer.backend) == repr(self.backend)
            hint = "; get_backend makes a new stack at each call: make one for all layers" if same else ""
            raise OptionError(
                f"Sequential: expected layer {name!r}, {layer!r}, on {self.backend!r}, "
                f"got {layer.backend!r}{hint}"
            )

    def _modules_of(self, layers: Mapping[str, Module]) -> Iterator[tuple[str, Module]]:
        for name, layer in layers.items():
            yield from layer.named_modules(name)

    # -- looking up ------------------------------------------------------------------------------

    @property
    def layers(self) -> dict[str, Module]:
        """The layers by kind and number: {"fc_1": ..., "act_1": ..., "fc_2": ...}."""
        by_kind: dict[str, Module] = {}
        counts: dict[str, int] = {}
        for layer in self._layers.values():
            kind = "fc" if isinstance(layer, Linear) else _kind(layer)
            counts[kind] = counts.get(kind, 0) + 1
            by_kind[f"{kind}_{counts[kind]}"] = layer
        return by_kind

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._layers.values())

    def __getitem__(self, key: int | str | slice) -> Any:
        if isinstance(key, slice):
            return Sequential(dict(list(self._layers.items())[key]))
        if isinstance(key, int):
            if not -len(self) <= key < len(self):
                raise IndexError(f"Sequential: expected an index below {len(self)}, got {key}")
            return list(self._layers.values())[key]
        known = {**self.layers, **self._layers}
        if key not in known:
            raise KeyError(
                f"Sequential: expected one of {', '.join(known)}, got {key!r}.{did_you_mean(key, known)}"
            )
        return known[key]

    @override
    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the layers by name, then the modules in a subclass's attributes."""
        yield from self._layers.items()
        for name, child in super().named_children():
            if not name.startswith("_layers."):
                yield name, child

    def __repr__(self) -> str:
        inner = "".join(
            f"\n  ({n}): {str(m).replace(chr(10), chr(10) + '  ')}" for n, m in self._layers.items()
        )
        return f"Sequential({inner}\n)" if inner else "Sequential()"

    # -- running ---------------------------------------------------------------------------------

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x through every layer in order."""
        layer: Module = self
        try:
            for layer in self._layers.values():
                x = layer.forward(x)
        except Exception as error:
            raise_named(_wrong_output(error, self._beside(layer, -1), x), layer, x)
        return x

    @override
    def backward(self, grad_output: Tensor) -> Any:
        """The chain rule: dL/dx = f₁' (... fₖ' (g)), each layer's derivative applied in reverse.

        Without the input's gradient it ends at the first layer that has parameters.
        """
        wanted = self.input_gradient
        first = None if wanted else next(filter(has_parameters, self._layers.values()), None)
        layer: Module = self
        g: Any = grad_output
        token = WITHOUT_INPUT_GRADIENT.set(first)
        try:
            with self.backend.unrecorded():
                for layer in reversed(self._layers.values()):
                    g = layer._backward(g)
                    if layer is first:
                        return None
        except Exception as error:
            raise_named(_wrong_gradient(error, self._beside(layer, 1), g), layer)
        finally:
            WITHOUT_INPUT_GRADIENT.reset(token)
        return g if wanted else None

    def _beside(self, layer: Module, step: int) -> Module | None:
        """Return the layer before (-1) or after (1) one, if there is one."""
        layers = list(self._layers.values())
        place = next((i for i, other in enumerate(layers) if other is layer), -2) + step
        return layers[place] if 0 <= place < len(layers) else None

    @override
    def output_shape(self, shape: Shape) -> Shape:
        for layer in self._layers.values():
            shape = layer.output_shape(shape)
        return shape

    @property
    @override
    def input_shape(self) -> Shape | None:
        return next((layer.input_shape for layer in self._layers.values()), None)


def _wrong_output(error: Exception, before: Module | None, x: Any) -> Exception:
    """Return the error for a layer whose `forward` returned no tensor; `error` if it did."""
    if before is None or not isinstance(x, (tuple, list, type(None))):
        return error
    return named_error(StateError(f"forward returned {_described(x)}; return the output alone"), before)


def _wrong_gradient(error: Exception, after: Module | None, g: Any) -> Exception:
    """Return the error for a layer whose `backward` returned no tensor; `error` if it did."""
    if after is None:
        return error
    if not isinstance(g, (tuple, list, type(None))):
        if isinstance(error, ShapeError) and error.culprit is None:
            error.args = (f"{error} (a gradient that {type(after).__name__}.backward returned)",)
        return error
    advice = "return the gradient of the input; accumulate() takes those of parameters"
    return named_error(StateError(f"backward returned {_described(g)}; {advice}"), after)


def _described(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__} of {len(value)}"


def _kind(layer: Module) -> str:
    return type(layer).__name__.lower() if has_parameters(layer) else "act"


def _check_sizes(layers: Mapping[str, Module]) -> None:
    """Follow shapes from the first layer that knows its input; raise if no input could fit.

    A layer knows the last axes of a sample, not whether others precede them. So two shapes are tried, until
    a layer (Flatten) makes different sizes of them.
    """
    probes: list[Shape] = []
    before = ""
    for name, layer in layers.items():
        if not probes and layer.input_shape is not None:
            probes = [(1, *layer.input_shape), (1, 2, *layer.input_shape)]
        fitting: list[Shape] = []
        refused: Exception | None = None
        for shape in probes:
            try:
                fitting.append(layer.output_shape(shape))
            except (ShapeError, StateError) as error:
                refused = refused or error
        if refused is not None and not fitting:
            raise ShapeError(
                f"Sequential: layer {name!r} does not fit after {before}: {refused}"
            ) from refused
        probes = fitting if len({shape[-1:] for shape in fitting}) == 1 else []
        before = str(layer)
