"""Standardisation: one mean and one scale per input feature, taken from one set and applied to others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...backends.errors import DataError

FloatArray = npt.NDArray[np.floating[Any]]
_FEATURES_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Scaling:
    """The affine map `(inputs - mean) / scale`.

    Parameters
    ----------
    mean, scale : numpy.ndarray
        One number per feature, both of the shape of one input `(...)`, float64; every scale is above 0.
    """

    mean: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.mean.shape != self.scale.shape:
            raise DataError(
                f"Scaling: mean and scale must have one shape, got {self.mean.shape} and {self.scale.shape}"
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise DataError("Scaling: every mean must be finite and every scale finite and above 0")

    @classmethod
    def fit(cls, inputs: FloatArray) -> Scaling:
        """Take mean and (biased) standard deviation over the rows of `inputs` (N, ...).

        A feature that never changes gets its value as mean and 1 as scale, so that it becomes 0.
        """
        if inputs.ndim < 2 or len(inputs) == 0:
            raise DataError(f"Scaling.fit: expected inputs (N, ...) with N of at least 1, got {inputs.shape}")
        if not np.isfinite(inputs).all():
            raise DataError("Scaling.fit: the inputs hold NaN or infinity; Dataset.check_finite() says where")
        flat = inputs.reshape(len(inputs), -1)
        mean, scale = np.empty(flat.shape[1]), np.empty(flat.shape[1])
        for start in range(0, flat.shape[1], _FEATURES_AT_ONCE):
            part = slice(start, start + _FEATURES_AT_ONCE)
            # numpy sums pairwise only along the contiguous axis, hence a transposed copy, block by block.
            mean[part], scale[part] = _moments(np.ascontiguousarray(flat[:, part].T, dtype=np.float64))
        shape = inputs.shape[1:]
        return cls(mean.reshape(shape), scale.reshape(shape))

    def apply(self, inputs: FloatArray) -> FloatArray:
        """Return `(inputs - mean) / scale` for inputs (N, ...), in the dtype that came in."""
        if inputs.shape[1:] != self.mean.shape:
            raise DataError(
                f"Scaling: it was made for inputs (N, {', '.join(map(str, self.mean.shape))}), "
                f"got {inputs.shape}"
            )
        scaled: FloatArray = ((inputs - self.mean) / self.scale).astype(inputs.dtype)
        return scaled

    def undo(self, values: FloatArray) -> FloatArray:
        """Return `values * scale + mean` in float64: what `apply` was given, up to rounding."""
        restored: FloatArray = values * self.scale + self.mean
        return restored

    def to_dict(self) -> dict[str, Any]:
        """Return `{"mean": ..., "scale": ...}` as nested lists, which JSON keeps to the last bit."""
        return {"mean": self.mean.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Scaling:
        """Rebuild a scaling from what `to_dict` gave."""
        try:
            mean = np.array(state["mean"], dtype=np.float64)
            scale = np.array(state["scale"], dtype=np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"Scaling.from_dict: expected {{'mean': numbers, 'scale': numbers}}, got {state!r:.200}"
            ) from error
        return cls(mean, scale)


def _moments(columns: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean and scale of each row of `columns` (features, N)."""
    lowest = columns.min(axis=1)
    constant = lowest == columns.max(axis=1)
    # The rounded mean of a constant can differ from it by an ULP, which a scale of that size turns into 1.
    mean = np.where(constant, lowest, columns.mean(axis=1))
    deviations = columns - mean[:, None]
    # Divided by the largest first: the square of a deviation of 1e200 is not a number any more.
    largest = np.where(constant, 1.0, np.abs(deviations).max(axis=1))
    spread = largest * np.sqrt(np.square(deviations / largest[:, None]).mean(axis=1))
    return mean, np.where(constant, 1.0, spread)
