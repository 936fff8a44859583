"""A race: the same work of several contenders, checked, then timed in turns."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lamina.backends import Backend

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

REFERENCE = "torch.nn"
MIN_ROUND = 1e-2
"""Seconds of a round: a single interruption does not show in it."""
WARM_IN, WARM_CALLS = 1e-2, 24
"""Seconds and calls before a round's clock starts (at most twice these seconds). The other contenders have
filled the caches: torch.nn's first step on a tiny network takes three times as long as a later one, and
settles after twenty calls, ours after five. Timed cold, torch.nn would look 1.5 times slower than it is."""
MIN_ROUNDS, MAX_ROUNDS = 7, 400

Call = Callable[[], Any]
Context = Callable[[], AbstractContextManager[Any]]


@dataclass
class Contender:
    """A backend of ours, or torch.nn on a device (backend None)."""

    name: str
    device: str
    backend: Backend | None = None

    @property
    def reference(self) -> str:
        """The name of torch.nn on the same device."""
        return REFERENCE if self.device == "cpu" else f"{REFERENCE}:{self.device.partition(':')[0]}"


@dataclass
class Entry:
    """A contender's work, and the seconds of each round."""

    call: Call
    reset: Call
    context: Context
    synchronize: Call
    host: Callable[[Any], Any]
    iterations: int = 1
    seconds: list[float] = field(default_factory=list)

    @property
    def times(self) -> list[float]:
        """The seconds of a call, in each round."""
        return [value / self.iterations for value in self.seconds]

    def once(self) -> list[Any]:
        """Run the work once and return its results as host arrays."""
        with self.context():
            result = self.call()
        return [self.host(handle) for handle in (result if isinstance(result, tuple) else (result,))]

    def round(self, iterations: int) -> float:
        """Return the seconds of `iterations` warm calls after a reset."""
        self.reset()
        call, repeat = self.call, itertools.repeat(None, iterations)
        with self.context():
            self._warm_in()
            start = time.perf_counter()
            for _ in repeat:
                call()
            self.synchronize()
            return time.perf_counter() - start

    def _warm_in(self) -> None:
        start, calls, took = time.perf_counter(), 0, 0.0
        while took < WARM_IN or (calls < WARM_CALLS and took < 2 * WARM_IN):
            self.call()
            self.synchronize()
            calls, took = calls + 1, time.perf_counter() - start

    def calibrate(self) -> float:
        """Choose the iterations of a round, and return the seconds of one."""
        while (took := self.round(self.iterations)) < MIN_ROUND:
            # A little more than a short round suggests, but at most twentyfold.
            self.iterations = int(self.iterations * min(max(1.2 * MIN_ROUND / took, 2.0), 20.0))
        return took


def enter(
    contender: Contender,
    ours: Callable[[Backend], Any],
    theirs: Callable[[str], Any],
    *,
    session: bool,
    gradients: bool,
) -> Entry:
    backend = contender.backend
    work = theirs(contender.device) if backend is None else ours(backend)
    call, reset = work if isinstance(work, tuple) else (work, int)
    if backend is not None:
        context: Context = backend.session if session else contextlib.nullcontext
        return Entry(call, reset, context, backend.synchronize, backend.to_host)
    wait: Call = torch.cuda.synchronize if contender.device.startswith("cuda") else int
    context = contextlib.nullcontext if gradients else torch.inference_mode
    return Entry(call, reset, context, wait, lambda x: x.detach().cpu().numpy().copy())


def check(group: str, entries: dict[str, Entry], repeats: int, tolerance: float) -> None:
    """Fail unless all results equal those of torch.nn on the CPU, in each of `repeats` runs."""
    __tracebackhide__ = True
    for turn in range(repeats):
        expected = entries[REFERENCE].once()
        for name, entry in entries.items():
            results = entry.once() if name != REFERENCE else expected
            assert len(results) == len(expected), (
                f"{group}: {name}: expected {len(expected)} results, got {len(results)}"
            )
            for i, (mine, right) in enumerate(zip(results, expected, strict=True)):
                assert mine.shape == right.shape, (
                    f"{group}: {name}, result {i}: expected shape {right.shape}, got {mine.shape}"
                )
                error = _off(mine, right)
                assert error <= tolerance, (
                    f"{group}: {name} is off by {error:.2g} in result {i}, run {turn + 1}"
                )


def _off(mine: Any, right: Any) -> float:
    """Return the largest difference, relative to the largest value if that is above 1."""
    if not right.size:
        return 0.0
    mine, right = mine.astype(np.float64), right.astype(np.float64)
    return float(np.max(np.abs(mine - right))) / max(1.0, float(np.max(np.abs(right))))


def time_all(entries: dict[str, Entry], seconds: float) -> None:
    """Time all entries in turns, each for about `seconds`; the first of a round changes."""
    runners = list(entries.values())
    once = sum(entry.calibrate() for entry in runners)
    rounds = min(max(int(seconds * len(runners) / once), MIN_ROUNDS), MAX_ROUNDS)
    for i in range(rounds):
        start = i % len(runners)
        for entry in (*runners[start:], *runners[:start]):
            entry.seconds.append(entry.round(entry.iterations))


def peak_memory(entry: Entry, device: str) -> int | None:
    """Return the bytes that one call takes at its peak, as the GPU or Linux counts them; None elsewhere."""
    entry.reset()
    with entry.context():
        entry.call()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            entry.call()
            torch.cuda.synchronize()
            return int(torch.cuda.max_memory_allocated() - before)
        try:
            ctypes.CDLL(None).malloc_trim(0)  # else the call would reuse freed memory unseen
            Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        except (OSError, AttributeError):
            return None
        before = _resident("VmRSS")
        entry.call()
        return _resident("VmHWM") - before


def _resident(which: str) -> int:
    text = Path("/proc/self/status").read_text()
    return 1024 * int(text.partition(f"{which}:")[2].split()[0])


def in_turns(
    steps: Mapping[str, Callable[[], None]], rounds: int, warm_up: int = 5
) -> dict[str, list[float]]:
    """Return the seconds of each step in each round, without the time of other programs."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for i in range(rounds + warm_up):
        for name in sorted(steps, reverse=bool(i % 2)):
            start = time.thread_time()
            steps[name]()
            seconds[name].append(time.thread_time() - start)
    return {name: taken[warm_up:] for name, taken in seconds.items()}
