"""A forward and a backward pass with host arrays at both ends: what every proof looks at.

Nothing but `from_host`, `to_host` and the layers' public interface is used, so that it runs on any backend
and stack.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backends import Backend, DtypeError, Tensor
from ...backends.protocol import Shape
from ...backends.random import generator
from .. import Loss, Module

Host = np.ndarray[Any, Any]


def cotangent(shape: Shape, seed: int = 0) -> Host:
    """Return a random gradient of an output (*shape), in float64.

    One backward pass with it gives every derivative of Σ c y at once.
    """
    return np.asarray(generator(seed, "cotangent").standard_normal(tuple(shape)))


def check_width(subject: Module | Loss) -> None:
    """Raise DtypeError unless a layer or loss computes in float64, as proofs need."""
    dtype = subject.backend.default_dtype
    if dtype != "float64":
        raise DtypeError(f"{subject}: proofs need float64, and its backend's default is {dtype}")


def bring(b: Backend, array: Host) -> Tensor:
    """Return a host array on a backend: floats in its default dtype, anything else as it is."""
    return b.from_host(array, dtype=b.default_dtype if array.dtype.kind == "f" else None)


def host(b: Backend, x: Tensor) -> Host:
    """Return a tensor as a host array."""
    return np.asarray(b.to_host(x))


def gradients(layer: Module) -> dict[str, Host]:
    """Return every parameter's gradient; zeros where none was accumulated."""
    return {
        name: np.zeros_like(host(p.backend, p.data)) if p.grad is None else host(p.backend, p.grad)
        for name, p in layer.named_parameters()
    }


def run_layer(layer: Module, x: Host, grad_output: Host | None = None) -> dict[str, Host]:
    """Run a layer there and back.

    Parameters
    ----------
    layer
        Its gradients are overwritten.
    x
        The input (N, ...).
    grad_output
        The gradient of the output; `cotangent` if None.

    Returns
    -------
    dict
        "output", then gradients: "input" (unless there is none) and each parameter's, by its name.

    """
    b = layer.backend
    layer.zero_grad()
    y = layer(bring(b, x))
    g = cotangent(b.shape(y)) if grad_output is None else grad_output
    grad_input = layer.backward(bring(b, g))
    found = {"output": host(b, y)}
    if grad_input is not None:
        found["input"] = host(b, grad_input)
    return found | gradients(layer)


def run_loss(loss: Loss, prediction: Host, target: Host, seed: int = 0) -> dict[str, Host]:
    """Run a loss there and back; return {"loss", "prediction": the gradient of the prediction}.

    With reduction "none" the gradient of each loss is a `cotangent`.
    """
    b = loss.backend
    value = loss(bring(b, prediction), bring(b, target))
    whole = loss.reduction != "none"
    grad = loss.backward() if whole else loss.backward(bring(b, cotangent(b.shape(value), seed)))
    return {"loss": host(b, value), "prediction": host(b, grad)}
