"""Native steps in two threads: two networks that train side by side, and one whose kernels are shared.

`pytest bench/test_threads.py -s` says how many times as fast two threads are. It needs two free cores.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from conftest import settings
from contenders import JIT, Ours, Work
from image_contenders import WORKS

from lamina.backends.host import limited_threads

pytest.importorskip("llvmlite", reason="compiled steps need llvmlite")

SMALL = Work((64, 128, 64, 10), 64, "cross-entropy", "Adam", "float32")
LARGE = (*WORKS, Work((784, 1024, 1024, 10), 256, "cross-entropy", "Adam", "float32"))
STEPS, RATE, TURNS = 5000, 1e-7, 5
LONG = 0.5
"""Seconds of a call of a large network."""


def test_two_trainings(benchmark: Any) -> None:
    trainings = [Ours(SMALL, JIT).ready(SMALL.order(STEPS), RATE) for _ in range(2)]
    for training in trainings:
        training()  # compiles
    alone, together = [], []
    for _ in range(1 if benchmark.disabled else TURNS):
        alone.append(_seconds(trainings[0]))
        threads = [threading.Thread(target=training) for training in trainings]
        together.append(_seconds(*[thread.start for thread in threads], *[thread.join for thread in threads]))
    _report(benchmark, f"two threads: {SMALL}", [2 * x / STEPS for x in alone], [x / STEPS for x in together])


@pytest.mark.parametrize("work", LARGE, ids=str)
def test_one_training(benchmark: Any, work: Work) -> None:
    ours = Ours(work, JIT)
    few = ours.ready(work.order(3), RATE)
    few()  # compiles
    steps = 3 if benchmark.disabled else max(int(3 * LONG / _seconds(few)), 3)
    call = ours.ready(work.order(steps), RATE)
    alone, together = [], []
    for _ in range(1 if benchmark.disabled else TURNS):
        for count, times in ((1, alone), (2, together)):
            with limited_threads(count):
                times.append(_seconds(call) / steps)
    _report(benchmark, f"threads share kernels: {work}", alone, together)


def _report(benchmark: Any, group: str, one: list[float], two: list[float]) -> None:
    """Report the seconds of a step of all networks, by one thread and by two."""
    speed_up = min(one) / min(two)
    benchmark.group, benchmark._mode = group, "race"
    benchmark.extra_info.update(settings(), speed_up=speed_up, one_thread=min(one), two_threads=min(two))
    if not benchmark.disabled:
        stats = benchmark._make_stats(1)
        for seconds in two:
            stats.update(seconds)
        print(f"\n{group}: two threads are {speed_up:.2f} times as fast as one ({min(one) * 1e3:.3g} ms)")


def _seconds(*calls: Any) -> float:
    start = time.perf_counter()
    for call in calls:
        call()
    return time.perf_counter() - start
