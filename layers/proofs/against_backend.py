"""A layer or a loss against itself on a second backend, in float64."""

from __future__ import annotations

from ...backends import Backend
from ...backends.host import Host
from .. import Loss, Module
from .report import Report, close, compare
from .subject import Subject


def compare_with_backend(module: Module | Loss, other: Backend, *inputs: Host) -> Report:
    """Compare results, gradients and the state afterwards with those of a copy on `other`, at 1e-9."""
    mine = Subject(module).copy()
    twin = mine.copy(other)
    with mine.backend.session():  # infinities may be meant
        ours = mine.run(*inputs)
    with other.session():
        theirs = twin.run(*inputs)
    ours |= {f"{name}, afterwards": value for name, value in mine.state().items()}
    theirs |= {f"{name}, afterwards": value for name, value in twin.state().items()}
    return Report(str(mine), other.spec, compare(ours, theirs, close, same=True))
