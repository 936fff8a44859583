"""THE table: a row for every layer and loss, in every mode that it has.

The tests, `lamina check` and every decorator run over it, on every backend. A new layer adds a row in the
file of its family, not a test file; a public layer or loss without a row fails a test.
"""

from __future__ import annotations

from ..case import LayerCase
from .activations import ACTIVATIONS_CASES
from .basic import BASIC_CASES
from .convolution import CONVOLUTION_CASES
from .losses import LOSS_CASES
from .normalization import NORMALIZATION_CASES
from .pooling import POOLING_CASES
from .regularization import REGULARIZATION_CASES

LAYER_CASES: tuple[LayerCase, ...] = (
    *BASIC_CASES,
    *ACTIVATIONS_CASES,
    *CONVOLUTION_CASES,
    *NORMALIZATION_CASES,
    *POOLING_CASES,
    *REGULARIZATION_CASES,
)
"""Every layer, in every mode."""

__all__ = ["LAYER_CASES", "LOSS_CASES"]
