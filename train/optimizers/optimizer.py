"""`Optimizer`: parameter groups over flat storage, and a step in two halves.

`scalars(step)` computes the numbers that change from step to step, on the host. `update(scalars)` runs
protocol ops only: a handful for each group, for any number of layers. So a traced step can take the numbers
as inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from ...backends import OptionError, ShapeError, StateError, Tensor
from ...backends.host import Host
from ...backends.options import held, integer, number, shown
from ...backends.steps import for_each, steps_after
from ...layers.call import run_all
from ...layers.module import Module, ParameterList
from ...layers.parameter import Parameter
from .group import Group, make_groups
from .options import Rules

Scalars = Mapping[str, float]
SMALLEST_NORMAL = {"float32": 2.0**-126, "float64": 2.0**-1022}


class Optimizer(Rules):
    """Base of the optimizers.

    Parameters
    ----------
    parameters
        `model.parameters()`, an iterable of parameters, or groups: dicts with "params" and their own options.
    options
        The options of every group that does not set its own. "lr" is the learning rate.

    Raises
    ------
    OptionError
        If there are no parameters, one is repeated, or an option is unknown or out of range.

    """

    def __init__(self, parameters: Iterable[Any], options: dict[str, Any]) -> None:
        if isinstance(parameters, (Module, Parameter)):
            raise OptionError(f"{self._name}: expected model.parameters() or groups, got {shown(parameters)}")
        if isinstance(parameters, Mapping):
            raise OptionError(f"{self._name}: expected a list of groups, got one group; write [{{...}}]")
        if not isinstance(parameters, Iterable):
            raise OptionError(f"{self._name}: expected model.parameters() or groups, got {shown(parameters)}")
        items = parameters if isinstance(parameters, list) else list(parameters)
        self.groups = make_groups(type(self), items, options)
        sources = [items, *(row["params"] for row in items if isinstance(row, Mapping))]
        # The modules' parameters as they are now: any that appear later are missing from these lists.
        self._sources = [s.module.parameters() for s in sources if isinstance(s, ParameterList)]
        self.steps = 0
        self._lr_factor = 1.0
        self._checked = self._copied = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the attributes of a copy or a pickle: it optimizes the copied parameters."""
        vars(self).update(state)
        self._checked, self._copied = False, True

    # -- what an optimizer defines, beside its `Rules` -----------------------------------------------

    def group_scalars(self, group: Group, step: Any) -> dict[str, Any]:
        """Return a group's numbers for the step-th update, from 1; {"lr": ...} at least.

        `step` is an int, or an int64 array (S,) for S updates: arithmetic alone, such as `(step > 1) * x`.
        """
        return {"lr": self.rate(group)}

    def update_group(self, group: Group, numbers: Scalars) -> dict[str, Tensor]:
        """Return the new values of one group: {"data": ..., and one for each cell}.

        Protocol ops only, with at most arithmetic on the numbers: they are symbols while a step is traced.
        """
        raise TypeError(f"{self._name} must define update_group(group, numbers)")

    # -- what a user calls -------------------------------------------------------------------------

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for group in self.groups:
            group.storage.zero_grad()

    def step(self) -> None:
        """Update the parameters from their gradients; a missing gradient counts as zero.

        Raises StateError in a step that is compiled: the program would keep the numbers of its first step.
        """
        if self.groups[0].backend.tracing:
            raise StateError(
                f"{self._name}: expected a compiled step to call update(numbers), got step(); pass its run "
                "next_scalars(steps) as numbers"
            )
        step = self.steps + 1
        self.update(self.scalars(step))
        self.steps = step

    def scalars(self, step: int) -> dict[str, float]:
        """Return the numbers of the step-th update: {"lr": ...}, or {"0.lr": ..., "1.lr": ...} for groups."""
        if len(self.groups) == 1:
            return self.group_scalars(self.groups[0], step)
        return {
            f"{i}.{name}": value
            for i, group in enumerate(self.groups)
            for name, value in self.group_scalars(group, step).items()
        }

    def next_scalars(self, count: int) -> dict[str, Host]:
        """Return the `scalars` of the next `count` updates, bit for bit: float64 (count,) by name."""
        steps: Any = steps_after(self.steps, count) if count != 1 else self.steps + 1
        try:
            return {name: for_each(value, count) for name, value in self.scalars(steps).items()}
        except (TypeError, ValueError) as error:
            raise OptionError(
                f"{self._name}: expected group_scalars to take an array of steps (S,), too, got an error: "
                f"{error}; write a choice as arithmetic, such as (step > 1) * x"
            ) from error

    def update(self, scalars: Scalars) -> None:
        """Assign the new values of all groups; a missing gradient counts as zero.

        scalars: the numbers of the step. It may be traced; to count `steps` is up to the caller.
        """
        self.finish_gradients()
        with self.groups[0].backend.unrecorded():
            for i, group in enumerate(self.groups):
                numbers = scalars if len(self.groups) == 1 else _within(scalars, f"{i}.")
                for name, value in self.update_group(group, numbers).items():
                    group.put(name, value)

    def finish_gradients(self) -> None:
        """Put zeros where a parameter has no gradient, so that the flat gradients are complete.

        The parameters are checked the first time.
        """
        if not self._checked:
            self._check_copy()
            self.check_parameters()
            self._checked = True
        for group in self.groups:
            if group.storage.retired:
                self.check_parameters()
            group.storage.finish_gradients()

    def drop_denormals(self) -> None:
        """Set what is denormal in the averages of gradients to 0.

        The averages of a dead ReLU's weights decay until they are denormal, and stay so: .9 times the
        smallest number rounds to it. Arithmetic on them is many times slower, and moves no parameter above
        1e-24.
        """
        for group in self.groups:
            b = group.backend
            with b.unrecorded():
                for name in sorted(set(self.averages) & set(group.cells)):
                    cell = group.cells[name]
                    small = b.less(b.abs(cell), SMALLEST_NORMAL[b.dtype(cell)])
                    b.assign(cell, b.where(small, 0.0, cell))

    def check_parameters(self) -> None:
        """Raise StateError if parameters appeared since this optimizer was made, or were packed elsewhere."""
        names = {key: name for source in self._sources for key, name in source.names().items()}
        for group in self.groups:
            group.check_packed(self._name, names)
        known = {id(p) for source in (*self._sources, *(g.parameters for g in self.groups)) for p in source}
        if late := [name for key, name in names.items() if key not in known]:
            raise StateError(
                f"{self._name}: the parameters {', '.join(late)} appeared after the optimizer was made; "
                "make the optimizer when the model is complete"
            )

    @property
    def lr_factor(self) -> float:
        """The factor of every group's learning rate, which a schedule sets."""
        return self._lr_factor

    @lr_factor.setter
    def lr_factor(self, factor: float) -> None:
        self._lr_factor = self.checked_factor(factor)

    def checked_factor(self, factor: object) -> float:
        """Return a factor for `lr_factor`; OptionError if a group's learning rate cannot take it."""
        checked = number(self._name, "lr_factor", factor, least=0.0)
        for group in self.groups:
            held(self._name, "lr times lr_factor", group.options["lr"] * checked)
        return checked

    def rate(self, group: Group) -> float:
        """Return a group's learning rate, as the schedule has it now."""
        rate: float = group.options["lr"] * self._lr_factor
        return rate

    @property
    def lr(self) -> float:
        """The first group's learning rate, as the schedule has it now."""
        return self.rate(self.groups[0])

    @lr.setter
    def lr(self, value: float) -> None:
        """Raise StateError: each group has its own."""
        raise StateError(
            f"{self._name}: expected groups[0].options['lr'] to be set, got an assignment to lr, which is "
            "that option times the schedule's factor"
        )

    def state_dict(self) -> dict[str, Any]:
        """Return {"steps", "lr_factor", "groups": [{"options": ..., "cells": {name: host array}}]}."""
        groups = [{"options": dict(group.options), "cells": group.host_cells()} for group in self.groups]
        return {"steps": self.steps, "lr_factor": self.lr_factor, "groups": groups}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a `state_dict`. Raises before anything is changed; an interrupt waits for its end."""
        run_all(self.restoring(state))

    def restoring(self, state: Mapping[str, Any]) -> list[Callable[[], object]]:
        """Return the actions that restore a `state_dict`; raises if it does not fit."""
        if not isinstance(state, Mapping):
            raise StateError(f"{self._name}: expected a state_dict, got {type(state).__name__}")
        if absent := [key for key in ("steps", "lr_factor", "groups") if key not in state]:
            raise StateError(f"{self._name}: the state lacks {', '.join(absent)}")
        steps = integer(self._name, "steps", state["steps"], least=0, most=2**63 - 1)
        lr_factor = self.checked_factor(state["lr_factor"])
        saved_groups = state["groups"] if isinstance(state["groups"], (list, tuple)) else ()
        if len(saved_groups) != len(self.groups):
            raise StateError(
                f"{self._name}: expected the state of {len(self.groups)} groups, got {len(saved_groups)}"
            )
        pairs = list(zip(self.groups, saved_groups, strict=True))
        values = [self._cell_values(group, saved) for group, saved in pairs]
        actions: list[Callable[[], object]] = [partial(vars(self).update, steps=steps, _lr_factor=lr_factor)]
        for (group, saved), cells in zip(pairs, values, strict=True):
            actions.append(partial(group.options.restore, saved["options"]))
            actions += [partial(group.put, name, value) for name, value in cells.items()]
        return actions

    def __repr__(self) -> str:
        return f"{self._name}({', '.join(f'{k}={v!r}' for k, v in self.groups[0].options.items())})"

    # -- inside --------------------------------------------------------------------------------------

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _check_copy(self) -> None:
        if self._copied and all(p.grad is None for group in self.groups for p in group.parameters):
            raise StateError(
                f"{self._name}: this is a copy, and none of its parameters has a gradient: they are copies "
                "too. Copy or pickle model and optimizer together, as one tuple; or make a new optimizer "
                "for the model and transfer the state with state_dict and load_state_dict"
            )

    def _cell_values(self, group: Group, saved: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return the cells of a group's saved state as tensors; raise if the state does not fit the group."""
        for what, wanted in (("options", group.options), ("cells", group.cells)):
            found = saved.get(what) if isinstance(saved, Mapping) else None
            names = sorted(map(str, found)) if isinstance(found, Mapping) else "none"
            if names != sorted(wanted):
                raise StateError(f"{self._name}: expected the {what} {sorted(wanted)}, got {names}")
        needed = set(self.initial_cells(group.options.replaced(saved["options"])))
        if needed != set(group.cells):
            raise StateError(
                f"{self._name}: expected options with the cells {sorted(group.cells)}, "
                f"got options that need {sorted(needed)}"
            )
        b, dtype = group.backend, group.backend.dtype(group.data)
        values = {}
        for name, value in saved["cells"].items():
            try:
                values[name] = b.from_host(value, dtype=dtype)
            except (TypeError, ValueError) as error:
                raise StateError(
                    f"{self._name}: expected {name} to be an array of numbers: {error}"
                ) from error
        for name, value in values.items():
            if b.shape(value) != b.shape(group.data):
                raise ShapeError(
                    f"{self._name}: expected {name} of shape {tuple(b.shape(group.data))}, "
                    f"got {tuple(b.shape(value))}"
                )
        return values


def _within(scalars: Scalars, prefix: str) -> Scalars:
    """Return the numbers under a prefix, without it."""
    return {name[len(prefix) :]: value for name, value in scalars.items() if name.startswith(prefix)}
