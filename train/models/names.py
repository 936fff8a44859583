"""Activations, outputs and initializers by name: the values of a model's options."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

from ...backends import Backend
from ...layers import (
    Constant,
    Initializer,
    KaimingNormal,
    KaimingUniform,
    LeakyReLU,
    LogSoftmax,
    Module,
    ReLU,
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
    "relu": lambda b: ReLU(b),
}
INITIALIZERS: dict[str, Callable[[], Initializer]] = {
    "torch": TorchDefault,
    "xavier_uniform": XavierUniform,
    "xavier_normal": XavierNormal,
    "kaiming_uniform": KaimingUniform,
    "kaiming_normal": KaimingNormal,
    "uniform": lambda: Uniform(-1.0, 1.0),
}


class Initial(TypedDict):
    """The initializers of a layer with weights."""

    weight_init: Initializer
    bias_init: Initializer


BIASES: dict[str, Callable[[Initializer], Initializer]] = {
    "torch": lambda weights: TorchDefault(),
    "zeros": lambda weights: Constant(0.0),
    "as_weights": lambda weights: weights,
}


def initial(name: str, biases: str = "") -> Initial:
    """Return the initializers for names in `INITIALIZERS` and `BIASES`.

    `biases` = "" means torch's default, or the weights' initializer if that is "uniform".
    """
    make = INITIALIZERS[name]
    kind = BIASES[biases or ("as_weights" if name == "uniform" else "torch")]
    return {"weight_init": make(), "bias_init": kind(make())}


def ending(output: str, backend: Backend) -> list[Module]:
    """Return the layers after the last one: the activation of a name in `OUTPUTS`, or none for ""."""
    return [OUTPUTS[output](backend)] if output else []
