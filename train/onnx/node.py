"""One node of an ONNX file, as an operator's builder sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...backends import Backend, DataError

Host = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Node:
    """What the file says of a node, and what is known of its inputs before anything runs.

    `inputs` and `outputs` are names, "" for an optional one that is left out.
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    version: int
    """Of the operator set that the file was written for."""
    backend: Backend
    constants: Mapping[str, Host] = field(repr=False)
    """The values that the file holds, or that follow from those alone."""
    shapes: Mapping[str, tuple[int | None, ...]] = field(repr=False)
    """Where they follow from the file; None for an extent that does not."""

    def __str__(self) -> str:
        return f"{self.operator} {self.name!r}" if self.name else self.operator

    def __deepcopy__(self, memo: object) -> Node:
        return self  # never changed

    def error(self, message: str) -> DataError:
        """Return an error that names the node."""
        return DataError(f"{self}: {message}")

    # -- attributes --------------------------------------------------------------------------------

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute: a number, a text, a list of integers as a tuple, an array."""
        return self.attributes.get(name, default)

    # -- inputs ------------------------------------------------------------------------------------

    def has(self, i: int) -> bool:
        """Whether there is an i-th input."""
        return i < len(self.inputs) and self.inputs[i] != ""

    def constant(self, i: int) -> Host | None:
        """Return the i-th input's value where it is known, else None."""
        return self.constants.get(self.inputs[i]) if self.has(i) else None

    def weight(self, i: int, what: str) -> Host:
        """Return the i-th input's value, which must be known; DataError if it is not."""
        value = self.constant(i)
        if value is None:
            given = (
                f"{self.inputs[i]!r} is computed or comes from outside" if self.has(i) else "there is none"
            )
            raise self.error(f"its {what} must be stored in the file, but {given}")
        return value

    def shape(self, i: int) -> tuple[int | None, ...] | None:
        """Return what is known of the i-th input's shape: None for an unknown extent, or an unknown rank."""
        return self.shapes.get(self.inputs[i]) if self.has(i) else None

    def rank(self, i: int) -> int:
        """Return the i-th input's number of axes. Raises DataError where the file does not tell."""
        shape = self.shape(i)
        if shape is None:
            raise self.error(f"the file does not tell how many axes its input {self.inputs[i]!r} has")
        return len(shape)
