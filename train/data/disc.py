"""Points in the unit square, labelled by a disc: the task of the five papers, in all its versions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from ...backends.options import choice, integer
from ...backends.random import generator
from .dataset import Dataset

Part = Literal["train", "validation", "test"]
_CENTRE, _ORIGIN = (0.5, 0.5), (0.0, 0.0)
MOST_DRAWN = 10**8
"""The most samples of a drawn data set."""
_HALF_AREA = 1 / math.sqrt(2 * math.pi)
_BOSCHIN = 1 / (math.sqrt(2) * math.pi)


class Circle(NamedTuple):
    """A circle around a centre."""

    centre: tuple[float, float]
    radius: float


@dataclass(frozen=True)
class DiscVariant:
    """One version of the rule: the region and its label.

    The region is `norm(x - centre) < radius`, or `radius < norm(x - centre) < outer` if `outer` is a number.
    """

    name: str
    centre: tuple[float, float]
    radius: float
    outer: float | None
    label_inside: int
    classes: tuple[str, str]
    source: str

    def labels(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Return the labels (N,) of points (N, 2)."""
        distance = np.hypot(points[:, 0] - self.centre[0], points[:, 1] - self.centre[1])
        if self.outer is None:
            inside = distance < self.radius
        else:
            inside = (self.radius < distance) & (distance < self.outer)
        return np.where(inside, self.label_inside, 1 - self.label_inside).astype(np.int64)


_DISC = ("outside", "inside")
_ROWS = (
    DiscVariant("jin", _CENTRE, _HALF_AREA, None, 1, _DISC, "Jin, Shen, Zhu: half of the square"),
    DiscVariant("carlier", _CENTRE, _HALF_AREA, None, 1, _DISC, "Carlier: the same rule as Jin"),
    DiscVariant("chahed", _ORIGIN, _HALF_AREA, None, 1, _DISC, "Chahed et al. give no centre: the origin"),
    DiscVariant("boschin", _CENTRE, _BOSCHIN, None, 1, _DISC, "Boschin et al., radius as typeset, centred"),
    DiscVariant("boschin-origin", _ORIGIN, _BOSCHIN, None, 1, _DISC, "Boschin et al., at the origin"),
    DiscVariant("felisaz", _ORIGIN, _HALF_AREA, 1.0, 0, ("ring", "corners"), "Félisaz et al.: a ring is 0"),
)
DISC_VARIANTS: dict[str, DiscVariant] = {row.name: row for row in _ROWS}


def disc_variant(name: str) -> DiscVariant:
    """Return the variant of this name."""
    return DISC_VARIANTS[choice("disc", "variant", name, DISC_VARIANTS)]


def disc(
    n: int = 1000,
    *,
    variant: str = "jin",
    seed: int = 0,
    stream: str = "disc",
    split: Part = "train",
) -> Dataset:
    """Draw n points uniformly from [0, 1)^2 and label them.

    Parameters
    ----------
    n : int
        The number of points; a smaller set is the start of a larger one.
    variant : str
        A name in `DISC_VARIANTS`; it changes the labels, not the points.
    seed, stream, split
        Decide the points.

    Returns
    -------
    Dataset
        inputs (n, 2) float64, targets (n,) int64.
    """
    rule = disc_variant(variant)
    points = uniform_points((n, 2), seed=seed, stream=stream, split=split)
    return Dataset(f"disc ({variant})", points, rule.labels(points), rule.classes, ("x1", "x2"))


def circle(variant: str = "jin") -> tuple[Circle, ...]:
    """Return the boundary between the classes: one circle, or two for a ring."""
    rule = disc_variant(variant)
    radii = (rule.radius,) if rule.outer is None else (rule.radius, rule.outer)
    return tuple(Circle(rule.centre, radius) for radius in radii)


def uniform_points(shape: tuple[int, ...], *, seed: int, stream: str, split: Part) -> npt.NDArray[np.float64]:
    """Draw float64 numbers from [0, 1), a function of (seed, stream, split)."""
    integer(stream, "n", shape[0], most=MOST_DRAWN)
    choice(stream, "split", split, get_args(Part))
    return generator(seed, f"{stream}/{split}").random(shape)
