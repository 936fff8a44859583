"""The race of `test_compiled.py` and `test_compiled_images.py`: all contenders in one run, on one core."""

from __future__ import annotations

import importlib
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from conftest import settings
from contenders import JIT, NUMPY, SCAN, Contender, Ours, Work
from peak import Peak

from lamina.backends.loop import compilations_of

CHECKED = 10
"""The steps whose results must agree."""
BARS = {"float32 SGD": 1e-3, "float32 Adam": 1e-2, "float64 SGD": 1e-8, "float64 Adam": 1e-6}
"""How far apart the ends may be, relative to the way; Adam enlarges the rounding of small gradients."""
RATE = 1e-7
"""The learning rate of timed steps: no gradient may vanish into denormal numbers, which are slow."""
STEPS = 1000
"""Steps in a run of compiled code and of JAX scan, unless they take longer than LONGEST."""
USUAL, LONGEST = 3e-2, 0.3
"""Seconds of a call of the other contenders, and the most of any."""
ROUNDS, SAMPLES = 9, 2
"""Turns of a contender, and its timed calls in each, after a warm one."""
COMPILES = 3
FEW = 1e-2
"""The share of a tensor's numbers that may be denormal: weights that get a gradient once in a while."""


class Race:
    """Contenders for some work, which agree: their times in turns, and what a report says of the run.

    Parameters
    ----------
    work
        What is timed.
    names
        The contenders.
    makers
        Makes each; those that cannot run are left out.

    """

    def __init__(
        self, work: Work, names: Sequence[str], makers: Mapping[str, Callable[[Any], Contender]]
    ) -> None:
        self.work, self.makers = work, makers
        self.entrants, self.missing = _entrants(work, names, makers)

    def run(self) -> dict[str, Any]:
        """Time all; return the facts for `extra_info`."""
        self.times, peak = _timed(self.work, self.entrants)
        _check_speed(self.entrants[JIT])
        found = {
            name: {"median": statistics.median(taken), "min": min(taken)}
            for name, taken in self.times.items()
        }
        facts: dict[str, Any] = {
            **settings(),
            "dtype": self.work.dtype,
            "backend": JIT,
            "contenders": found,
            "missing": self.missing,
            "peak": {"median": statistics.median(peak), "max": max(peak)},
            "load": os.getloadavg()[0],
            "versions": _versions(),
        }
        if "torch.nn" in found:  # what table.py reads
            reference = found["torch.nn"]
            facts |= {"reference": "torch.nn", "reference_median": reference["median"]}
            facts["reference_min"] = reference["min"]
        return facts


def wanted(names: Sequence[str], chosen: str | None) -> list[str]:
    """Return the contenders that --contenders chooses; ours and our eager steps always run."""
    return [n for n in names if n in (JIT, NUMPY) or chosen is None or n in chosen.split(",")]


@contextmanager
def one_core() -> Iterator[None]:
    """Keep all threads of this process on one core."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    _pin({max(before)})
    yield
    _pin(before)


def _pin(cores: set[int]) -> None:
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def _entrants(
    work: Work, names: Sequence[str], makers: Mapping[str, Callable[[Any], Contender]]
) -> tuple[dict[str, Contender], dict[str, str]]:
    """Return the contenders that agree with our eager steps, and why others do not take part."""
    found: dict[str, Contender] = {}
    missing: dict[str, str] = {}
    order = work.order(CHECKED)
    for name in names:
        try:
            contender = makers[name](work)
            contender.ready(order, work.check_rate)()
        except ImportError as error:
            missing[name] = str(error)
        except Exception as error:
            if name != "torch.compile":
                raise
            missing[name] = str(error).partition("\n")[0]  # of many kinds: no compiler, no headers
        else:
            found[name] = contender
    start = [value for key, value in work.weights.items() if "running" not in key and "num_" not in key]
    expected = [p - old for p, old in zip(found[NUMPY].parameters(), start, strict=True)]
    size = _norm(expected)
    bar = BARS[f"{work.dtype} {work.optimizer}"]
    for name, contender in found.items():
        moved = [p - old for p, old in zip(contender.parameters(), start, strict=True)]
        error = _norm([a - b for a, b in zip(moved, expected, strict=True)]) / size
        assert error <= bar, f"{work}: {name} moves the parameters elsewhere: off by {error:.2g} of the way"
    return found, missing


def _norm(arrays: list[Any]) -> float:
    return float(np.sqrt(sum(np.square(x.astype(np.float64)).sum() for x in arrays)))


def _check_speed(jit: Any) -> None:
    """Fail if many numbers of the timed steps had become denormal: they would be slow without need."""
    moments = [cell for group in jit.optimizer.groups for cell in group.host_cells().values()]
    for array in (*jit.gradients(), *moments):
        size = np.abs(array[array != 0])
        denormal = np.count_nonzero(size < np.finfo(array.dtype).tiny)
        assert denormal <= array.size * FEW, f"{denormal} numbers of {array.size} are denormal"


def _timed(work: Work, entrants: dict[str, Contender]) -> tuple[dict[str, list[float]], list[float]]:
    """Return the seconds of a step in each call, and the peak in each round."""
    calls: dict[str, tuple[Callable[[], None], int]] = {}
    for name, contender in entrants.items():
        calls[name] = _call(work, contender, long=name in (JIT, SCAN))
    times: dict[str, list[float]] = {name: [] for name in calls}
    peak, rates = Peak(work.dtype), []
    names = list(calls)
    for i in range(ROUNDS):
        rates.append(peak.rate())
        for name in (*names[i % len(names) :], *names[: i % len(names)]):
            call, steps = calls[name]
            call()
            for _ in range(SAMPLES):
                start = time.process_time()
                call()
                times[name].append((time.process_time() - start) / steps)
    return times, rates


def _call(work: Work, contender: Contender, *, long: bool) -> tuple[Callable[[], None], int]:
    """Return a call to time, and its steps."""
    few = contender.ready(work.order(CHECKED), RATE)
    few()
    start = time.process_time()
    few()
    step = (time.process_time() - start) / CHECKED
    steps = max(int(min(STEPS if long else USUAL / step, LONGEST / step, STEPS)), CHECKED)
    return contender.ready(work.order(steps), RATE), steps


def compile_times(work: Work, folder: Path, monkeypatch: Any) -> dict[str, float]:
    """Return the median seconds of a trace and a compilation: by LLVM, and with the code from the cache."""
    result = {}
    for name, cache in (("cold", "off"), ("cached", str(folder))):
        monkeypatch.setenv("LAMINA_CACHE", cache)
        taken = []
        for _ in range(COMPILES):
            ours = Ours(work, JIT)
            ours.ready(work.order(1), RATE)()
            taken.append(compilations_of(ours.run)[-1].seconds)
        result[name] = statistics.median(taken)
    return result


def _versions() -> dict[str, str]:
    found = {}
    for name in ("numpy", "torch", "jax", "llvmlite"):
        try:
            found[name] = importlib.import_module(name).__version__
        except ImportError:
            continue
    return found
