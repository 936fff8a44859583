"""The table of ONNX operators, and the decorators that fill it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...layers import Module
from .graph import Function
from .node import Node


@dataclass(frozen=True)
class Operator:
    """How a node becomes a module.

    `build` returns a layer (called with the node's first input) or a Function (called with every input).
    `weights` are the positions of inputs that become a layer's parameters, so the file must store them.
    """

    build: Callable[[Node], Module]
    weights: tuple[int, ...] = ()


OPERATORS: dict[str, Operator] = {}
"""By ONNX's name of the operator."""


def layer(name: str, *, weights: tuple[int, ...] = ()) -> Callable[[Any], Any]:
    """Register a builder: node -> layer."""

    def register(build: Callable[[Node], Module]) -> Callable[[Node], Module]:
        OPERATORS[name] = Operator(build, weights)
        return build

    return register


def function(*names: str, host: tuple[int, ...] = ()) -> Callable[[Any], Any]:
    """Register a function (backend, node, *tensors) -> tensor, or a tuple of tensors.

    Tensors are in the order of the node's inputs, None for an omitted one. Inputs at the positions in
    `host` are passed as host arrays.
    """

    def register(compute: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            OPERATORS[name] = Operator(lambda node: Function(node, compute, host))
        return compute

    return register
