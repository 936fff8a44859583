"""A layer or a loss against the graph of operators: its hand-written backward pass, and autodiff's.

The forward pass runs unchanged under `autodiff`. The gradients follow from the vector-Jacobian products of
the op table, with which the hand-written derivation has nothing in common.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backends import get_backend
from ...backends.host import Host
from .. import Loss, Module
from .report import Report, close, compare
from .subject import Subject, host


def compare_with_graph(module: Module | Loss, *inputs: Host) -> Report:
    """Compare results and gradients with autodiff's, at 1e-9. The module does not change.

    Parameters
    ----------
    module
        A layer or a loss on a backend of float64.
    inputs
        Host arrays: a layer's input (N, ...), or a loss's prediction and target.

    Raises
    ------
    DtypeError
        If the backend's default is not float64.

    """
    subject = Subject(module).require_float64().copy()
    tape: Any = get_backend(f"autodiff+{subject.backend.raw.spec}", dtype="float64")
    twin = subject.copy(tape)
    if isinstance(twin.module, Module):
        twin.module.zero_grad()
    x, *rest = (tape.from_host(array) for array in inputs)
    x.requires_grad = inputs[0].dtype.kind == "f"
    with tape.session():  # infinities may be meant
        y: Any = twin.forward(x, *rest)
        if y.requires_grad:
            y.backward(tape.from_host(twin.cotangent(tape.shape(y))))
    theirs = {twin.output: host(tape, y)}
    if x.requires_grad:
        theirs[twin.inputs[0]] = np.zeros_like(inputs[0]) if x.grad is None else host(tape, x.grad)
    theirs |= twin.gradients()
    with subject.backend.session():
        ours = subject.run(*inputs)
    return Report(str(subject), "the graph", compare(ours, theirs, close, same=True))
