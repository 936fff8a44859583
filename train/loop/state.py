"""The state of a training, as a checkpoint holds it: taken from a trainer, and given back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ... import __version__
from ...backends import DataError, LaminaError, OptionError
from ...backends.host import Host
from ...backends.options import flag, integer, shown
from ...layers import Module
from ...layers.cell import Cell
from ..files import Content, Seal
from ..files.tree import put_together, take_apart
from .callbacks import BestWeights, Callback
from .history import History
from .position import PLAN, Position

if TYPE_CHECKING:
    from .trainer import Trainer

SEAL = Seal("checkpoint", "checkpoint 1")
Action = Callable[[], object]


class CheckpointWarning(UserWarning):
    """A checkpoint could not be written, or a training that goes on may differ in its bits."""


@dataclass
class Pending:
    """The fit that a resumed trainer goes on with."""

    position: Position
    callbacks: list[tuple[Callback, Any]]
    """The callbacks with their states."""


class Restoring(NamedTuple):
    """What makes a trainer the saved one."""

    actions: list[Action]
    pending: Pending | None
    version: str
    """The Lamina that wrote it."""


# -- taken -------------------------------------------------------------------------------------------


def capture(trainer: Trainer, description: Any = None) -> Content:
    """Return the state of a trainer as what a checkpoint's file holds: copies, which a thread can write.

    description: what else the file says, such as the recipe: whatever JSON can hold.

    Raises
    ------
    OptionError
        If the description, a callback's state or an option holds what a file cannot.

    """
    check_description("Trainer.save", description)
    arrays: dict[str, Host] = {}
    names, values, present = trainer.history.to_arrays()
    fresh = {
        "seed": trainer.seed,
        "optimizer": trainer.optimizer.state_dict(),
        "history": {"names": list(names), "values": values, "present": present},
        "stopped": trainer.stopped,
        "exploded": trainer.exploded,
        "position": _position(trainer),
    }
    shared = {
        "extra": dict(_extra_states(trainer.model)),
        "callbacks": [[type(c).__qualname__, c.state_dict()] for c in _stateful(trainer)],
    }
    state = take_apart(fresh, "state", arrays, copy=False) | take_apart(shared, "state", arrays)
    b = trainer.backend
    written = {
        "lamina": __version__,
        "backend": b.spec,
        "dtype": b.default_dtype,
        "parts": _parts(trainer),
        "modules": _modules(trainer.model),
        "state": state,
        "description": description,
    }
    for name, cell in _cells(trainer.model):
        arrays[f"model.{name}"] = b.to_host(cell.data)
    return Content(arrays, written)


def check_description(owner: str, description: Any) -> None:
    """Raise OptionError unless JSON can hold a description."""
    try:
        json.dumps(description)
    except (TypeError, ValueError, RecursionError) as error:
        raise OptionError(
            f"{owner}: expected a description that JSON can hold, got {shown(description)}"
        ) from error


def _position(trainer: Trainer) -> dict[str, Any] | None:
    """Return where the running fit stands; None between fits."""
    position = trainer.saved_position()
    if position is None:
        return None
    b = trainer.backend
    results = [[b.to_host(value) for value in run] for run in position.results]
    return {**{name: getattr(position, name) for name in PLAN}, "results": results}


def _parts(trainer: Trainer) -> dict[str, str]:
    """Return the kinds of the parts that a checkpoint must meet again."""
    parts = {"loss": trainer.loss, "optimizer": trainer.optimizer, "schedule": trainer.schedule}
    return {name: "None" if part is None else type(part).__qualname__ for name, part in parts.items()}


def _cells(model: Module) -> Iterator[tuple[str, Cell]]:
    """Yield (path, cell) for each cell, those that no `state_dict` holds too."""
    yield from model.named_parameters()
    yield from model.named_buffers()


def _modules(model: Module) -> list[list[str]]:
    """Return (path, text) of each module: its class, with its options if it contains no others."""
    found = []
    for path, module in model.named_modules():
        whole = next(module.named_children(), None) is None
        text = repr(module) if whole else type(module).__name__
        found.append([path, type(module).__name__ if " at 0x" in text else text])
    return found


def _stateful(trainer: Trainer) -> list[Callback]:
    return [c for c in trainer.callbacks if type(c).state_dict is not Callback.state_dict]


def _layer(path: str, text: str) -> str:
    return f"layer {shown(path)}: {text[:200]}" if path else text[:200]


def _extra_states(model: Module) -> Iterator[tuple[str, Any]]:
    for path, module in model.named_modules():
        if (state := module.get_extra_state()) is not None:
            yield path, state


# -- given back --------------------------------------------------------------------------------------


def restoring(trainer: Trainer, path: Path, arrays: dict[str, Host], description: Any) -> Restoring:
    """Return what restores a trainer; nothing changes before that runs.

    Raises
    ------
    DataError
        If the state does not fit the trainer; it names the file, and the layer or part that differs.

    """
    try:
        return _restoring(trainer, dict(arrays), description)
    except LaminaError as error:
        raise DataError(f"'{path}' cannot be resumed: {error}") from error
    except _CRAFTED as error:
        raise DataError(
            f"'{path}' cannot be resumed: expected the description of a checkpoint, got another."
        ) from error


_CRAFTED = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError)
"""What a description that Lamina did not write may raise."""


def _restoring(trainer: Trainer, arrays: dict[str, Host], written: Any) -> Restoring:
    _check_network(trainer, written)
    actions = list(_restoring_cells(trainer.model, arrays))
    state = put_together(written["state"], arrays)
    if arrays:
        raise DataError(f"expected no other arrays, got {shown(next(iter(arrays)))}")
    seed = integer("Trainer", "seed", state["seed"], least=0, most=2**64 - 1)
    history = History.from_arrays(**state["history"])
    stopped, exploded = state["stopped"], flag("checkpoint", "exploded", state["exploded"])
    if not isinstance(stopped, str):
        raise DataError(f"expected stopped to be a text, got {shown(stopped)}")
    callbacks = _matched(trainer, state["callbacks"])
    position = _position_of(trainer, state["position"], len(history))
    actions += trainer.optimizer.restoring(state["optimizer"])
    actions += _restoring_extras(trainer.model, state["extra"])
    actions += [partial(callback.load_state_dict, one) for callback, one in callbacks]
    own = {"seed": seed, "history": history, "stopped": stopped, "exploded": exploded}
    actions.append(partial(vars(trainer).update, own))
    version = written["lamina"]
    if not isinstance(version, str):
        raise DataError(f"expected a version of Lamina, got {shown(version)}")
    pending = None if position is None else Pending(position, callbacks)
    return Restoring(actions, pending, version)


def _check_network(trainer: Trainer, written: Any) -> None:
    """Raise DataError unless a checkpoint is of this network, loss, optimizer and schedule."""
    theirs = [[str(path), str(text)] for path, text in written["modules"]]
    for pair in zip_longest(_modules(trainer.model), theirs):
        if pair[0] != pair[1]:
            wanted, got = ("no more layers" if one is None else _layer(*one) for one in pair)
            raise DataError(f"the network: expected {wanted}, got {got} in the file")
    for part, kind in _parts(trainer).items():
        if written["parts"][part] != kind:
            got = shown(written["parts"][part])
            raise DataError(f"expected the {part} to be {kind}, got {got} in the file")


def _restoring_cells(model: Module, arrays: dict[str, Host]) -> Iterator[Action]:
    for name, cell in _cells(model):
        value = arrays.pop(f"model.{name}", None)
        wanted = (tuple(cell.shape), cell.backend.dtype(cell.data))
        if value is None or (value.shape, value.dtype.name) != wanted:
            got = "none" if value is None else (value.shape, value.dtype.name)
            raise DataError(f"the network: expected {name!r} to be {wanted}, got {got} in the file")
        yield partial(cell.set, cell.backend.from_host(value, dtype=wanted[1]))


def _restoring_extras(model: Module, states: Any) -> Iterator[Action]:
    own = {path: module for path, module in model.named_modules() if module.get_extra_state() is not None}
    if not isinstance(states, dict) or states.keys() != own.keys():
        raise DataError(f"expected states of the layers {sorted(own)}, got others")
    for path, module in own.items():
        _try(module.set_extra_state, states[path], module.get_extra_state())
        yield partial(module.set_extra_state, states[path])


def _matched(trainer: Trainer, states: Any) -> list[tuple[Callback, Any]]:
    """Return the callbacks with their states; DataError unless those with a state are the saved ones."""
    mine = _stateful(trainer)
    names = [type(c).__qualname__ for c in mine]
    theirs = [name for name, _ in states]
    if names != theirs:
        got = ", ".join(map(str, theirs)) or "none"
        raise DataError(
            f"expected the states of the callbacks {', '.join(names) or 'none'}, got {shown(got)}"
        )
    pairs = [(callback, state) for callback, (_, state) in zip(mine, states, strict=True)]
    for callback, state in pairs:
        _try(callback.load_state_dict, state, callback.state_dict())
        if isinstance(callback, BestWeights) and state["weights"] is not None:
            _check_weights(trainer.model, state["weights"])
    return pairs


def _try(load: Callable[[Any], object], state: Any, before: Any) -> None:
    """Raise if an object does not take a state; it keeps the one from before."""
    try:
        load(state)
    finally:
        load(before)


def _check_weights(model: Module, weights: Mapping[str, Any]) -> None:
    own = {name: value.shape for name, value in model.state_dict().items()}
    if own != {name: getattr(value, "shape", None) for name, value in weights.items()}:
        raise DataError("BestWeights: expected weights of the network, got others")


def _position_of(trainer: Trainer, saved: Any, finished: int) -> Position | None:
    """Return where the saved fit stood. finished: the rows of its history."""
    if saved is None:
        return None
    if set(saved) != {*PLAN, "results"}:
        raise DataError(f"expected the position of a fit, got {shown(sorted(saved))}")
    for name, kind in PLAN.items():
        if type(saved[name]) is not kind or (kind is int and not 0 <= saved[name] < 2**63):
            raise DataError(f"expected {name} to be a number that fits, got {shown(saved[name])}")
    position = Position(**{name: saved[name] for name in PLAN})
    size, whole = position.batch_size, position.samples // max(position.batch_size, 1)
    steps = whole if position.drop_last else -(-position.samples // max(size, 1))
    fits = size > 0 and position.steps == steps > 0 and position.step <= steps
    if not fits or not position.first <= finished <= position.first + position.epochs:
        raise DataError(f"expected a position within the fit, got {shown(position)}")
    position.results = list(_results(trainer, position, saved["results"]))
    return position


def _results(trainer: Trainer, position: Position, runs: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the results of the steps of the running epoch."""
    steps = rows = 0
    for values in runs:
        numerators, denominators, *outputs = values
        if numerators.ndim != 1 or numerators.shape != denominators.shape or len(outputs) > 1:
            raise DataError("expected the results of steps, got others")
        steps += len(numerators)
        rows += sum(map(len, outputs))
        yield tuple(trainer.backend.from_host(value, dtype=value.dtype.name) for value in values)
    taken = min(position.step * position.batch_size, position.samples)
    if steps != position.step or rows not in (0, taken):
        raise DataError(f"expected the results of {position.step} steps, got those of {steps}")
