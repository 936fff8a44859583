"""A timeline as a trace that Perfetto (ui.perfetto.dev) and chrome://tracing open."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...backends.decorators.profile import Event

_PROCESS, _THREAD = 1, 1


def chrome_trace(timeline: Iterable[Event], name: str) -> dict[str, Any]:
    """Return a timeline in Chrome's trace format, times in microseconds since its start.

    Outer events come before inner events: steps, layers, ops. name: of the track.
    """
    events = sorted(timeline, key=lambda event: (event.start, -event.end))
    start = events[0].start if events else 0
    where = {"pid": _PROCESS, "tid": _THREAD}
    trace: list[dict[str, Any]] = [{"ph": "M", "name": "process_name", **where, "args": {"name": name}}]
    for event in events:
        took = event.end - event.start
        complete: dict[str, Any] = {"ph": "X", "name": event.name, "cat": event.kind, **where}
        complete |= {"ts": (event.start - start) / 1000, "dur": took / 1000}
        if event.kind == "op":
            complete["args"] = {"FLOPs": event.flops, "bytes": event.bytes}
        trace.append(complete)
    return {"displayTimeUnit": "ms", "traceEvents": trace}
