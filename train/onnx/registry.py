"""The table of ONNX operators: what each is built of here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...layers import Module
from .node import Node


@dataclass(frozen=True)
class Operator:
    """How a node becomes a module.

    `build` returns a layer (called with the first input), or a Function (called with every input).
    `weights` are the inputs that the file must hold, as a layer's parameters are its own.
    """

    build: Callable[[Node], Module]
    weights: tuple[int, ...] = ()


OPERATORS: dict[str, Operator] = {}
"""By the name that ONNX gives the operator."""


def layer(name: str, *, weights: tuple[int, ...] = ()) -> Callable[[Any], Any]:
    """Register a builder: node -> layer."""

    def register(build: Callable[[Node], Module]) -> Callable[[Node], Module]:
        OPERATORS[name] = Operator(build, weights)
        return build

    return register


def function(*names: str, host: tuple[int, ...] = ()) -> Callable[[Any], Any]:
    """Register a function (backend, node, *tensors) -> tensor, or a tuple of them, for some operators.

    Tensors come in the order of the node's inputs, None where an optional one is left out; those at the
    places in `host` come as host arrays.
    """
    from .graph import Function  # which needs Node alone

    def register(compute: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            OPERATORS[name] = Operator(lambda node: Function(node, compute, host))
        return compute

    return register
