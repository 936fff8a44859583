"""Central finite differences in float64, over every index of the input and of all parameters.

The output is contracted with a random cotangent c, so that one backward pass gives every derivative of
Σ c y at once. What is differenced is c (y(x + h) - y(x - h)), summed after subtracting: outputs that an
index does not reach cancel exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import Loss, Module, inference
from .passes import bring, check_width, cotangent, host, run_layer, run_loss
from .report import Difference, Report, worst

Host = np.ndarray[Any, Any]

RTOL = 1e-6
ATOL = 1e-8
STEP = float(np.finfo(np.float64).eps) ** (1 / 3)
"""Where the errors of truncation (h² f''' / 6) and of rounding (ε f / h) balance: 6e-6 for values near 1."""


def check_layer(layer: Module, x: Host, *, seed: int = 0) -> Report:
    """Compare a layer's backward pass with finite differences at x.

    Parameters
    ----------
    layer
        On a backend of float64. Its gradients are overwritten; its parameters are the same afterwards.
    x
        A host array (N, ...) that stays clear of kinks; integers where the layer takes indices.
    seed
        Of the cotangent.

    Raises
    ------
    DtypeError
        If the backend's default is not float64.

    """
    check_width(layer)
    b = layer.backend

    def run(array: Host) -> Host:
        with inference():
            return host(b, layer(bring(b, array)))

    c = cotangent(run(x).shape, seed)
    ours = run_layer(layer, x, c)
    report = Report(str(layer), "finite differences")
    if "input" in ours:
        report.differences.append(_compare("input", ours["input"], _numeric(run, x, c)))
    for name, parameter in layer.named_parameters():
        value = host(b, parameter.data)

        def at(array: Host, parameter: Any = parameter) -> Host:
            parameter.set(bring(b, array))
            return run(x)

        numeric = _numeric(at, value, c)
        parameter.set(bring(b, value))
        report.differences.append(_compare(name, ours[name], numeric))
    return report


def check_loss(loss: Loss, prediction: Host, target: Host, *, seed: int = 0) -> Report:
    """Compare a loss's backward pass with finite differences at a prediction and a target.

    Parameters
    ----------
    loss
        On a backend of float64; with reduction "none" a random cotangent stands for the gradient of each
        loss.
    prediction, target
        Host arrays: floats, and integers for labels.
    seed
        Of the cotangent.

    Raises
    ------
    DtypeError
        If the backend's default is not float64.

    """
    check_width(loss)
    b = loss.backend
    goal = bring(b, target)

    def run(array: Host) -> Host:
        return host(b, loss(bring(b, array), goal))

    ours = run_loss(loss, prediction, target, seed)
    shape = ours["loss"].shape
    c = cotangent(shape, seed) if loss.reduction == "none" else np.ones(shape)
    numeric = _numeric(run, prediction, c)
    return Report(str(loss), "finite differences", [_compare("prediction", ours["prediction"], numeric)])


def _numeric(run: Callable[[Host], Host], x: Host, c: Host) -> Host:
    """Return d(Σ c y)/dx by central differences, in x's shape."""
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        h = STEP * max(1.0, abs(float(x[index])))
        above, below = x.astype(np.float64), x.astype(np.float64)
        above[index] += h
        below[index] -= h
        change = run(above) - run(below)
        # The step that was taken, which is not 2 h to the last bit.
        gradient[index] = np.sum(c * change) / (above[index] - below[index])
    return gradient


def _compare(name: str, backward: Host, difference: Host) -> Difference:
    return worst(name, backward, difference, ATOL + RTOL * np.abs(difference))
