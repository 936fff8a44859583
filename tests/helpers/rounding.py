"""The largest error of a convolution in float32, against float64: k u (|A| |B|), element by element.

k is the number of terms in the sum, u = 2⁻²⁴, and |A| |B| the same sum over absolute values: it bounds the
rounding of every product and partial sum, in any order of addition.
"""

from __future__ import annotations

import math

import numpy as np

from lamina.backends import get_backend
from lamina.backends.host import Host
from lamina.backends.protocol import Shape
from lamina.layers.convolution.convolution import Convolution
from lamina.layers.proofs import Subject

UNIT = 2.0**-24
SMALLEST = 2.0**-149
"""Below it, rounding to the nearest is no longer relative."""


def exactly(layer: Convolution, x: Host, grad_output: Host) -> dict[str, Host]:
    """Return the results and gradients of `Subject.run` in float64, from the same numbers."""
    return _wide(layer).run(x, grad_output=grad_output)


def rounding_bounds(layer: Convolution, x: Host, grad_output: Host) -> dict[str, Host]:
    """Return the largest error of each element that `Subject.run` gives in float32.

    Parameters
    ----------
    layer
        Any convolution that is not transposed.
    x, grad_output
        The input (N, C, *spatial), and the gradient of the output.

    """
    twin = _wide(layer)
    for parameter in twin.module.parameters():
        parameter.set(twin.backend.abs(parameter.data))
    magnitudes = twin.run(np.abs(x), grad_output=np.abs(grad_output))
    counts = _terms(layer, x.shape)
    return {name: counts[name] * UNIT * value + SMALLEST for name, value in magnitudes.items()}


def _wide(layer: Convolution) -> Subject:
    return Subject(layer).copy(get_backend("numpy", dtype="float64"))


def _terms(layer: Convolution, shape: Shape) -> dict[str, int]:
    """Return the number of terms in each element of the output and of the gradients."""
    y_shape = layer.output_shape(shape)
    windows = y_shape[0] * math.prod(y_shape[2:])
    kernel = math.prod(layer.kernel_size)
    # A repeated pixel sums the gradients of its copies.
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
