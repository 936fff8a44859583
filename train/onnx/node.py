"""`Node`: one node of an ONNX file, with everything known about its inputs before the model runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...backends import Backend, DataError
from ...backends.host import Host
from ...backends.options import shown

Extents = tuple[int | None, ...]
"""A shape; None for an axis that the file leaves open."""


@dataclass(frozen=True)
class Node:
    """What an operator's builder needs: names, attributes, known constants and shapes.

    `inputs` and `outputs` are names; "" stands for an omitted optional input or output.
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    version: int
    """The version of the operator set that the file uses."""
    backend: Backend
    constants: Mapping[str, Host] = field(repr=False)
    """Values stored in the file, or computed from these alone."""
    shapes: Mapping[str, Extents] = field(repr=False)
    """The shapes that can be inferred from the file."""

    def __str__(self) -> str:
        return f"{self.operator} {shown(self.name)}" if self.name else self.operator

    def __deepcopy__(self, memo: object) -> Node:
        return self  # immutable

    def error(self, message: str) -> DataError:
        """Return an error that names the node."""
        return DataError(f"{self}: {message}")

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute as a Python number, a string, a tuple of integers or an array."""
        return self.attributes.get(name, default)

    def axis(self, axis: int, rank: int) -> int:
        """Return an axis counted from 0. Raises DataError unless it is one of `rank` axes."""
        if not -rank <= axis < rank:
            raise self.error(f"expected an axis of a tensor of {rank} axes, got {shown(axis)}")
        return axis % rank

    # -- inputs ------------------------------------------------------------------------------------

    def has(self, i: int) -> bool:
        """Whether the i-th input is present."""
        return i < len(self.inputs) and self.inputs[i] != ""

    def constant(self, i: int) -> Host | None:
        """Return the i-th input's value, or None if it is not known yet."""
        return self.constants.get(self.inputs[i]) if self.has(i) else None

    def weight(self, i: int, role: str) -> Host:
        """Return the i-th input's value. Raises DataError, naming its role, if it is not known yet."""
        value = self.constant(i)
        if value is None:
            got = f"{shown(self.inputs[i])}, which the model computes or receives" if self.has(i) else "none"
            raise self.error(f"expected its {role} to be stored in the file, got {got}")
        return value

    def shape(self, i: int) -> Extents | None:
        """Return the i-th input's shape, or None if even its rank is unknown."""
        return self.shapes.get(self.inputs[i]) if self.has(i) else None

    def rank(self, i: int) -> int:
        """Return the i-th input's number of axes. Raises DataError if the file does not tell."""
        shape = self.shape(i)
        if shape is None:
            raise self.error(
                f"expected the number of axes of its input {shown(self.inputs[i])}, got none in the file"
            )
        return len(shape)
