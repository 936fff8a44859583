"""Fully connected networks."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from ...backends import Backend, OptionError, get_backend
from ...backends.options import choice, flag, integer, shown
from ...layers import BatchNorm1d, Flatten, Linear, Module, Sequential
from .description import LARGEST, sizes
from .names import ACTIVATIONS, BIASES, INITIALIZERS, OUTPUTS, ending, initial


@dataclass(frozen=True)
class Dense:
    """A fully connected network.

    Parameters
    ----------
    input_shape
        The shape of one sample; more than one axis is flattened.
    hidden
        The sizes of the hidden layers.
    outputs
        The size of the output.
    activation
        One name for all hidden layers, or one for each.
    output
        A name in `OUTPUTS`, the activation after the last layer; "" for none.
    initializer
        A name in `INITIALIZERS`, for the weights.
    batch_norm
        Whether batch norm precedes each activation of a hidden layer.
    biases
        A name in `BIASES`; "" means torch's default, or the weights' initializer if that is "uniform".

    """

    input_shape: tuple[int, ...]
    hidden: tuple[int, ...]
    outputs: int
    activation: tuple[str, ...] = ("relu",)
    output: str = ""
    initializer: str = "torch"
    batch_norm: bool = False
    biases: str = ""
    kind: str = field(default="dense", init=False)

    def __post_init__(self) -> None:
        for option in ("input_shape", "hidden"):
            object.__setattr__(self, option, sizes("dense", option, getattr(self, option)))
        object.__setattr__(self, "outputs", integer("dense", "outputs", self.outputs, most=LARGEST))
        object.__setattr__(self, "batch_norm", flag("dense", "batch_norm", self.batch_norm))
        if not isinstance(self.activation, (tuple, list)):
            raise OptionError(
                f"dense: expected activation to be a tuple of names, got {shown(self.activation)}"
            )
        object.__setattr__(self, "activation", tuple(self.activation))
        for name in self.activation:
            choice("dense", "activation", name, ACTIVATIONS)
        if not isinstance(self.output, str) or self.output:
            choice("dense", "output", self.output, OUTPUTS)
        choice("dense", "initializer", self.initializer, INITIALIZERS)
        if not isinstance(self.biases, str) or self.biases:
            choice("dense", "biases", self.biases, BIASES)
        if len(self.activation) not in (1, len(self.hidden)):
            raise OptionError(
                f"dense: expected activation to be 1 name or {len(self.hidden)}, one per hidden layer, "
                f"got {len(self.activation)}"
            )

    def build(self, backend: str | Backend | None = None) -> Sequential:
        """Return the network, with new weights."""
        b = get_backend(backend)
        size = math.prod(self.input_shape)
        names = self.activation * len(self.hidden) if len(self.activation) == 1 else self.activation
        layers: list[Module] = [Flatten(backend=b)] if len(self.input_shape) > 1 else []
        for width, name in zip(self.hidden, names, strict=True):
            norm: list[Module] = [BatchNorm1d(width, backend=b)] if self.batch_norm else []
            layers += [self._linear(size, width, b), *norm, ACTIVATIONS[name](b)]
            size = width
        layers.append(self._linear(size, self.outputs, b))
        return Sequential(*layers, *ending(self.output, b))

    def _linear(self, size: int, width: int, b: Backend) -> Linear:
        return Linear(size, width, **initial(self.initializer, self.biases), backend=b)

    def to_dict(self) -> dict[str, Any]:
        """Return a dict for `model_from_dict`."""
        return asdict(self)
