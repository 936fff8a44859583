"""`Optimizer`: parameter groups over flat storage, and a step in two halves.

`scalars(step)` is host code: the numbers that change from step to step. `update(scalars)` is protocol
ops only, a handful for each group however many layers there are; so a traced step can take the
numbers as inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

from ...backends import OptionError, ShapeError, StateError, Tensor
from ...backends.errors import did_you_mean
from ...layers.module import Module, ParameterList
from ...layers.parameter import FlatStorage, Parameter

Scalars = dict[str, float]


class Group:
    """Parameters that share their options, packed into one flat buffer.

    `options` are the numbers given to the optimizer; `cells` its own flat buffers (moments, sums).
    """

    def __init__(self, storage: FlatStorage, options: dict[str, Any]) -> None:
        self.storage = storage
        self.parameters = storage.parameters
        self.options = options
        self.backend = storage.backend
        self.cells: dict[str, Tensor] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy or a pickle holds: the cells as host arrays."""
        cells = {name: self.backend.to_host(cell) for name, cell in self.cells.items()}
        return {"storage": self.storage, "options": self.options, "cells": cells}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Allocate the cells beside the packed copies of the parameters."""
        Group.__init__(self, state["storage"], dict(state["options"]))
        for name, value in state["cells"].items():
            self.add_cell(name)
            self.put(name, self.backend.from_host(value, dtype=self.backend.dtype(self.data)))

    @property
    def data(self) -> Tensor:
        """All values: (size,)."""
        return self.storage.data

    @property
    def grad(self) -> Tensor:
        """All gradients: (size,)."""
        return self.storage.grad

    def add_cell(self, name: str, value: float = 0.0) -> None:
        """Allocate a flat buffer beside the parameters, filled with a value."""
        b = self.backend
        shape, dtype = b.shape(self.data), b.dtype(self.data)
        flat, _ = b.cells({name: tuple(shape)}, dtype=dtype)
        if value:
            b.assign(flat, b.full(shape, value, dtype=dtype))
        self.cells[name] = flat

    def put(self, name: str, value: Tensor) -> Tensor:
        """Assign a value to the cell of that name ("data", "grad" or one of `cells`) and return it."""
        cell = self.data if name == "data" else self.grad if name == "grad" else self.cells[name]
        self.backend.assign(cell, value)
        return cell


class Optimizer:
    """Base of the optimizers.

    Parameters
    ----------
    parameters
        `model.parameters()`, an iterable of parameters, or groups: dicts with "params" and options of
        their own.
    options
        What holds where a group says nothing else. "lr" is the learning rate.

    Raises
    ------
    OptionError
        If there are no parameters, one comes twice, or an option is unknown or out of its range.

    """

    def __init__(self, parameters: Iterable[Any], options: dict[str, Any]) -> None:
        if isinstance(parameters, (Module, Parameter)):
            raise OptionError(
                f"{type(self).__name__}: expected model.parameters() or groups, got {parameters!r} itself"
            )
        given = list(parameters)
        self._sources = [parameters] if isinstance(parameters, ParameterList) else []
        if not given:
            raise OptionError(f"{type(self).__name__}: there are no parameters to optimize")
        rows = given if isinstance(given[0], Mapping) else [{"params": given}]
        self.groups: list[Group] = []
        seen: set[int] = set()
        plans = [self._plan(row, options, seen) for row in rows]
        for _, chosen in plans:
            self.check(chosen)
        for members, chosen in plans:
            group = Group(FlatStorage.of(members), chosen)
            self.groups.append(group)
            self.prepare(group)
        self.steps = 0
        self.lr_factor = 1.0
        """What a schedule multiplies every group's learning rate by."""
        self._seen_version = Parameter.structure_version
        self._known = seen
        self._copied = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take a copy's or a pickle's attributes: it is an optimizer of the copied parameters."""
        vars(self).update(state)
        self._known = {id(parameter) for group in self.groups for parameter in group.parameters}
        self._seen_version = -1
        self._copied = True

    # -- what an optimizer defines -----------------------------------------------------------------

    def check(self, options: Mapping[str, Any]) -> None:
        """Raise OptionError for options out of range."""
        for name, (low, high) in _RANGES.items():
            for value in _numbers(options[name]) if name in options else ():
                if not low <= value < high:
                    raise OptionError(
                        f"{type(self).__name__}: {name} must be at least {low:g}"
                        + (f" and below {high:g}" if high < float("inf") else "")
                        + f", got {options[name]!r}"
                    )

    def prepare(self, group: Group) -> None:
        """Allocate a group's cells."""

    def group_scalars(self, group: Group, step: int) -> Scalars:
        """Return a group's numbers for the step-th update, from 1; {"lr": ...} at least."""
        return {"lr": self.rate(group)}

    def update_group(self, group: Group, scalars: Scalars) -> None:
        """Update one group's parameters: protocol ops only."""
        raise TypeError(f"{type(self).__name__} must define update_group(group, scalars)")

    # -- what a user calls -------------------------------------------------------------------------

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for group in self.groups:
            group.storage.zero_grad()

    def step(self) -> None:
        """Update the parameters from their gradients; where none came in, the gradient is zero."""
        self.check_parameters()
        for group in self.groups:
            group.storage.finish_gradients()
        step = self.steps + 1
        try:
            with self.groups[0].backend.unrecorded():
                self.update(self.scalars(step))
        except KeyError as error:
            self._explain(error)
            raise
        self.steps = step

    def scalars(self, step: int) -> Scalars:
        """Return the numbers of the step-th update: {"0.lr": ...}, by group and name."""
        if len(self.groups) == 1:
            return self.group_scalars(self.groups[0], step)
        return {
            f"{i}.{name}": value
            for i, group in enumerate(self.groups)
            for name, value in self.group_scalars(group, step).items()
        }

    def update(self, scalars: Scalars) -> None:
        """Update all groups."""
        if len(self.groups) == 1:
            self.update_group(self.groups[0], scalars)
            return
        for i, group in enumerate(self.groups):
            start = f"{i}."
            mine = {k[len(start) :]: v for k, v in scalars.items() if k.startswith(start)}
            self.update_group(group, mine)

    def rate(self, group: Group) -> float:
        """Return a group's learning rate, as the schedule has it now."""
        return float(group.options["lr"] * self.lr_factor)

    @property
    def lr(self) -> float:
        """The first group's learning rate, as the schedule has it now."""
        return self.rate(self.groups[0])

    def state_dict(self) -> dict[str, Any]:
        """Return {"steps": int, "groups": [{"options": ..., "cells": {name: host array}}]}."""
        groups = [
            {
                "options": dict(group.options),
                "cells": {name: group.backend.to_host(cell) for name, cell in group.cells.items()},
            }
            for group in self.groups
        ]
        return {"steps": self.steps, "lr_factor": self.lr_factor, "groups": groups}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave. Raises before anything is changed."""
        if absent := [key for key in ("steps", "lr_factor", "groups") if key not in state]:
            raise StateError(f"{type(self).__name__}: the state lacks {', '.join(absent)}")
        if len(state["groups"]) != len(self.groups):
            raise StateError(f"expected the state of {len(self.groups)} groups, got {len(state['groups'])}")
        values = []
        for group, saved in zip(self.groups, state["groups"], strict=True):
            if set(saved["cells"]) != set(group.cells):
                raise StateError(f"expected the cells {sorted(group.cells)}, got {sorted(saved['cells'])}")
            if set(saved["options"]) != set(group.options):
                raise StateError(
                    f"expected the options {sorted(group.options)}, got {sorted(saved['options'])}"
                )
            options = {name: _plain(value) for name, value in saved["options"].items()}
            self.check(options)
            if lacking := self._lacking(group, options):
                raise StateError(
                    f"{type(self).__name__}: the state's options need the cells {lacking}, which it lacks"
                )
            b = group.backend
            dtype = b.dtype(group.data)
            mine = {name: b.from_host(value, dtype=dtype) for name, value in saved["cells"].items()}
            for name, value in mine.items():
                if b.shape(value) != b.shape(group.cells[name]):
                    raise ShapeError(
                        f"{name}: expected {tuple(b.shape(group.cells[name]))}, got {tuple(b.shape(value))}"
                    )
            values.append((options, mine))
        for group, (options, mine) in zip(self.groups, values, strict=True):
            group.options.update(options)
            for name, value in mine.items():
                group.put(name, value)
        self.steps, self.lr_factor = state["steps"], state["lr_factor"]

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v!r}" for k, v in self.groups[0].options.items())
        return f"{type(self).__name__}({options})"

    # -- inside --------------------------------------------------------------------------------------

    def _plan(
        self, row: Mapping[str, Any], options: dict[str, Any], seen: set[int]
    ) -> tuple[list[Parameter], dict[str, Any]]:
        if not isinstance(row, Mapping):
            raise OptionError(f"{type(self).__name__}: expected groups only, or parameters only, got {row!r}")
        if "params" not in row:
            raise OptionError(f"{type(self).__name__}: a group needs 'params', got {', '.join(row)}")
        params = row["params"]
        if isinstance(params, ParameterList):
            self._sources.append(params)
        members = [params] if isinstance(params, Parameter) else list(params)
        for member in members:
            if not isinstance(member, Parameter):
                raise OptionError(f"{type(self).__name__}: expected parameters, got {member!r}")
            if id(member) in seen:
                raise OptionError(f"{type(self).__name__}: {member!r} comes twice")
            seen.add(id(member))
        if not members:
            raise OptionError(f"{type(self).__name__}: a group has no parameters")
        chosen = dict(options)
        for name, value in row.items():
            if name != "params" and name not in options:
                raise OptionError(
                    f"{type(self).__name__}: unknown option {name!r} in a group; "
                    f"known: {', '.join(options)}.{did_you_mean(name, options)}"
                )
            if name != "params":
                chosen[name] = value
        return members, {name: _plain(value) for name, value in chosen.items()}

    def _lacking(self, group: Group, options: dict[str, Any]) -> list[str]:
        """Return the names of the cells that the group would need with these options and does not have."""
        trial = Group(group.storage, options)
        self.prepare(trial)
        return sorted(set(trial.cells) - set(group.cells))

    def _explain(self, error: KeyError) -> None:
        """Raise StateError if a group's options were changed to some that need cells it does not have."""
        for group in self.groups:
            if lacking := self._lacking(group, group.options):
                raise StateError(
                    f"{type(self).__name__}: the options were changed to some that need the cells {lacking}, "
                    "which are allocated when an optimizer is made; make a new one with these options"
                ) from error

    def check_parameters(self) -> None:
        """Raise if parameters appeared since this optimizer was made, or were packed elsewhere."""
        for group in self.groups:
            if group.storage.retired:
                group.storage.check()
        # A layer older than the optimizer may be attached without a count: look at steps 1, 2, 4, 8, ...
        if Parameter.structure_version == self._seen_version and self.steps & (self.steps - 1):
            return
        if self._copied and all(p.grad is None for group in self.groups for p in group.parameters):
            raise StateError(
                f"{type(self).__name__}: this is a copy, and none of its parameters has a gradient: they are "
                "copies too. Copy or pickle model and optimizer together, as one tuple; or make a new "
                "optimizer over the model and carry the state over with state_dict and load_state_dict"
            )
        for source in self._sources:
            names = source.names()
            late = [name for key, name in names.items() if key not in self._known]
            whole = set(map(id, source)) <= self._known
            if late and whole:
                raise StateError(
                    f"{type(self).__name__}: the parameters {', '.join(late)} appeared after the optimizer "
                    "was made; make the optimizer when the model is complete"
                )
        self._seen_version = Parameter.structure_version
        self._copied = False


_RANGES: dict[str, tuple[float, float]] = {
    "lr": (0.0, float("inf")),
    "momentum": (0.0, float("inf")),
    "weight_decay": (0.0, float("inf")),
    "lr_decay": (0.0, float("inf")),
    "eps": (0.0, float("inf")),
    "initial_accumulator_value": (0.0, float("inf")),
    "alpha": (0.0, 1.0),
    "betas": (0.0, 1.0),
}


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real)


def _plain(value: Any) -> Any:
    """Return a number as a Python float: a backend takes numpy's scalars for tensors."""
    if isinstance(value, (tuple, list)):
        return tuple(map(_plain, value))
    return float(value) if _is_number(value) else value


def _numbers(value: Any) -> tuple[float, ...]:
    """Return an option's numbers; what is no number counts as NaN, which is in no range."""
    values = value if isinstance(value, (tuple, list)) else (value,)
    return tuple(float(v) if _is_number(v) else float("nan") for v in values)


def decayed(group: Group) -> Tensor:
    """Return the gradient with weight decay: g + λ p, or the gradient itself where λ = 0."""
    decay = group.options["weight_decay"]
    return group.backend.add_scaled(group.grad, group.data, decay) if decay else group.grad
