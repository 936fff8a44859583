"""A data set in memory: inputs, targets and their names, checked once when it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...backends.errors import DataError
from .partition import partition
from .scaling import FloatArray, Scaling


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs with their targets, as host (numpy) arrays.

    Parameters
    ----------
    name : str
        What messages and plots call it.
    inputs : numpy.ndarray
        (N, ...) float32 or float64, one input per row.
    targets : numpy.ndarray
        (N,) integers (kept as int64) for classification, or (N, K) float32 or float64 for regression.
    classes : sequence of str, optional
        The name of each label 0 .. K-1; given exactly when the targets are labels.
    feature_names : sequence of str, optional
        The name of each column of inputs (N, D).
    target_name : str, optional
        The name of the column that the targets come from.
    """

    name: str
    inputs: FloatArray
    targets: npt.NDArray[Any]
    classes: tuple[str, ...] | None = None
    feature_names: tuple[str, ...] | None = None
    target_name: str | None = None

    def __post_init__(self) -> None:
        if self.classes is not None:
            object.__setattr__(self, "classes", tuple(self.classes))
        if self.feature_names is not None:
            object.__setattr__(self, "feature_names", tuple(self.feature_names))
        self._check_inputs()
        if np.issubdtype(self.targets.dtype, np.integer):
            self._check_labels()
            object.__setattr__(self, "targets", self.targets.astype(np.int64, copy=False))
        else:
            self._check_regression()

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input, without N."""
        return self.inputs.shape[1:]

    @property
    def n_outputs(self) -> int:
        """The number of outputs that a model of it needs: its classes, or the K of targets (N, K)."""
        return int(self.targets.shape[1]) if self.classes is None else len(self.classes)

    def subset(self, indices: npt.ArrayLike) -> Dataset:
        """Return the rows of the given numbers (M,), in that order."""
        rows = np.asarray(indices)
        if rows.ndim != 1 or (rows.size and not np.issubdtype(rows.dtype, np.integer)):
            raise DataError(
                f"{self.name}: subset expects row numbers (M,) of integers, got {rows.dtype} {rows.shape}"
            )
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            raise DataError(
                f"{self.name}: subset expects row numbers from 0 to {len(self) - 1}, "
                f"got {rows.min()} to {rows.max()}"
            )
        rows = rows.astype(np.int64)
        return replace(self, inputs=self.inputs[rows], targets=self.targets[rows])

    def split(self, fractions: Sequence[float], *, seed: int, stratified: bool = True) -> tuple[Dataset, ...]:
        """Cut into disjoint parts that together hold every row, shuffled by `seed`.

        Parameters
        ----------
        fractions : sequence of float
            One per part, each above 0, adding up to 1.
        seed : int
            Equal seeds give equal parts.
        stratified : bool
            Keep the share of each class in each part (to within one row); regression is never stratified.
        """
        labels = self.targets if stratified and self.classes is not None else np.zeros(len(self), np.int64)
        try:
            parts = partition(labels, fractions, seed=seed)
        except DataError as error:
            raise DataError(f"{self.name}: {error}") from error
        return tuple(self.subset(part) for part in parts)

    def standardized(self, by: Scaling | Dataset | None = None) -> tuple[Dataset, Scaling]:
        """Return the set with mean 0 and standard deviation 1 per feature, and the scaling that did it.

        `by` is the scaling to use, or the (training) set to take it from; by default this set itself.
        """
        scaling = by if isinstance(by, Scaling) else Scaling.fit((by or self).inputs)
        return replace(self, inputs=scaling.apply(self.inputs)), scaling

    def flattened(self) -> Dataset:
        """Return the set with inputs (N, D): one row of numbers per input."""
        return replace(self, inputs=self.inputs.reshape(len(self), -1))

    def majority_baseline(self) -> float | None:
        """Return the share of the commonest class, or None for regression."""
        if self.classes is None:
            return None
        return float(np.bincount(self.targets).max() / len(self))

    def check_finite(self) -> None:
        """Raise a `DataError` that names the first NaN or infinity and counts them all."""
        for what, values in (("inputs", self.inputs), ("targets", self.targets)):
            bad = ~np.isfinite(values)
            count = int(bad.sum())
            if not count:
                continue
            row, *place = (int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))
            column = f"column {place[0]}" if len(place) == 1 else f"position {tuple(place)}"
            if what == "inputs" and self.feature_names is not None:
                column += f" ({self.feature_names[place[0]]!r})"
            raise DataError(
                f"{self.name}: {count} of {values.size} numbers in its {what} are NaN or infinite; the first "
                f"is {values[(row, *place)]} in row {row}, {column} (counting from 0). "
                f"Remove or fill in such rows."
            )

    def _check_inputs(self) -> None:
        if self.inputs.dtype not in (np.float32, np.float64):
            raise DataError(f"{self.name}: inputs must be float32 or float64, got {self.inputs.dtype}")
        if self.inputs.ndim < 2:
            raise DataError(
                f"{self.name}: inputs must be (N, ...) with at least two axes, got {self.inputs.shape}; "
                f"one number per row is inputs.reshape(-1, 1)"
            )
        if self.inputs.size == 0:
            raise DataError(f"{self.name}: the data set is empty: inputs have shape {self.inputs.shape}")
        if self.targets.ndim == 0 or len(self.targets) != len(self.inputs):
            raise DataError(
                f"{self.name}: inputs and targets must have as many rows, got inputs {self.inputs.shape} and "
                f"targets {self.targets.shape}"
            )
        names = self.feature_names
        if names is not None and (self.inputs.ndim != 2 or len(names) != self.inputs.shape[1]):
            raise DataError(f"{self.name}: {len(names)} feature names for inputs {self.inputs.shape}")

    def _check_labels(self) -> None:
        if self.targets.ndim != 1:
            raise DataError(
                f"{self.name}: integer targets are class labels and must be (N,), got {self.targets.shape}; "
                f"for one-hot rows use targets.argmax(axis=1), for regression use floats"
            )
        if not self.classes:
            raise DataError(f"{self.name}: class labels need `classes`, the name of each label")
        wrong = np.flatnonzero((self.targets < 0) | (self.targets >= len(self.classes)))
        if len(wrong):
            raise DataError(
                f"{self.name}: labels must be from 0 to {len(self.classes) - 1}, one per class; "
                f"got {self.targets[wrong[0]]} in row {wrong[0]}"
            )

    def _check_regression(self) -> None:
        if self.targets.dtype not in (np.float32, np.float64):
            raise DataError(
                f"{self.name}: targets must be integer labels (N,) or float32 or float64 (N, K), "
                f"got {self.targets.dtype} {self.targets.shape}"
            )
        if self.targets.ndim != 2 or self.targets.shape[1] == 0:
            raise DataError(
                f"{self.name}: regression targets must be (N, K), got {self.targets.shape}; "
                f"one number per row is targets.reshape(-1, 1), class labels are integers"
            )
        if self.classes is not None:
            raise DataError(f"{self.name}: `classes` belongs to integer labels, the targets are floats")
