"""What a step's code depends on, beside its arguments and the values of cells: options, modes, the cells."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from typing_extensions import override

from ...backends import Tensor
from ...backends.protocol import Step
from ...layers import Module
from ...layers.call import CHECKED_TARGETS, INFERENCE, REHEARSAL, TRAINING, WITHOUT_INPUT_GRADIENT
from ...layers.cell import Cell
from ..optimizers import Optimizer

_MODES: tuple[Any, ...] = (TRAINING, INFERENCE, REHEARSAL, CHECKED_TARGETS, WITHOUT_INPUT_GRADIENT)


class Identities:
    """Objects; equal to others if each is the same object. They stay alive, so that no other takes an id."""

    __slots__ = ("_hash", "_places", "objects")

    def __init__(self, objects: Sequence[object]) -> None:
        self.objects = objects
        self._places = tuple(map(id, objects))
        self._hash = hash(self._places)

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identities) and self._places == other._places

    @override
    def __hash__(self) -> int:
        return self._hash


_CONTAINERS = frozenset({dict, list, tuple, set})


def _add(objects: list[object], more: Collection[object]) -> None:
    """Add objects to a list, and what is in those that are dicts, lists, tuples and sets."""
    objects += more
    for one in [each for each in more if type(each) in _CONTAINERS]:
        found: Any = one
        _add(objects, found)
        if type(found) is dict:
            _add(objects, found.values())


class Keyed:
    """A step with a `key`: the attributes of modules and owners, the options, and the cells.

    What is in an attribute that is a dict, list, tuple or set counts too, as deep as they go.

    The learning rate is no part: a step gets it as a number.

    Parameters
    ----------
    step
        The step.
    model
        Its structure is looked at when a key is asked for the first time, and again after `forget`.
    owners
        Objects whose attributes the step reads, such as a loss.
    optimizer
        The optimizer whose `update` the step calls.
    more
        Returns other objects that the step reads.

    """

    def __init__(
        self,
        step: Step,
        model: Module,
        *owners: object,
        optimizer: Optimizer | None = None,
        more: Callable[[], Sequence[object]] = tuple,
    ) -> None:
        self.step, self.model, self.owners = step, model, owners
        self.optimizer, self.more = optimizer, more
        self._found: tuple[list[Module], list[dict[str, Any]], list[Cell]] | None = None

    def __call__(self, batch: tuple[Tensor, ...], numbers: Mapping[str, float]) -> tuple[Tensor, ...]:
        """Run the step."""
        return self.step(batch, numbers)

    @property
    def __name__(self) -> str:
        """The step's, which a profile shows."""
        return self.step.__name__

    def forget(self) -> None:
        """Look at the model's structure again when a key is asked for."""
        self._found = None

    def key(self) -> Identities:
        """Return what the step depends on now."""
        found = self._found  # another thread may forget it
        if found is None:
            modules = [module for _, module in self.model.named_modules()]
            cells = [cell for _, cell in (*self.model.named_parameters(), *self.model.named_buffers())]
            found = self._found = modules, [vars(one) for one in (*modules, *self.owners)], cells
        modules, dictionaries, cells = found
        objects = [*(mode.get() for mode in _MODES), *self.more(), *modules]
        for dictionary in dictionaries:
            _add(objects, dictionary.values())
        objects += [cell.data for cell in cells]
        for group in () if self.optimizer is None else self.optimizer.groups:
            objects += [group.data, group.grad, *group.cells.values()]
            objects += [value for name, value in group.options.items() if name != "lr"]
        return Identities(objects)
