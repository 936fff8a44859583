"""Central finite differences in float64, over every index of the input and of all parameters.

The output is contracted with a random cotangent c, so one backward pass gives every derivative of Σ c y.
What is differenced is c (y(x + h) - y(x - h)), summed after subtracting: outputs that an index does not
reach cancel exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...backends.host import Host
from .. import Loss, Module
from .report import Difference, Report, worst
from .subject import Subject, bring, host

RTOL = 1e-6
ATOL = 1e-8
STEP = float(np.finfo(np.float64).eps) ** (1 / 3)
"""Balances the errors of truncation (h² f''' / 6) and rounding (ε f / h): 6e-6 for values near 1."""


def check_differences(module: Module | Loss, *inputs: Host) -> Report:
    """Compare a backward pass with finite differences.

    Parameters
    ----------
    module
        A layer or a loss on a backend of float64. Its gradients are overwritten; its parameters end as
        they began.
    inputs
        Host arrays clear of kinks: a layer's input (N, ...), or a loss's prediction and target. Floats are
        differentiated (a target is not); integers are indices or labels.

    Raises
    ------
    DtypeError
        If the backend's default is not float64.

    """
    subject = Subject(module).require_float64()
    b, (x, *rest) = subject.backend, inputs

    def value(array: Host) -> Host:
        return subject.value(array, *rest)

    c = subject.cotangent(value(x).shape)
    ours = subject.run(*inputs)
    report = Report(str(subject), "finite differences")
    name = subject.inputs[0]
    if name in ours:
        report.differences.append(_compare(name, ours[name], _numeric(value, x, c)))
    for name, parameter in module.named_parameters() if isinstance(module, Module) else ():
        original = host(b, parameter.data)

        def at(array: Host, parameter: Any = parameter) -> Host:
            parameter.set(bring(b, array))
            return value(x)

        numeric = _numeric(at, original, c)
        parameter.set(bring(b, original))
        report.differences.append(_compare(name, ours[name], numeric))
    return report


def _numeric(value: Callable[[Host], Host], x: Host, c: Host) -> Host:
    """Return d(Σ c y)/dx by central differences, in x's shape."""
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        h = STEP * max(1.0, abs(float(x[index])))
        above, below = x.astype(np.float64), x.astype(np.float64)
        above[index] += h
        below[index] -= h
        change = value(above) - value(below)
        # The actual step: rounding makes it differ from 2 h.
        gradient[index] = np.sum(c * change) / (above[index] - below[index])
    return gradient


def _compare(name: str, backward: Host, difference: Host) -> Difference:
    return worst(name, backward, difference, ATOL + RTOL * np.abs(difference))
