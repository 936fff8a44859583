"""Rows for the smooth and the piecewise linear activations."""

from __future__ import annotations

from ... import ELU, GELU, SELU, Hardtanh, ReLU6, SiLU, Softplus
from ..case import LayerCase
from .twins import EDGES, activation

NUMBERS = EDGES[:-1]
"""Without NaN, for which torch's hardtanh gives gradient 0 or g, depending on the length of the array."""

ACTIVATIONS_CASES: tuple[LayerCase, ...] = (
    activation(ELU, kinks=(0.0,)),
    activation(ELU, "of alpha 0.5", 0.5, kinks=(0.0,)),
    activation(SELU, kinks=(0.0,)),
    activation(GELU),
    activation(GELU, "of tanh", "tanh"),
    activation(Softplus),
    activation(Softplus, "steep", 2.0, 3.0, kinks=(1.5,)),
    activation(SiLU),
    activation(Hardtanh, kinks=(-1.0, 1.0), special=(*NUMBERS, -1.0, 1.0)),
    activation(Hardtanh, "of other bounds", -0.5, 0.25, kinks=(-0.5, 0.25), special=(*NUMBERS, -0.5, 0.25)),
    activation(ReLU6, kinks=(0.0, 6.0), special=(*NUMBERS, 6.0)),
)
"""The activations, except those in `basic`."""
