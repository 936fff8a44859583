"""The image task of Jin et al.: small random volumes, labelled by their distance from the centre."""

from __future__ import annotations

import numpy as np

from .dataset import Dataset
from .disc import Part, uniform_points

CUBE_SHAPE = (3, 4, 4)
CUBE_RADIUS = 2.0


def cubes(n: int = 1000, *, seed: int = 0, stream: str = "cubes", split: Part = "train") -> Dataset:
    """Draw n volumes uniformly from [0, 1)^(3x4x4); label 1 where norm(x - 0.5) < 2 (about 50.8 %).

    Returns
    -------
    Dataset
        inputs (n, 3, 4, 4) float64, targets (n,) int64; a function of (seed, stream, split).
    """
    inputs = uniform_points((n, *CUBE_SHAPE), seed=seed, stream=stream, split=split)
    squares = np.square(inputs - 0.5).reshape(n, -1).sum(axis=1)
    labels = (squares < CUBE_RADIUS**2).astype(np.int64)
    return Dataset("cubes", inputs, labels, ("outside", "inside"))
