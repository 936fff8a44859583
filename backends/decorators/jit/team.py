"""`Team`: the threads of a run, which take the parts of its large kernels.

The thread that runs the steps puts up a kernel, and takes parts of it until none is left. The helpers do the
same: each takes the next part, whichever it is, one from the front and the next from the back, so that it
works on memory that is in its cache. What a part computes and where it writes follows from its
number alone, and so do the bits of the results; only the time depends on who takes it. A helper that the
system does not run takes no part, and nobody waits for it.

A helper waits in native code, without Python's lock: it spins some microseconds, then lets other threads run,
then sleeps for some microseconds at a time. Helpers live as long as the run; there is nothing that a fork
could copy half.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import threading
from collections.abc import Callable

import numpy as np

LINE = 64
"""Bytes between what different threads write."""
TICKET, DONE, STOP, KERNEL, FRAME, OWN, SIZE, HELPERS, YIELD, SLEEP, NAP = (
    *(LINE * i for i in range(3)),
    *(LINE * 3 + 8 * i for i in range(8)),
)
"""Where the fields of a team lie, in bytes.

TICKET holds the number of the kernel (32 bits), of its parts (8), and of those that were taken from the
front (12) and from the back (12).
"""
WORK = "work"
"""The name of the native function of a helper."""
NAME = "lamina helper"
"""How the names of the threads begin."""
MOST = 32
"""The most parts of a kernel, and so the most threads of use."""
WORTH_HELP = 1 << 28
"""Operations in parts of a run that are worth the start of a helper, of some 0.1 ms."""
_BYTES = 4 * LINE + 64


class Team:
    """The memory that threads share, and the threads while a `with` lasts.

    Parameters
    ----------
    work
        The native function of a helper.
    helpers
        How many threads there are beside the one that runs the steps.
    own
        The bytes of memory that each helper has for itself.

    """

    def __init__(self, work: Callable[[int, int], None], helpers: int, own: int) -> None:
        space = np.zeros(_BYTES + LINE + helpers * own, np.uint8)
        base = int(space.ctypes.data)
        self.address = -(-base // LINE) * LINE
        self._fields = space[self.address - base :][:_BYTES].view(np.int64)
        self._space, self._helpers, self._work = space, helpers, work
        self._threads: list[threading.Thread] = []
        yields, sleeps, nap = _waiting()
        fields = {OWN: self.address + _BYTES, SIZE: own, YIELD: yields, SLEEP: sleeps, NAP: nap}
        for place, value in fields.items():
            self._fields[place // 8] = value

    def __enter__(self) -> Team:
        """Start the helpers."""
        self._fields[STOP // 8] = 0
        try:
            for i in range(self._helpers):
                name = f"{NAME} {i + 1}"
                thread = threading.Thread(target=self._help, args=(i + 1,), name=name, daemon=True)
                _start(thread)
                self._threads.append(thread)
        except RuntimeError:  # the system has no thread left; the others do its parts
            pass
        except BaseException:  # Ctrl-C
            self.__exit__()
            raise
        self._fields[HELPERS // 8] = len(self._threads)
        return self

    def __exit__(self, *error: object) -> None:
        """Send the helpers home, and wait until they are gone."""
        self._fields[STOP // 8] = 1
        while self._threads:
            self._threads.pop().join()
        self._fields[HELPERS // 8] = 0

    def _help(self, number: int) -> None:
        self._work(self.address, number)  # `self` keeps the memory alive, whoever leaves first


def _start(thread: threading.Thread) -> None:
    thread.start()


def threads_at_most(wanted: int) -> int:
    """Return how many of these threads may run: no more than the process has cores, or a kernel parts."""
    affinity = getattr(os, "sched_getaffinity", None)
    return max(min(wanted, len(affinity(0)) if affinity else os.cpu_count() or 1, MOST), 1)


@functools.cache
def _waiting() -> tuple[int, int, int]:
    """Return the addresses of the system's functions that yield and that sleep, and the shortest sleep."""
    if sys.platform == "win32":
        system, names, nap = ctypes.WinDLL("kernel32"), ("SwitchToThread", "Sleep"), 1
    else:
        system, names, nap = ctypes.CDLL(None), ("sched_yield", "usleep"), 50
    yields, sleeps = (ctypes.cast(getattr(system, name), ctypes.c_void_p).value or 0 for name in names)
    return yields, sleeps, nap
