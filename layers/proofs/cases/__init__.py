"""The table: a row for every layer and loss, in every mode.

The tests and `lamina check` run it on every backend and stack. A new layer adds a row to the file of its
family, not a test file; a test fails for a public layer or loss without a row.
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
