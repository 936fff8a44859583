"""The conformance checks that a backend is judged by."""

from __future__ import annotations

from lamina.backends import Backend
from lamina.backends.conformance.suite import Item, items
from lamina.backends.wrapper import Wrapper

ACCURACY = ("ulps", "long sum", "long centre", "long var", "long linear grad", "erf in float64")


def judged(op: str, backend: Backend) -> list[Item]:
    """Return the checks of an op; of a stack all but those of accuracy, and of all layouts but a slice's.

    A decorator does no arithmetic of its own, and takes tensors of one layout as those of another.
    """
    every = items(op)
    if not isinstance(backend, Wrapper):
        return list(every)
    others = (", permuted", ", expanded")
    return [x for x in every if x.check not in ACCURACY and not any(part in x.label for part in others)]
