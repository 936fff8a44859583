"""`Guard`: steps whose loss or gradients are not finite leave no trace, compiled and eager."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...backends import Backend, Tensor
from ...backends.host import Host
from ...layers import Module
from ...layers.buffer import Buffer
from ..optimizers import Optimizer

SKIPPED = "skipped_steps"
"""The column of the history that counts the steps that were skipped."""
_ALL = 2**62


def changing_cells(model: Module, optimizer: Optimizer) -> list[Tensor]:
    """Return the cells that a training step changes: parameters, moments and buffers, as few as there are."""
    flat = [cell for group in optimizer.groups for cell in (group.data, *group.cells.values())]
    return flat + [buffer.data for _, buffer in model.named_buffers()]


class Kept(NamedTuple):
    """The values of cells before a step."""

    cells: Sequence[Tensor]
    values: Sequence[Tensor]


class Guard:
    """Lets a step change cells only if its loss and all gradients are finite.

    A step that is not taken returns NaN as its loss, and the steps after it in the same run change nothing
    either: the optimizer does not count it, so they would have the numbers of other steps. The fit runs them
    again. So the bits are those of a training without that batch.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._idle = Buffer((), 0.0, backend, persistent=False)
        self._most = _ALL
        self.cells: Sequence[Tensor] = ()
        """What a step may change; set before each fit."""

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy or a pickle holds: the cells are those of another model."""
        return {**vars(self), "cells": ()}

    # -- in a step: protocol ops only ----------------------------------------------------------------

    def keep(self) -> Kept:
        """Return the cells with copies of their values, before a step."""
        return Kept(self.cells, [self.backend.copy(cell) for cell in self.cells])

    def fault(self, numerator: Tensor, optimizer: Optimizer) -> Tensor:
        """Return 0 if a loss and all gradients are finite and steps are taken, else NaN; shape ()."""
        b = self.backend
        optimizer.finish_gradients()
        total = b.add(self._idle.data, b.multiply(numerator, 0.0))
        for group in optimizer.groups:
            total = b.add(total, b.sum(b.multiply(group.grad, 0.0)))
        return total

    def settle(self, kept: Kept, fault: Tensor, fraction: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Undo a step with a fault, and idle from now on; return the fraction that is its loss."""
        b = self.backend
        taken = b.equal(fault, 0.0)
        for cell, value in zip(*kept, strict=True):
            b.assign(cell, b.where(taken, cell, value))
        self._idle.set(fault)
        numerator, *rest = fraction
        return b.add(numerator, fault), *rest

    # -- between the runs of a fit -------------------------------------------------------------------

    def start(self, model: Module, optimizer: Optimizer) -> None:
        """Get ready for a fit."""
        self.cells = changing_cells(model, optimizer)
        self._most = _ALL
        self.wake()

    def limited(self, steps: int) -> int:
        """Return how many steps to run at once: few after a skip, as a second one costs those behind it."""
        return min(steps, self._most)

    def done(
        self, results: tuple[Tensor, ...], optimizer: Optimizer, steps: int, batch_size: int
    ) -> tuple[tuple[Tensor, ...], int]:
        """Return the results of a run up to its first skip, and how many steps these are."""
        skips = skipped(self.backend, results)
        if not skips.any():
            self._most = min(2 * self._most, _ALL)
            return results, steps
        taken = int(skips.argmax())
        optimizer.steps -= steps - taken
        self._most = 1
        self.wake()
        numerators, denominators, *outputs = results
        cut = (taken + 1, taken + 1, *((taken + 1) * batch_size for _ in outputs))
        parts = zip((numerators, denominators, *outputs), cut, strict=True)
        return tuple(self._first(values, count) for values, count in parts), taken + 1

    def _first(self, values: Tensor, count: int) -> Tensor:
        shape = self.backend.shape(values)
        last = (min(count, shape[0]), *shape[1:])
        return self.backend.copy(self.backend.slice(values, (0,) * len(shape), last))

    def wake(self) -> None:
        """Take steps again."""
        self._idle.set(self.backend.full((), 0.0))


def skipped(b: Backend, results: tuple[Tensor, ...]) -> Host:
    """Return which steps of a run's results were not taken, bool (S,)."""
    lost: Host = np.isnan(b.to_host(results[0]))
    return lost
