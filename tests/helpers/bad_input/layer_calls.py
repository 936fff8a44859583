"""Bad inputs of layers."""

from __future__ import annotations

import numpy as np

from lamina.backends import OptionError, ShapeError
from lamina.layers import Linear

from . import Bad, Place


def _narrow(place: Place) -> object:
    layer = place.watch(Linear(25, 2, backend=place.backend))
    return layer(place.backend.from_host(np.zeros((64, 20))))


ROWS: tuple[Bad, ...] = (
    Bad(
        "Linear",
        "20 features for 25",
        _narrow,
        ("Linear(25 -> 2)", "input (N, ..., 25)", "(64, 20)"),
        ShapeError,
    ),
    Bad(
        "Linear",
        "in_features=-1",
        lambda place: Linear(-1, 2, backend=place.backend),
        ("Linear", "in_features", "at least 1", "-1"),
        OptionError,
        once=True,
    ),
)
