"""`Sequential`: layers one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from typing_extensions import override

from ..backends import Backend, OptionError, ShapeError, StateError, Tensor
from ..backends.errors import did_you_mean
from ..backends.protocol import Shape
from .call import without_input_gradient
from .faults import raise_named
from .linear import Linear
from .module import Module, has_parameters


class Sequential(Module):
    """f = fₖ ∘ ... ∘ f₁.

    Layers come as arguments, as one dict of names to layers, or later by `append`. Each is found by
    index, by name, or by kind and number (`fc_1` the first Linear, `act_1` the first layer without
    parameters). Sizes that do not fit are an error when a layer is added.

    Parameters
    ----------
    *layers
        Modules, or one mapping {name: module}. Their names are "0", "1", ... if none are given.
    backend
        Where they compute; the first layer's if None.

    """

    def __init__(self, *layers: Module | Mapping[str, Module], backend: str | Backend | None = None) -> None:
        named: dict[str, Any] = {}
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            named = dict(layers[0])
        else:
            named = {str(i): layer for i, layer in enumerate(layers)}
        first = next(iter(named.values()), None)
        super().__init__(first.backend if backend is None and isinstance(first, Module) else backend)
        self._layers: dict[str, Module] = {}
        for name, layer in named.items():
            self._add(name, layer)

    # -- building --------------------------------------------------------------------------------

    def append(self, layer: Module, name: str | None = None) -> Sequential:
        """Add a layer at the end, if it is on the same backend and its size fits; return self."""
        if not self._layers and isinstance(layer, Module):
            self.backend = layer.backend
        self._add(name or str(len(self._layers)), layer)
        return self

    add_layer = append

    def _add(self, name: str, layer: Any) -> None:
        if not isinstance(layer, Module):
            hint = "; write its brackets: " + layer.__name__ + "()" if isinstance(layer, type) else ""
            raise OptionError(f"Sequential: layer {name!r} must be a Module, got {layer!r}{hint}")
        if not isinstance(name, str) or name in self._layers or "." in name:
            raise OptionError(f"Sequential: layer name {name!r} must be a string, new and without a dot")
        if layer.backend is not self.backend:
            same = repr(layer.backend) == repr(self.backend)
            hint = (
                "; a stack is new each time it is named: get_backend once, and hand it to all" if same else ""
            )
            raise OptionError(
                f"Sequential: layer {name!r}, {layer!r}, is on {layer.backend!r}, "
                f"the others on {self.backend!r}{hint}"
            )
        inside = {
            id(m): f"{n}.{path}".rstrip(".") for n, m in self._layers.items() for path, m in m.named_modules()
        }
        again = next((inside[id(m)] for _, m in layer.named_modules() if id(m) in inside), None)
        if again is not None:
            # The second forward would replace what the first kept, and backward would be wrong.
            raise OptionError(
                f"Sequential: layer {name!r} holds layer {again!r} again; make a new one "
                "(to share weights, set the new one's parameters to the old one's)"
            )
        trial = {**self._layers, name: layer}
        _check_sizes(trial)
        self._layers = trial

    # -- looking up ------------------------------------------------------------------------------

    @property
    def layers(self) -> dict[str, Module]:
        """The layers by kind and number: {"fc_1": ..., "act_1": ..., "fc_2": ...}."""
        found: dict[str, Module] = {}
        for layer in self._layers.values():
            kind = "fc" if isinstance(layer, Linear) else _kind(layer)
            number = 1 + sum(name.startswith(f"{kind}_") for name in found)
            found[f"{kind}_{number}"] = layer
        return found

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._layers.values())

    def __getitem__(self, key: int | str | slice) -> Any:
        if isinstance(key, slice):
            return Sequential(dict(list(self._layers.items())[key]))
        if isinstance(key, int):
            if not -len(self) <= key < len(self):
                raise IndexError(f"Sequential has {len(self)} layers, index {key} is out of range")
            return list(self._layers.values())[key]
        known = {**self.layers, **self._layers}
        if key not in known:
            raise KeyError(f"no layer {key!r}; there are {', '.join(known)}.{did_you_mean(key, known)}")
        return known[key]

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the layers under their names, then any modules that a subclass holds as attributes."""
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
            raise_named(error, layer, x)
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
        try:
            with self.backend.unrecorded():
                for layer in reversed(self._layers.values()):
                    if layer is first:
                        with without_input_gradient(layer):
                            return layer.backward(g)
                    g = layer.backward(g)
        except Exception as error:
            raise_named(error, layer)
        return g if wanted else None

    def output_shape(self, shape: Shape) -> Shape:
        """Return the last layer's output shape for an input (N, ...)."""
        for layer in self._layers.values():
            shape = layer.output_shape(shape)
        return shape

    @property
    def input_shape(self) -> Shape | None:
        """The shape of one input sample, where the first layer knows it."""
        return next((layer.input_shape for layer in self._layers.values()), None)


def _kind(layer: Module) -> str:
    return type(layer).__name__.lower() if has_parameters(layer) else "act"


def _check_sizes(layers: Mapping[str, Module]) -> None:
    """Follow shapes from the first layer that knows its input; raise where no input could fit.

    A layer knows one sample's last axes, not whether others stand before them: two shapes are tried, and
    given up where a layer (Flatten) makes different sizes of them.
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
