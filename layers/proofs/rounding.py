"""How far a convolution in float32 may be from the float64 oracle: k u (|A| |B|), element by element.

k is the number of terms that are added up, u = 2⁻²⁴, and |A| |B| the same sum over absolute values: what
rounding each product and each partial sum can come to, in whatever order they are added.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

from ...backends import get_backend
from ...backends.protocol import Shape
from ..convolution.convolution import Convolution
from .passes import run_layer

Host = np.ndarray[Any, Any]

UNIT = 2.0**-24
SMALLEST = 2.0**-149
"""Where rounding to the nearest is no longer relative."""


def exactly(layer: Convolution, x: Host, grad_output: Host) -> dict[str, Host]:
    """Return what `run_layer` gives for a layer in float64, from the same numbers."""
    return run_layer(_wide(layer), x, grad_output)


def rounding_bounds(layer: Convolution, x: Host, grad_output: Host) -> dict[str, Host]:
    """Return the largest error for each element of what `run_layer` gives in float32.

    Parameters
    ----------
    layer
        Any convolution that is not transposed.
    x, grad_output
        The input (N, C, *spatial), and the gradient of the output.

    """
    twin = _wide(layer)
    for parameter in twin.parameters():
        parameter.set(twin.backend.abs(parameter.data))
    magnitudes = run_layer(twin, np.abs(x), np.abs(grad_output))
    counts = _terms(layer, x.shape)
    return {name: counts[name] * UNIT * value + SMALLEST for name, value in magnitudes.items()}


def _wide(layer: Convolution) -> Convolution:
    return copy.deepcopy(layer).to(get_backend("numpy", dtype="float64"))


def _terms(layer: Convolution, shape: Shape) -> dict[str, int]:
    """Return how many terms each element of the output and of the gradients has."""
    y_shape = layer.output_shape(shape)
    windows = y_shape[0] * math.prod(y_shape[2:])
    kernel = math.prod(layer.kernel_size)
    # What padding repeats has its gradient from each place that repeats it.
    repeats = 1
    for before, after in layer.padding:
        most = {"zeros": 0, "replicate": before + after}.get(layer.padding_mode, 2)
        repeats *= 1 + min(most, before + after)
    return {
        "output": layer.in_channels // layer.groups * kernel + (layer.bias is not None),
        "input": layer.out_channels // layer.groups * kernel + repeats - 1,
        "weight": windows,
        "bias": windows,
    }
