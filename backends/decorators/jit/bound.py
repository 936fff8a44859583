"""`Bound`: native code with its arrays. They are checked once; then a call costs what the code costs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...host import Host
from ...number import Number
from .compiler import Native, address_of
from .table import TEAM
from .team import Team

LONGEST_CALL = 0.1
"""Seconds that one native call should last at most: Python handles Ctrl-C only between calls."""


def host_view(tensor: Any) -> Host:
    """Return a tensor of a backend on the CPU as an array that shares its memory."""
    if type(tensor) is np.ndarray:
        return tensor
    return np.asarray(tensor.detach() if getattr(tensor, "requires_grad", False) else tensor)


def _fill(values: Host, expressions: Sequence[Number], numbers: Mapping[str, Host]) -> None:
    """Compute each expression for all steps: one row of values (S, E) for each step."""
    found: Any = numbers
    with np.errstate(all="raise", under="ignore"):
        for i, expression in enumerate(expressions):
            values[:, i] = expression.value(found)


class Bound:
    """Native code, and the memory of one run.

    Parameters
    ----------
    native
        The code.
    data
        An array for each input of the program, with the rows of all batches.
    order
        The order of the rows; None for the rows as they stand.
    numbers
        The values of each named number, one for each step.
    outputs
        An array for each output, with room for all steps.
    cells
        The flat buffer of each of the program's buffers, by its name.
    steps
        How many steps there are.
    threads
        How many threads may run the parts of large kernels.

    Raises
    ------
    FloatingPointError
        If the arithmetic on a number of a step may be an error in Python, such as a division by zero.

    """

    def __init__(
        self,
        native: Native,
        data: Sequence[Host],
        order: Host | None,
        numbers: Mapping[str, Host],
        outputs: Sequence[Host],
        cells: Mapping[str, Host],
        steps: int,
        threads: int = 1,
    ) -> None:
        table = native.table
        self.steps, self._state = steps, np.zeros(2, np.int64)
        data = [np.ascontiguousarray(x) for x in data]
        found_numbers = {name: values[:steps] for name, values in numbers.items()}
        values = np.empty((steps, len(table.numbers)))
        if table.numbers:
            _fill(values, table.numbers, found_numbers)
        # Padding must not hold denormal numbers: each op on one takes a hundred cycles. Zeros stay zeros.
        workspace = np.zeros(table.workspace + 64, np.uint8)
        start = -address_of(workspace) % 64
        self.workspace = workspace[start:]
        order = None if order is None else np.ascontiguousarray(order)
        found = [
            self.workspace,
            self._state,
            self._state if order is None else order,
            values,
            self._state,  # or the team
            *data,
            *outputs,
            *[cells[name] for name in table.buffers],
        ]
        self.addresses = np.array([*map(address_of, found), *native.constants], np.uint64)
        self._team: Team | None = None
        if native.work is not None:
            self._team = Team(native.work, threads - 1, table.own)
            self.addresses[TEAM] = self._team.address
        self._alive = found
        self._native = native
        self._pointer = address_of(self.addresses)

    @property
    def done(self) -> int:
        """How many steps were run."""
        return int(self._state[1])

    @property
    def failed(self) -> bool:
        """Whether an index was out of range. Then no number that was computed counts."""
        return bool(self._state[0])

    def run(self) -> bool:
        """Run all steps; return whether every index was in range. No call follows one that found another."""
        if self._team is None:
            self._run()
        else:
            with self._team:
                self._run()
        return not self.failed

    def _run(self) -> None:
        native = self._native
        while self.done < self.steps and not self.failed:
            count = max(int(LONGEST_CALL / native.seconds), 1) if native.seconds else 1
            count = min(count, self.steps - self.done)
            start = time.perf_counter()
            native.function(self._pointer, self.done, count)
            native.seconds = (time.perf_counter() - start) / count
