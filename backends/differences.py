"""Where a backend's library is known to fall short, and why: nothing else is let through.

A test fails when one of these starts to be right, so that the list does not outlive its reasons.
"""

from __future__ import annotations

from .base import Backend

UNDERFLOW: dict[tuple[str, str], str] = {
    ("torch", "sigmoid"): (
        "torch takes 1 / (1 + e^-x), and e^-x overflows below x = -88.7 (-709.8 in float64): results under "
        "the smallest normal number are 0. To mend it takes three passes instead of one."
    ),
}
"""(implementation, op) whose subnormal results come out as 0."""


def flushes(backend: Backend, op: str) -> bool:
    """Whether 0 is accepted where a result of this op would be subnormal."""
    return (backend.raw.spec.partition(":")[0], op) in UNDERFLOW
