"""`Group`: parameters that share their options, in one flat buffer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...backends import DtypeError, OptionError, StateError, Tensor
from ...backends.options import shown
from ...layers.parameter import FlatStorage, Parameter
from .options import Options, Rules


class Group:
    """Parameters that share their options, packed into one flat buffer.

    `data` and `grad` are the values and gradients of all of them, (size,). `cells` are the optimizer's own
    flat buffers of that shape: moments, sums.
    """

    def __init__(self, storage: FlatStorage, options: Options) -> None:
        self.storage = storage
        self.parameters = storage.parameters
        self.options = options
        self.backend = storage.backend
        self.data = storage.data
        self.grad = storage.grad
        self.cells = {name: self._cell(name, value) for name, value in options.initial_cells().items()}

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a copy or a pickle: the cells as host arrays."""
        return {"storage": self.storage, "options": self.options, "cells": self.host_cells()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Allocate the cells beside the packed copies of the parameters."""
        Group.__init__(self, state["storage"], state["options"])
        for name, value in state["cells"].items():
            self.put(name, self.backend.from_host(value, dtype=self.backend.dtype(self.data)))

    def put(self, name: str, value: Tensor) -> None:
        """Assign a value to the cell of that name: "data", "grad" or one of `cells`."""
        cell = self.data if name == "data" else self.grad if name == "grad" else self.cells[name]
        self.backend.assign(cell, value)

    def host_cells(self) -> dict[str, Any]:
        """Return the cells as host arrays."""
        return {name: self.backend.to_host(cell) for name, cell in self.cells.items()}

    def decayed(self) -> Tensor:
        """Return the gradient with weight decay, g + λ p."""
        decay = self.options["weight_decay"]
        return self.backend.add_scaled(self.grad, self.data, decay) if decay else self.grad

    def check_packed(self, owner: str, names: Mapping[int, str]) -> None:
        """Raise StateError if parameters were moved or packed elsewhere. names: by the parameters' ids."""
        if self.storage.retired:
            lost = [p for p in self.parameters if p.storage is not self.storage]
            raise StateError(
                f"{owner} is out of date: {self.storage.retired} "
                f"({', '.join(names.get(id(p), repr(p)) for p in lost)}); make a new optimizer"
            )

    def _cell(self, name: str, value: float) -> Tensor:
        b = self.backend
        shape, dtype = tuple(b.shape(self.data)), b.dtype(self.data)
        cell, _ = b.cells({name: shape}, dtype=dtype)
        if value:
            b.assign(cell, b.full(shape, value, dtype=dtype))
        return cell


def make_groups(rules: type[Rules], parameters: list[Any], defaults: dict[str, Any]) -> list[Group]:
    """Return the groups for a list of parameters, or of dicts with "params" and options.

    Everything is checked before the first parameter is packed.
    """
    owner = rules.__name__
    if not parameters:
        raise OptionError(f"{owner}: expected at least one parameter, got none")
    rows = parameters if isinstance(parameters[0], Mapping) else [{"params": parameters}]
    plans = [(_members(owner, row), Options(rules, defaults, _own_options(row))) for row in rows]
    seen: set[int] = set()
    for parameter in (parameter for members, _ in plans for parameter in members):
        if id(parameter) in seen:
            raise OptionError(f"{owner}: expected each parameter once, got {parameter!r} twice")
        seen.add(id(parameter))
    _check_backend(owner, [parameter for members, _ in plans for parameter in members])
    return [Group(FlatStorage.of(members), options) for members, options in plans]


def _members(owner: str, row: Any) -> list[Parameter]:
    if not isinstance(row, Mapping):
        raise OptionError(f"{owner}: expected groups only or parameters only, got {shown(row)}")
    if "params" not in row:
        raise OptionError(f"{owner}: expected a group with 'params', got {', '.join(map(str, row))}")
    params = row["params"]
    if not isinstance(params, (Parameter, Iterable)):
        raise OptionError(f"{owner}: expected a group's 'params' to be parameters, got {shown(params)}")
    members = [params] if isinstance(params, Parameter) else list(params)
    if not members:
        raise OptionError(f"{owner}: expected a group of at least one parameter, got none")
    for member in members:
        if not isinstance(member, Parameter):
            raise OptionError(f"{owner}: expected parameters, got {shown(member)}")
    return members


def _check_backend(owner: str, parameters: list[Parameter]) -> None:
    """Raise DtypeError unless all parameters are on one backend, in one dtype."""
    kinds = {(id(p.backend), str(p.backend.dtype(p.data))): p for p in parameters}
    if len(kinds) > 1:
        got = sorted(f"{p.backend!r} in {dtype}" for (_, dtype), p in kinds.items())
        raise DtypeError(
            f"{owner}: expected all parameters on one backend in one dtype, got {', '.join(got)}; "
            "make an optimizer for each"
        )


def _own_options(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "params"}
