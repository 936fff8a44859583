"""Two networks that train in two threads: native steps run side by side, since they hold no lock of Python's.

`pytest bench/test_threads.py` prints how many times as fast two threads are as one. It needs two free cores.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from conftest import settings
from contenders import JIT, Ours, Work

pytest.importorskip("llvmlite", reason="compiled steps need llvmlite")

WORK = Work((64, 128, 64, 10), 64, "cross-entropy", "Adam", "float32")
STEPS, RATE, TURNS = 5000, 1e-7, 5


def test_two_trainings(benchmark: Any) -> None:
    trainings = [Ours(WORK, JIT).ready(WORK.order(STEPS), RATE) for _ in range(2)]
    for training in trainings:
        training()  # compiles
    alone, together = [], []
    for _ in range(1 if benchmark.disabled else TURNS):
        alone.append(_seconds(trainings[0]))
        threads = [threading.Thread(target=training) for training in trainings]
        together.append(_seconds(*[thread.start for thread in threads], *[thread.join for thread in threads]))
    speed_up = 2 * min(alone) / min(together)
    benchmark.group, benchmark._mode = f"two threads: {WORK}", "race"
    benchmark.extra_info.update(settings(), speed_up=speed_up)
    if not benchmark.disabled:
        stats = benchmark._make_stats(2 * STEPS)
        for seconds in together:
            stats.update(seconds)
        print(f"\ntwo threads take {speed_up:.2f} times as many steps in a second as one")


def _seconds(*calls: Any) -> float:
    start = time.perf_counter()
    for call in calls:
        call()
    return time.perf_counter() - start
