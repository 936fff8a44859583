"""Standardization: a mean and a scale per feature, fitted to one set and applied to others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...backends.errors import DataError
from ...backends.options import shown

FloatArray = npt.NDArray[np.floating[Any]]
_FEATURES_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Scaling:
    """The affine map `(inputs - mean) / scale`.

    Parameters
    ----------
    mean, scale : numpy.ndarray
        In the shape of one input, float64; every scale is above 0.
    """

    mean: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        for what, values in (("mean", self.mean), ("scale", self.scale)):
            _check_array("Scaling", what, values)
        if self.mean.shape != self.scale.shape:
            raise DataError(
                f"Scaling: expected one shape of mean and scale, got {self.mean.shape} and {self.scale.shape}"
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise DataError("Scaling: expected finite means, and finite scales above 0, got others")

    @classmethod
    def fit(cls, inputs: FloatArray) -> Scaling:
        """Fit the mean and the (biased) standard deviation over the rows of `inputs` (N, ...).

        A constant feature gets its value as mean and 1 as scale, so it becomes 0.
        """
        _check_array("Scaling.fit", "inputs", inputs)
        if inputs.ndim < 2 or len(inputs) == 0:
            raise DataError(f"Scaling.fit: expected inputs (N, ...) with N at least 1, got {inputs.shape}")
        if not np.isfinite(inputs).all():
            raise DataError(
                "Scaling.fit: expected finite inputs, got NaN or infinity; see Dataset.check_finite()"
            )
        flat = inputs.reshape(len(inputs), -1)
        mean, scale = np.empty(flat.shape[1]), np.empty(flat.shape[1])
        for start in range(0, flat.shape[1], _FEATURES_AT_ONCE):
            part = slice(start, start + _FEATURES_AT_ONCE)
            # numpy sums pairwise along the contiguous axis alone, hence a transposed copy, block by block.
            mean[part], scale[part] = _moments(np.ascontiguousarray(flat[:, part].T, dtype=np.float64))
        shape = inputs.shape[1:]
        return cls(mean.reshape(shape), scale.reshape(shape))

    def apply(self, inputs: FloatArray) -> FloatArray:
        """Return `(inputs - mean) / scale` for inputs (N, ...), in their dtype."""
        _check_array("Scaling", "inputs", inputs)
        if inputs.shape[1:] != self.mean.shape:
            raise DataError(
                f"Scaling: expected inputs (N, {', '.join(map(str, self.mean.shape))}), got {inputs.shape}"
            )
        scaled: FloatArray = ((inputs - self.mean) / self.scale).astype(inputs.dtype)
        return scaled

    def undo(self, values: FloatArray) -> FloatArray:
        """Return `values * scale + mean` in float64, the inverse of `apply`."""
        restored: FloatArray = values * self.scale + self.mean
        return restored

    def to_dict(self) -> dict[str, Any]:
        """Return `{"mean": ..., "scale": ...}` as nested lists; JSON keeps every bit."""
        return {"mean": self.mean.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Scaling:
        """Return the scaling of `to_dict`."""
        try:
            mean = np.array(state["mean"], dtype=np.float64)
            scale = np.array(state["scale"], dtype=np.float64)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"Scaling.from_dict: expected {{'mean': numbers, 'scale': numbers}}, got {shown(state)}"
            ) from error
        return cls(mean, scale)


def _check_array(owner: str, what: str, values: object) -> None:
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiub":
        raise DataError(f"{owner}: expected {what} to be an array of numbers, got {shown(values)}")


def _moments(columns: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean and scale of each row of `columns` (features, N)."""
    lowest = columns.min(axis=1)
    constant = lowest == columns.max(axis=1)
    # The rounded mean of a constant can be an ULP off; divided by an equally small scale, that gives 1.
    mean = np.where(constant, lowest, columns.mean(axis=1))
    deviations = columns - mean[:, None]
    # Divided by the largest first: the square of a deviation of 1e200 overflows.
    largest = np.where(constant, 1.0, np.abs(deviations).max(axis=1))
    spread = largest * np.sqrt(np.square(deviations / largest[:, None]).mean(axis=1))
    return mean, np.where(constant, 1.0, spread)
