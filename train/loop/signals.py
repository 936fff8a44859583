"""Signals that ask a process to stop: Ctrl-C, SIGTERM, SIGHUP; Ctrl-C and Ctrl-Break on Windows (untested).

Only the main thread receives signals; elsewhere nothing here has an effect.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

_CTRL_C = ("SIGINT", "SIGBREAK")
ASKING = {
    int(getattr(signal, name)): name for name in (*_CTRL_C, "SIGTERM", "SIGHUP") if hasattr(signal, name)
}
"""The signals that ask a process to stop, by number."""
INTERRUPTED = 130
"""The exit code after Ctrl-C, by the convention of shells."""


class Terminated(SystemExit):
    """A signal other than Ctrl-C has ended the process; the exit code is 128 and the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


STOPS = (KeyboardInterrupt, Terminated)
"""What a signal raises."""


class Unscored(BaseException):
    """A signal came while a fit scored its epoch: no step runs, so the fit can be saved at once."""


def stop_of(number: int, text: str = "") -> BaseException:
    """Return what a signal raises. text: what it tells."""
    if ASKING[number] in _CTRL_C:
        return KeyboardInterrupt(text) if text else KeyboardInterrupt()
    return Terminated(number)


def code_of(stop: BaseException) -> int:
    """Return the exit code of a process that a signal has ended."""
    return 128 + stop.number if isinstance(stop, Terminated) else INTERRUPTED


def name_of(stop: BaseException) -> str:
    """Return the name of the signal."""
    return ASKING[stop.number] if isinstance(stop, Terminated) else "Ctrl-C"


class _Handler:
    """A handler of Lamina's, which another one may replace."""

    def __init__(self, act: Callable[[int], object]) -> None:
        self.act = act

    def __call__(self, number: int, frame: object) -> None:
        self.act(number)


@contextlib.contextmanager
def handled(act: Callable[[int], object]) -> Iterator[None]:
    """Call `act` with the number of each signal that asks to stop, inside a `with`.

    A handler of the user's own stays, as does a signal that is ignored; at the end all are as before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler, before = _Handler(act), {}
    try:
        for number in ASKING:
            old = signal.getsignal(number)
            if old in (signal.SIG_DFL, signal.default_int_handler) or isinstance(old, _Handler):
                before[number] = old
                signal.signal(number, handler)
        yield
    finally:
        for number, old in before.items():
            if signal.getsignal(number) is handler:
                signal.signal(number, old)


def raise_stop(number: int) -> None:
    """Raise what a signal raises."""
    raise stop_of(number)
