"""Data for the dialects, and a comparison of two models' weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lamina.train.data import disc, one_hot


class Points:
    """Points of the disc: inputs (N, 2), one-hot targets (N, 2), labels (N,)."""

    def __init__(self, n: int, split: Any) -> None:
        data = disc(n, seed=1, split=split)
        self.x, self.labels = data.inputs, data.targets
        self.y = one_hot(data.targets, 2)
        self.column = data.targets.reshape(-1, 1).astype(np.float64)


@pytest.fixture
def points() -> Points:
    return Points(40, "train")


@pytest.fixture
def held_out() -> Points:
    return Points(30, "validation")


@pytest.fixture
def same_weights() -> Any:
    """Compare two models' states to 1e-12."""

    def compare(model: Any, other: Any) -> None:
        mine, theirs = model.state_dict(), other.state_dict()
        assert len(mine) == len(theirs) > 0
        for (name, value), right in zip(mine.items(), theirs.values(), strict=True):
            np.testing.assert_allclose(value, right, rtol=1e-12, atol=1e-12, err_msg=name)

    return compare
