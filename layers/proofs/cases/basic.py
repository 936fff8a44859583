"""Rows for the dense layers, activations, softmax, shaping and Sequential."""

from __future__ import annotations

from typing import Any

from ....backends import Backend
from ....backends.protocol import Shape
from ... import (
    Flatten,
    Identity,
    LeakyReLU,
    Linear,
    LogSoftmax,
    Module,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)
from ..case import LayerCase
from .twins import EDGES, LOGIT_EDGES, activation, along, torch_stack, torch_twin


def _shared(backend: Backend) -> Module:
    """Return two layers with one weight: its gradients add up."""
    first, second = Linear(4, 4, backend=backend), Linear(4, 4, backend=backend)
    second.weight = first.weight
    return Sequential(first, Tanh(backend=backend), second)


def _torch_shared() -> Any:
    from torch import nn

    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    return nn.Sequential(first, nn.Tanh(), second)


def _nested(b: Backend) -> Module:
    head = Sequential(LeakyReLU(0.2, backend=b), Sequential(Linear(6, 3, backend=b), Tanh(backend=b)))
    return Sequential(Flatten(backend=b), Linear(12, 6, backend=b), head, Linear(3, 2, bias=False, backend=b))


_torch_nested = torch_stack(
    torch_twin("Flatten"),
    torch_twin("Linear", 12, 6),
    torch_stack(torch_twin("LeakyReLU", 0.2), torch_stack(torch_twin("Linear", 6, 3), torch_twin("Tanh"))),
    torch_twin("Linear", 3, 2, bias=False),
)


def _linear(
    label: str, in_features: int, out_features: int, input_shape: Shape, bias: bool = True
) -> LayerCase:
    return LayerCase(
        f"Linear {label}",
        lambda b: Linear(in_features, out_features, bias, backend=b),
        input_shape,
        torch_twin("Linear", in_features, out_features, bias),
    )


BASIC_CASES: tuple[LayerCase, ...] = (
    _linear("with bias", 4, 3, (5, 4)),
    _linear("without bias", 4, 3, (5, 4), bias=False),
    _linear("square, batch of one", 3, 3, (1, 3)),
    _linear("one to one", 1, 1, (4, 1)),
    _linear("of 3 axes", 4, 3, (2, 3, 4)),
    _linear("of 4 axes, without bias", 3, 2, (2, 2, 2, 3), bias=False),
    activation(ReLU, kinks=(0.0,)),
    activation(LeakyReLU, kinks=(0.0,)),
    activation(LeakyReLU, "of slope 0.3", 0.3, kinks=(0.0,)),
    activation(LeakyReLU, "of a negative slope", -0.5, kinks=(0.0,)),
    activation(Sigmoid),
    activation(Tanh),
    along(Softmax, -1, (3, 4), LOGIT_EDGES),
    along(Softmax, 0, (3, 4)),
    along(Softmax, 1, (2, 3, 2)),
    along(LogSoftmax, -1, (3, 4), LOGIT_EDGES),
    along(LogSoftmax, 0, (3, 4)),
    along(LogSoftmax, 1, (2, 3, 2)),
    LayerCase("Flatten", lambda b: Flatten(backend=b), (2, 3, 2), torch_twin("Flatten")),
    LayerCase("Flatten of 2 axes", lambda b: Flatten(backend=b), (2, 3), torch_twin("Flatten")),
    LayerCase(
        "Flatten from 1 to 2", lambda b: Flatten(1, 2, backend=b), (2, 3, 2, 2), torch_twin("Flatten", 1, 2)
    ),
    LayerCase("Flatten all", lambda b: Flatten(0, backend=b), (2, 3), torch_twin("Flatten", 0)),
    LayerCase("Identity", lambda b: Identity(backend=b), (2, 3), torch_twin("Identity"), special=EDGES),
    LayerCase("Sequential of nothing", lambda b: Sequential(backend=b), (2, 3), torch_stack()),
    LayerCase(
        "Sequential",
        lambda b: Sequential(Linear(2, 5, backend=b), ReLU(backend=b), Linear(5, 3, backend=b)),
        (4, 2),
        torch_stack(torch_twin("Linear", 2, 5), torch_twin("ReLU"), torch_twin("Linear", 5, 3)),
    ),
    LayerCase("Sequential nested", _nested, (3, 3, 4), _torch_nested),
    LayerCase("Sequential with a shared weight", _shared, (3, 4), _torch_shared),
    LayerCase(
        "Sequential into Softmax",
        lambda b: Sequential(
            Linear(3, 4, backend=b), Sigmoid(backend=b), Linear(4, 3, backend=b), Softmax(1, backend=b)
        ),
        (3, 3),
        torch_stack(
            torch_twin("Linear", 3, 4),
            torch_twin("Sigmoid"),
            torch_twin("Linear", 4, 3),
            torch_twin("Softmax", 1),
        ),
    ),
)
