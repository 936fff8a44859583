"""A layer or loss against the graph of operators: the backward pass written by hand, and autodiff's.

The forward pass runs unchanged under `autodiff`; the gradients follow from the vector-Jacobian products of
the op table, with which the hand-written derivation has nothing in common.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ...backends import get_backend
from .. import Loss, Module
from .against_torch import close
from .passes import check_width, cotangent, gradients, host, run_layer, run_loss
from .report import Report, compare

Host = np.ndarray[Any, Any]
ORACLE = "the graph"


def compare_layer_with_graph(layer: Module, x: Host) -> Report:
    """Compare a layer's passes with autodiff's, at 1e-9. Neither the layer nor its gradients are changed.

    Parameters
    ----------
    layer
        On a raw backend of float64.
    x
        A host array (N, ...); integers where the layer takes indices.

    Raises
    ------
    DtypeError
        If the backend's default is not float64.

    """
    check_width(layer)
    tape = _tape(layer)
    twin = copy.deepcopy(layer).to(tape)
    twin.zero_grad()
    given: Any = tape.from_host(x)
    given.requires_grad = x.dtype.kind == "f"
    with tape.session():  # infinities may be meant
        y: Any = twin(given)
        c = cotangent(tape.shape(y))
        if y.requires_grad:
            y.backward(tape.from_host(c))
    found = {"output": host(tape, y)}
    if given.requires_grad:
        found["input"] = np.zeros_like(x) if given.grad is None else host(tape, given.grad)
    found |= gradients(twin)
    with layer.backend.session():
        ours = run_layer(copy.deepcopy(layer), x, c)
    return Report(str(layer), ORACLE, compare(ours, found, close, same=True))


def compare_loss_with_graph(loss: Loss, prediction: Host, target: Host) -> Report:
    """Compare a loss and the gradient of the prediction with autodiff's, at 1e-9."""
    check_width(loss)
    tape = _tape(loss)
    twin = copy.deepcopy(loss).to(tape)
    given: Any = tape.from_host(prediction)
    given.requires_grad = True
    with tape.session():
        value: Any = twin(given, tape.from_host(target))
        value.backward(None if loss.reduction != "none" else tape.from_host(cotangent(tape.shape(value))))
    right = {"loss": host(tape, value), "prediction": host(tape, given.grad)}
    with loss.backend.session():
        ours = run_loss(loss, prediction, target)
    return Report(str(loss), ORACLE, compare(ours, right, close, same=True))


def _tape(subject: Module | Loss) -> Any:
    """Return an autodiff stack around what the subject computes on."""
    raw = subject.backend.raw.spec
    return get_backend(f"autodiff+{raw}", dtype="float64")
