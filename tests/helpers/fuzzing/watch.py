"""`watched`: one call of a loader, with its time, its memory, its warnings and its error."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lamina.backends import LaminaError

SECONDS = 2.0
"""The most that one call may compute; a processor that others use too does not count."""
FACTOR, FREE = 10, 50 * 2**20
"""A call may take so many bytes for each byte of the file, and so many for any file."""
_HANGS = 120
"""Seconds after which a call that no signal can interrupt ends the whole process, with its traceback."""
_MOST_TEXT, _MOST_LINES = 2000, 5
_GUARD = 6 * 2**30
"""Bytes of address space that a call may add: a faulty loader must not take the machine's memory."""


@dataclass(frozen=True)
class Verdict:
    """The error of a call ("" for none), and its fault ("" for none) with the details."""

    error: str
    fault: str = ""
    details: str = ""


class SlowError(BaseException):
    """A call computes for too long; not an Exception, so that no loader takes it for a damaged file."""


def watched(call: Callable[[], object], names: Sequence[str], size: int) -> Verdict:
    """Call a loader; any fault counts once by its kind and place."""
    allowed = FACTOR * size + FREE
    for _ in range(3):  # the system may have taken pages away, and gives them back during a call
        error, warned, grown = _measured(call)
        if grown <= allowed:
            break
    kind = "" if error is None else _kind(error)
    if fault := _fault(error, names):
        return Verdict(kind, f"{fault} [{_place(error)}]", _details(error))
    if grown > allowed:
        return Verdict(kind, f"memory [{kind}]", f"{grown:,} bytes for a file of {size:,}; {_details(error)}")
    if warned:
        where = f"{warned[0].filename}:{warned[0].lineno}"
        return Verdict(kind, f"warning [{where}]", f"{len(warned)} warnings: {warned[0].message}, {where}")
    return Verdict(kind)


def _measured(
    call: Callable[[], object],
) -> tuple[BaseException | None, list[warnings.WarningMessage], int]:
    """Return the error of a call, its warnings, and by how many bytes the process grew."""
    error: BaseException | None = None
    before = _reset_peak()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            with _limits():
                call()
        except KeyboardInterrupt:
            raise
        except BaseException as raised:
            error = raised
    return error, warned, _peak() - before


def _fault(error: BaseException | None, names: Sequence[str]) -> str:
    if error is None:
        return ""
    if isinstance(error, SlowError):
        return "slow"
    if not isinstance(error, LaminaError):
        return f"a bare {type(error).__name__}"
    message = str(error)
    if names and not any(name in message for name in names):
        return "no name of the file"
    if len(message) > _MOST_TEXT + max(map(len, names), default=0) or message.count("\n") >= _MOST_LINES:
        return "a long message"
    return ""


def _kind(error: BaseException) -> str:
    """Return an error's class and its place in Lamina."""
    return f"{type(error).__name__} in {_place(error)}"


def _place(error: BaseException | None) -> str:
    """Return the innermost line of Lamina in a traceback, without that of a cause."""
    frames = traceback.extract_tb(error.__traceback__) if error is not None else []
    own = [frame for frame in frames if "/helpers/" not in frame.filename and "lamina" in frame.filename]
    frame = (own or frames or [None])[-1]
    return "" if frame is None else f"{os.path.basename(frame.filename)}:{frame.lineno} {frame.name}"


def _details(error: BaseException | None) -> str:
    if error is None:
        return "it loaded"
    lines = traceback.format_exception(error, limit=-12, chain=True)
    return re.sub(r"(.{300}).+", r"\1...", "".join(lines))[-6000:]


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    runs = True

    def ring(*_: object) -> None:
        if runs:
            raise SlowError(f"more than {SECONDS} s")

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    old = signal.signal(signal.SIGPROF, ring)
    faulthandler.dump_traceback_later(_HANGS, exit=True, file=sys.__stderr__)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + _GUARD, hard))
    try:
        yield
    finally:
        runs = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGPROF, old)


def _address_space() -> int:
    return _pages(0)


def _reset_peak() -> int:
    """Let the peak begin again at what is resident now, and return that."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return _pages(1) or _peak()


def _pages(field: int) -> int:
    """Return a number of /proc/self/statm in bytes: 0, the address space; 1, what is resident."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[field]) * resource.getpagesize()


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
