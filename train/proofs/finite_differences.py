"""Central finite differences in float64, over every index of the input and of all parameters.

The output is contracted with a random cotangent c, so that one backward pass gives every derivative of
Σ c y at once. What is differenced is c (y(x + h) - y(x - h)), summed after subtracting: outputs that an
index does not reach cancel exactly. Nothing but `to_host`, `from_host` and the layers' public interface
is used, so that it runs on any backend and stack.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...backends import DtypeError, Tensor
from ...backends.random import generator
from ...layers import Loss, Module, inference

Host = np.ndarray[Any, Any]

RTOL = 1e-6
ATOL = 1e-8
STEP = float(np.finfo(np.float64).eps) ** (1 / 3)
"""Where the errors of truncation (h² f''' / 6) and of rounding (ε f / h) balance: 6e-6 for values near 1."""


@dataclass(frozen=True)
class Difference:
    """The worst index of one gradient.

    `error` is |backward - difference| over the bar ATOL + RTOL |difference|: above 1 is a failure.
    """

    name: str
    index: tuple[int, ...]
    backward: float
    difference: float
    error: float

    def __str__(self) -> str:
        place = f"{self.name}[{', '.join(map(str, self.index))}]"
        return (
            f"{place}: backward gives {self.backward:.9g}, finite differences {self.difference:.9g} "
            f"({self.error:.3g} of the bar)"
        )


@dataclass
class Report:
    """The worst index of each gradient, the input's ("input") and every parameter's."""

    subject: str
    differences: list[Difference] = field(default_factory=list)

    @property
    def error(self) -> float:
        """The largest error as a share of the bar."""
        return max((d.error for d in self.differences), default=0.0)

    @property
    def passed(self) -> bool:
        """Whether something was compared and all of it is within the bar."""
        return bool(self.differences) and self.error <= 1.0

    def __str__(self) -> str:
        return "\n".join([f"{self.subject}: worst {self.error:.3g} of the bar", *map(str, self.differences)])


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
        If a parameter is not float64.

    """
    b = layer.backend
    for name, parameter in layer.named_parameters():
        if b.dtype(parameter.data) != "float64":
            raise DtypeError(f"{layer}: finite differences need float64, {name} is {b.dtype(parameter.data)}")

    def bring(array: Host) -> Tensor:
        return b.from_host(array, dtype="int64" if array.dtype.kind == "i" else "float64")

    def run(array: Host) -> Host:
        with inference():
            return np.asarray(b.to_host(layer(bring(array))))

    layer.zero_grad()
    y = layer(bring(x))
    cotangent = _cotangent(b.shape(y), seed)
    grad_input = layer.backward(bring(cotangent))

    report = Report(str(layer))
    if grad_input is not None:
        numeric = _numeric(run, x, cotangent)
        report.differences.append(_worst("input", np.asarray(b.to_host(grad_input)), numeric))
    for name, parameter in layer.named_parameters():
        value = np.asarray(b.to_host(parameter.data))

        def at(array: Host, parameter: Any = parameter) -> Host:
            parameter.set(bring(array))
            return run(x)

        numeric = _numeric(at, value, cotangent)
        parameter.set(bring(value))
        grad = parameter.grad
        analytic = np.zeros(parameter.shape) if grad is None else np.asarray(b.to_host(grad))
        report.differences.append(_worst(name, analytic, numeric))
    return report


def check_loss(loss: Loss, prediction: Host, target: Host, *, seed: int = 0) -> Report:
    """Compare a loss's backward pass with finite differences at a prediction and a target.

    Parameters
    ----------
    loss
        Any loss; with reduction "none" a random cotangent stands for the gradient of each loss.
    prediction, target
        Host arrays; floats are taken as float64.
    seed
        Of the cotangent.

    """
    b = loss.backend
    wide = "float64" if np.asarray(target).dtype.kind == "f" else None
    goal = b.from_host(target, dtype=wide)

    def run(array: Host) -> Host:
        return np.asarray(b.to_host(loss(b.from_host(array, dtype="float64"), goal)))

    shape = run(prediction).shape
    if loss.reduction == "none":
        cotangent = _cotangent(shape, seed)
        gradient = loss.backward(b.from_host(cotangent, dtype="float64"))
    else:
        cotangent = np.ones(shape)
        gradient = loss.backward()
    analytic = np.asarray(b.to_host(gradient))
    return Report(str(loss), [_worst("prediction", analytic, _numeric(run, prediction, cotangent))])


def _cotangent(shape: tuple[int, ...], seed: int) -> Host:
    return np.asarray(generator(seed, "cotangent").standard_normal(tuple(shape)))


def _numeric(run: Callable[[Host], Host], x: Host, cotangent: Host) -> Host:
    """Return d(Σ c y)/dx by central differences, in x's shape."""
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        h = STEP * max(1.0, abs(float(x[index])))
        above, below = x.astype(np.float64), x.astype(np.float64)
        above[index] += h
        below[index] -= h
        change = run(above) - run(below)
        # The step that was taken, which is not 2 h to the last bit.
        gradient[index] = np.sum(cotangent * change) / (above[index] - below[index])
    return gradient


def _worst(name: str, analytic: Host, numeric: Host) -> Difference:
    """Return the index with the largest error; a wrong shape and NaN count as infinite ones."""
    if analytic.shape != numeric.shape:
        return Difference(f"{name} {analytic.shape} for {numeric.shape}", (), np.nan, np.nan, np.inf)
    if numeric.size == 0:
        return Difference(name, (), 0.0, 0.0, 0.0)
    errors = np.abs(analytic - numeric) / (ATOL + RTOL * np.abs(numeric))
    errors = np.where(np.isfinite(errors), errors, np.inf)
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(errors)), errors.shape))
    return Difference(name, index, float(analytic[index]), float(numeric[index]), float(errors[index]))
