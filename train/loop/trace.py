"""Where a NaN or infinity first appeared: an epoch is repeated op by op, and each layer's values are read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...backends import Backend, Tensor
from ...backends.host import Host, is_floating
from ...backends.loop import Plan, batches
from ...layers.call import InstanceMethod, Setting, run_all
from ...layers.faults import layer_name
from .guard import changing_cells
from .position import Position
from .samples import Samples

if TYPE_CHECKING:
    from .trainer import Trainer


class Moment:
    """The values that a training changes, at a step of an epoch: they can be given back.

    Parameters
    ----------
    trainer
        The trainer.
    step
        Steps of the epoch that are done.

    """

    def __init__(self, trainer: Trainer, step: int) -> None:
        self.step = step
        self._steps = trainer.optimizer.steps
        self._cells = changing_cells(trainer.model, trainer.optimizer)
        self._values = [trainer.backend.copy(cell) for cell in self._cells]

    def restore(self, trainer: Trainer) -> None:
        """Give the values back."""
        pairs = zip(self._cells, self._values, strict=True)
        actions: list[Callable[[], object]] = [
            partial(trainer.backend.assign, cell, trainer.backend.copy(value)) for cell, value in pairs
        ]
        run_all([*actions, partial(setattr, trainer.optimizer, "steps", self._steps)])

    def broke(self, trainer: Trainer) -> bool:
        """Return whether a parameter, moment or statistic is NaN or infinite now."""
        return any(_fault(trainer.backend, cell) for cell in self._cells)


def finite_results(trainer: Trainer, results: Sequence[tuple[Tensor, ...]]) -> bool:
    """Return whether the losses of all steps are finite. results: those of runs."""
    return not any(_fault(trainer.backend, part[0]) for part in results)


def origin(trainer: Trainer, start: Moment, samples: Samples, rows: Host | None, position: Position) -> str:
    """Return where the first NaN or infinity of an epoch appeared, as text; the training's state stays.

    Parameters
    ----------
    trainer
        The trainer, after the epoch's last step.
    start
        The state at the epoch's start.
    samples, rows
        The training set, and the order of its rows.
    position
        Where the fit stands.

    """
    end = Moment(trainer, position.step)
    epoch = trainer.epoch + 1
    try:
        start.restore(trainer)
        if start.step and start.broke(trainer):
            return f"a NaN or infinity appeared in epoch {epoch}, before the training was resumed"
        found = _repeated(trainer, start.step, samples, rows, position)
    finally:
        end.restore(trainer)
        if trainer.guard is not None:
            trainer.guard.wake()
    if found:
        return f"{found} of epoch {epoch}"
    return (
        f"a NaN or infinity appeared in epoch {epoch}; repeated op by op from its start, the epoch stayed "
        "finite, so rounding or another thread decides"
    )


def _repeated(trainer: Trainer, done: int, samples: Samples, rows: Host | None, position: Position) -> str:
    """Take the steps of an epoch, from the one after `done`, op by op; return the first fault as text."""
    b, optimizer, size = trainer.backend, trainer.optimizer, position.batch_size
    first, last = done * size, min(position.steps * size, samples.size)
    data = samples.rows(first, last) if rows is None else samples.parts
    order = None if rows is None else rows[first:last]
    with b.session():
        for step, batch in enumerate(batches(b, data, order, Plan(last - first, size)), done + 1):
            numbers = optimizer.scalars(optimizer.steps + 1)
            with _watched(trainer) as watch:
                watch.look(batch[0], "the inputs")
                watch.look(batch[1], "the targets")
                numerator, *_ = trainer.train_step(batch, numbers)
            optimizer.steps += 1
            for group in optimizer.groups:
                watch.confirm(group.grad)
            watch.confirm(numerator)
            watch.look_at_cells(trainer)
            if watch.confirmed:
                return f"{watch.found}, in step {step}"
    return ""


class _Watch:
    """The first value of a step that is not finite."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.found = ""
        self.confirmed = False
        """Whether it reached a loss, a gradient or a cell: an infinity on the way may do no harm."""

    def look(self, value: Tensor | None, place: str) -> None:
        """Note a value that is not finite, with its place, if it is the first one."""
        if value is not None and not self.found and (fault := _fault(self._backend, value)):
            self.found = f"{fault} first appeared in {place}"

    def confirm(self, value: Tensor) -> None:
        """Confirm what was noted if a value is not finite."""
        if fault := _fault(self._backend, value):
            self.found = self.found or f"{fault} first appeared in the gradient"
            self.confirmed = True

    def look_at_cells(self, trainer: Trainer) -> None:
        """Look at the parameters, the moments and the statistics after the update."""
        named = [*trainer.model.named_parameters(), *trainer.model.named_buffers()]
        places = [(cell.data, f"{name!r} after the update") for name, cell in named]
        for group in trainer.optimizer.groups:
            places += [
                (cell, f"the optimizer's {name} after the update") for name, cell in group.cells.items()
            ]
        for value, place in places:
            self.look(value, place)
            self.confirm(value)


_watch: ContextVar[_Watch | None] = ContextVar("lamina_watch", default=None)


@contextlib.contextmanager
def _watched(trainer: Trainer) -> Iterator[_Watch]:
    """Look at what each layer, the loss and the penalty return in this context."""
    watch = _Watch(trainer.backend)
    methods: list[tuple[Any, str, str]] = []
    for path, module in trainer.model.named_modules():
        name = f"layer {path!r} ({layer_name(module)})" if path else layer_name(module)
        methods.append((module, "forward", f"the forward pass of {name}"))
        methods += [(module, method, f"the backward pass of {name}") for method in ("backward", "_backward")]
    methods.append((trainer.loss, "fraction", f"the loss {layer_name(trainer.loss)}"))
    methods.append((trainer.loss, "backward", f"the gradient of the loss {layer_name(trainer.loss)}"))
    before = [(vars(owner), method, vars(owner).get(method)) for owner, method, _ in methods]
    try:
        for owner, method, place in methods:
            vars(owner)[method] = _Watched(owner, method, place)
        with Setting(_watch, watch):
            yield watch
    finally:
        for attributes, method, old in before:
            if old is None:
                attributes.pop(method, None)
            else:
                attributes[method] = old


class _Watched(InstanceMethod):
    """A method of a layer or a loss; in a context with a watch, its results are looked at."""

    def __init__(self, owner: Any, method: str, place: str) -> None:
        self.owner, self.place = owner, place
        self.method = getattr(owner, method)

    def __call__(self, *tensors: Any) -> Any:
        result = self.method(*tensors)
        if (watch := _watch.get()) is not None:
            for value in result if isinstance(result, tuple) else (result,):
                watch.look(value, self.place)
            if self.place.startswith("the backward") and hasattr(self.owner, "named_parameters"):
                for name, parameter in self.owner.named_parameters():
                    watch.look(parameter.grad, f"{self.place}, in the gradient of {name!r}")
        return result


def _fault(b: Backend, value: Tensor) -> str:
    """Return "NaN" or "infinity" if a tensor holds one, else ""."""
    if not is_floating(b.dtype(value)):
        return ""
    array = np.asarray(b.to_host(value))
    if np.isfinite(array).all():
        return ""
    return "NaN" if np.isnan(array).any() else "infinity"
