"""Points in the unit square, labelled by a disc: the task of the five papers, in each of their versions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ...backends.errors import DataError, OptionError, did_you_mean
from ...backends.random import generator
from .dataset import Dataset

Part = Literal["train", "validation", "test"]
_CENTRE, _ORIGIN = (0.5, 0.5), (0.0, 0.0)
_HALF_AREA = 1 / math.sqrt(2 * math.pi)
_BOSCHIN = 1 / (math.sqrt(2) * math.pi)


@dataclass(frozen=True)
class Circle:
    """The arc of a circle that lies in the unit square, between two angles in radians."""

    centre: tuple[float, float]
    radius: float
    start: float
    stop: float

    def points(self, n: int = 200) -> npt.NDArray[np.float64]:
        """Return n points (n, 2) along the arc, both ends included, for a line plot."""
        angle = np.linspace(self.start, self.stop, n)
        return np.array(self.centre) + self.radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


@dataclass(frozen=True)
class DiscVariant:
    """One version of the rule: which points are in the region, and which label they get.

    The region is `norm(x - centre) < radius`, or `radius < norm(x - centre) < outer` where `outer` is given.
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

    @property
    def positive_share(self) -> float:
        """The share of label 1 that the rule gives on the whole square, from its geometry."""
        sector = 0.25 if self.centre == _ORIGIN else 1.0
        area = self.radius**2 if self.outer is None else self.outer**2 - self.radius**2
        inside = sector * math.pi * area
        return inside if self.label_inside == 1 else 1 - inside


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
    """Return the row of `DISC_VARIANTS` of that name."""
    if name not in DISC_VARIANTS:
        raise OptionError(
            f"Unknown disc variant {name!r}. Available: {', '.join(DISC_VARIANTS)}."
            f"{did_you_mean(name, DISC_VARIANTS)}"
        )
    return DISC_VARIANTS[name]


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
        How many; fewer are the first of more.
    variant : str
        A name in `DISC_VARIANTS`. The points do not depend on it, only the labels do.
    seed, stream, split
        What the points are a function of: another seed, stream or part gives other points.

    Returns
    -------
    Dataset
        inputs (n, 2) float64, targets (n,) int64.
    """
    rule = disc_variant(variant)
    points = uniform_points((n, 2), seed=seed, stream=stream, split=split)
    return Dataset(f"disc ({variant})", points, rule.labels(points), rule.classes, ("x1", "x2"))


def circle(variant: str = "jin") -> tuple[Circle, ...]:
    """Return the boundary between the classes inside the unit square: one arc, or two for a ring."""
    rule = disc_variant(variant)
    stop = math.pi / 2 if rule.centre == _ORIGIN else 2 * math.pi
    radii = (rule.radius,) if rule.outer is None else (rule.radius, rule.outer)
    return tuple(Circle(rule.centre, radius, 0.0, stop) for radius in radii)


def uniform_points(shape: tuple[int, ...], *, seed: int, stream: str, split: Part) -> npt.NDArray[np.float64]:
    """Draw float64 numbers of [0, 1) of the given shape, a function of (seed, stream, split)."""
    if shape[0] < 1:
        raise DataError(f"{stream}: n must be at least 1, got {shape[0]}")
    if split not in ("train", "validation", "test"):
        raise OptionError(f"{stream}: split must be 'train', 'validation' or 'test', got {split!r}")
    return generator(seed, f"{stream}/{split}").random(shape)
