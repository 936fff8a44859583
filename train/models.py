"""Models by name: what `lamina train` builds, and what a saved file says to build again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from ..backends import Backend, DataError, OptionError, get_backend
from ..backends.errors import did_you_mean
from ..layers import (
    Flatten,
    Initializer,
    KaimingNormal,
    KaimingUniform,
    LeakyReLU,
    Linear,
    LogSoftmax,
    Module,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
    TorchDefault,
    Uniform,
    XavierNormal,
    XavierUniform,
)

ACTIVATIONS: dict[str, Callable[[Backend], Module]] = {
    "relu": lambda b: ReLU(b),
    "leaky_relu": lambda b: LeakyReLU(backend=b),
    "sigmoid": lambda b: Sigmoid(b),
    "tanh": lambda b: Tanh(b),
}
OUTPUTS: dict[str, Callable[[Backend], Module]] = {
    "sigmoid": lambda b: Sigmoid(b),
    "softmax": lambda b: Softmax(1, backend=b),
    "log_softmax": lambda b: LogSoftmax(1, backend=b),
    "tanh": lambda b: Tanh(b),
}
INITIALIZERS: dict[str, Callable[[], Initializer]] = {
    "torch": TorchDefault,
    "xavier_uniform": XavierUniform,
    "xavier_normal": XavierNormal,
    "kaiming_uniform": KaimingUniform,
    "kaiming_normal": KaimingNormal,
    "uniform": lambda: Uniform(-1.0, 1.0),
}


@dataclass(frozen=True)
class Dense:
    """A fully connected network.

    Parameters
    ----------
    input_shape
        One sample's, without the batch axis; flattened where it has more than one axis.
    hidden
        The sizes of the hidden layers.
    outputs
        The size of the output.
    activation
        One name for all hidden layers, or one for each.
    output
        A name in `OUTPUTS` after the last layer; "" for nothing.
    initializer
        What the weights hold at first; biases are torch's default, or as the weights under "uniform".

    """

    input_shape: tuple[int, ...]
    hidden: tuple[int, ...]
    outputs: int
    activation: tuple[str, ...] = ("relu",)
    output: str = ""
    initializer: str = "torch"
    kind: str = field(default="dense", init=False)

    def __post_init__(self) -> None:
        for name in self.activation:
            check_name("activation", name, ACTIVATIONS)
        if self.output:
            check_name("output", self.output, OUTPUTS)
        check_name("initializer", self.initializer, INITIALIZERS)
        if len(self.activation) not in (1, len(self.hidden)):
            raise OptionError(
                f"activation: expected 1 name or {len(self.hidden)}, one for each hidden layer, "
                f"got {len(self.activation)}"
            )

    def build(self, backend: str | Backend | None = None) -> Sequential:
        """Return the network, with new weights."""
        b = get_backend(backend)
        size = 1
        for extent in self.input_shape:
            size *= extent
        names = self.activation * len(self.hidden) if len(self.activation) == 1 else self.activation
        layers: list[Module] = [Flatten(backend=b)] if len(self.input_shape) > 1 else []
        for width, name in zip(self.hidden, names, strict=True):
            layers += [self._linear(size, width, b), ACTIVATIONS[name](b)]
            size = width
        layers.append(self._linear(size, self.outputs, b))
        if self.output:
            layers.append(OUTPUTS[self.output](b))
        return Sequential(*layers)

    def _linear(self, size: int, width: int, b: Backend) -> Linear:
        init = INITIALIZERS[self.initializer]
        bias = init() if self.initializer == "uniform" else TorchDefault()
        return Linear(size, width, weight_init=init(), bias_init=bias, backend=b)

    def to_dict(self) -> dict[str, Any]:
        """Return what `model_from_dict` takes."""
        return asdict(self)


def model_from_dict(config: dict[str, Any]) -> Dense:
    """Return the description that `to_dict` gave, or that a JSON file holds of it."""
    given: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in config.items()}
    kind = given.pop("kind", None)
    if kind != "dense":
        raise DataError(f"unknown kind of model {kind!r}; this Lamina builds: dense")
    try:
        return Dense(**given)
    except TypeError as error:
        raise DataError(f"the description of the model is incomplete or foreign: {error}") from error


def check_name(option: str, name: str, known: Iterable[str]) -> None:
    """Raise an OptionError that names the option, unless `name` is one of those known."""
    known = tuple(known)
    if name not in known:
        raise OptionError(
            f"{option}: expected one of {', '.join(known)}, got {name!r}.{did_you_mean(name, known)}"
        )
