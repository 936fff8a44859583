"""`Pauses`: how many steps a run may take before the callbacks look at the training again."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .callbacks import Callback, Training
from .position import Position

_GROWTH = 8
"""How many times longer a run may be than the one before: the first ones show how long a step takes."""


class Pauses:
    """The callbacks of a fit that pause it."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self._callbacks = [c for c in callbacks if type(c).on_pause is not Callback.on_pause]
        seconds = [c.pause_seconds for c in self._callbacks if c.pause_seconds is not None]
        self._seconds = min(seconds, default=math.inf)
        self._rate, self._last = math.inf, 1

    def steps(self, position: Position, done: int) -> int:
        """Return how many steps come before the next pause. done: the steps of the fit that are done."""
        count = position.steps - position.step
        for callback in self._callbacks:
            if (every := callback.pause_steps) is not None:
                count = min(count, every - done % every)
        if self._seconds < math.inf:
            wanted = int(self._seconds / self._rate) if self._rate > 0 else count
            count = min(count, max(wanted, 1), _GROWTH * self._last)
        return count

    def ran(self, steps: int, seconds: float) -> None:
        """Learn how long steps took."""
        if steps * _GROWTH >= self._last:  # of a few steps, the call itself may be the longest part
            self._rate = seconds / steps
        self._last = max(steps, self._last // _GROWTH)

    def call(self, trainer: Training) -> None:
        """Pause: run every `on_pause`."""
        for callback in self._callbacks:
            callback.on_pause(trainer)
