"""A data set in memory: inputs, targets and their names, checked when it is made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ...backends.errors import DataError
from ...backends.host import Host, check_unmasked
from ...backends.options import shown
from .partition import partition
from .scaling import FloatArray, Scaling


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Inputs with their targets, as host (numpy) arrays.

    Parameters
    ----------
    name : str
        Its name in messages and plots.
    inputs : numpy.ndarray
        (N, ...) float32 or float64, one input per row.
    targets : numpy.ndarray
        (N,) integers (kept as int64) for classification, or (N, K) float32 or float64 for regression.
    classes : sequence of str, optional
        The name of each label 0 .. K-1; required for labels, forbidden for numbers.
    feature_names : sequence of str, optional
        The name of each column of inputs (N, D).
    target_name : str, optional
        The name of the targets' column.
    notes : sequence of str
        What a reader did that the user should know: how a header was read, classes that look alike.
    """

    name: str
    inputs: FloatArray
    targets: Host
    classes: tuple[str, ...] | None = None
    feature_names: tuple[str, ...] | None = None
    target_name: str | None = None
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        shape = tuple(self.inputs.shape[1:])
        kind = f"{self.targets.shape[1]} numbers" if self.classes is None else f"{len(self.classes)} classes"
        return f"<data set {self.name}: {len(self)} samples of shape {shape}, {kind}>"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise DataError(f"Dataset: expected name to be text, got {shown(self.name)}")
        for option in ("classes", "feature_names"):
            object.__setattr__(self, option, self._names(option))
        for what, values in (("inputs", self.inputs), ("targets", self.targets)):
            check_unmasked(f"{self.name}: {what}", values)
            if not isinstance(values, np.ndarray):
                raise DataError(f"{self.name}: expected {what} to be a numpy array, got {shown(values)}")
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
        """The number of outputs of a model for this data: its classes, or the K of targets (N, K)."""
        return int(self.targets.shape[1]) if self.classes is None else len(self.classes)

    def subset(self, indices: npt.ArrayLike) -> Dataset:
        """Return the rows with these numbers (M,), in their order."""
        try:
            rows = np.asarray(indices)
        except ValueError:
            got = shown(indices)
            raise DataError(f"{self.name}: expected integer row numbers (M,), got {got}") from None
        if rows.ndim != 1 or (rows.size and not np.issubdtype(rows.dtype, np.integer)):
            raise DataError(f"{self.name}: expected integer row numbers (M,), got {rows.dtype} {rows.shape}")
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            raise DataError(
                f"{self.name}: expected row numbers from 0 to {len(self) - 1}, "
                f"got {rows.min()} to {rows.max()}"
            )
        rows = rows.astype(np.int64)
        return replace(self, inputs=self.inputs[rows], targets=self.targets[rows])

    def split(self, fractions: Sequence[float], *, seed: int, stratified: bool = True) -> tuple[Dataset, ...]:
        """Split into disjoint, shuffled parts that hold every row.

        Parameters
        ----------
        fractions : sequence of float
            One per part, each above 0; their sum is 1.
        seed : int
            Equal seeds give equal parts.
        stratified : bool
            Keep the share of each class in each part, to within one row; ignored for regression.
        """
        labels = self.targets if stratified and self.classes is not None else np.zeros(len(self), np.int64)
        try:
            parts = partition(labels, fractions, seed=seed)
        except DataError as error:
            raise DataError(f"{self.name}: {error}") from error
        return tuple(self.subset(part) for part in parts)

    def standardized(self, by: Scaling | Dataset | None = None) -> tuple[Dataset, Scaling]:
        """Return the set with mean 0 and standard deviation 1 per feature, and the scaling.

        `by` is the scaling, or the set to fit it to; by default this set.
        """
        if by is not None and not isinstance(by, (Scaling, Dataset)):
            raise DataError(
                f"{self.name}: expected a Scaling or a Dataset to standardize by, got {shown(by)}"
            )
        scaling = by if isinstance(by, Scaling) else Scaling.fit((by or self).inputs)
        return replace(self, inputs=scaling.apply(self.inputs)), scaling

    def check_finite(self) -> None:
        """Raise a DataError with the place of the first NaN or infinity and the number of all."""
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
                f"{self.name}: expected finite {what}, got {count} of {values.size} numbers NaN or infinite; "
                f"the first is {values[(row, *place)]} in row {row}, {column} (counting from 0). "
                f"Remove these rows or fill them in."
            )

    def _names(self, option: str) -> tuple[str, ...] | None:
        """Return a list of names as a tuple."""
        value = getattr(self, option)
        if value is None:
            return None
        names = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (None,)
        if not all(isinstance(name, str) for name in names):
            raise DataError(f"{self.name}: expected {option} to be a list of names, got {shown(value)}")
        return names

    def _check_inputs(self) -> None:
        if self.inputs.dtype not in (np.float32, np.float64):
            raise DataError(f"{self.name}: expected inputs of float32 or float64, got {self.inputs.dtype}")
        if self.inputs.ndim < 2:
            raise DataError(
                f"{self.name}: expected inputs (N, ...) with at least two axes, got {self.inputs.shape}; "
                f"for one number per row use inputs.reshape(-1, 1)"
            )
        if self.inputs.size == 0:
            raise DataError(f"{self.name}: expected at least one number, got inputs {self.inputs.shape}")
        if self.targets.ndim == 0 or len(self.targets) != len(self.inputs):
            raise DataError(
                f"{self.name}: expected as many targets as inputs, got inputs {self.inputs.shape} and "
                f"targets {self.targets.shape}"
            )
        names = self.feature_names
        if names is not None and (self.inputs.ndim != 2 or len(names) != self.inputs.shape[1]):
            raise DataError(
                f"{self.name}: expected one feature name per column of inputs (N, D), "
                f"got {len(names)} for inputs {self.inputs.shape}"
            )

    def _check_labels(self) -> None:
        if self.targets.ndim != 1:
            raise DataError(
                f"{self.name}: expected class labels (integers) of shape (N,), got {self.targets.shape}; "
                f"for one-hot rows use targets.argmax(axis=1), for regression use floats"
            )
        if not self.classes:
            raise DataError(f"{self.name}: expected `classes`, the name of each label, got none")
        wrong = np.flatnonzero((self.targets < 0) | (self.targets >= len(self.classes)))
        if len(wrong):
            raise DataError(
                f"{self.name}: expected labels from 0 to {len(self.classes) - 1}, one per class, "
                f"got {self.targets[wrong[0]]} in row {wrong[0]}"
            )

    def _check_regression(self) -> None:
        if self.targets.dtype not in (np.float32, np.float64):
            raise DataError(
                f"{self.name}: expected integer labels (N,), or numbers (N, K) of float32 or float64, "
                f"got {self.targets.dtype} {self.targets.shape}"
            )
        if self.targets.ndim != 2 or self.targets.shape[1] == 0:
            raise DataError(
                f"{self.name}: expected regression targets (N, K), got {self.targets.shape}; "
                f"for one number per row use targets.reshape(-1, 1), for class labels integers"
            )
        if self.classes is not None:
            raise DataError(f"{self.name}: expected integer labels with `classes`, got {self.targets.dtype}")
