"""The three parts of the data of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ...backends.errors import DataError
from ...backends.options import shown
from .dataset import Dataset
from .scaling import Scaling


@dataclass(frozen=True, eq=False)
class Splits:
    """The train, validation (or None) and test sets of one task."""

    train: Dataset
    validation: Dataset | None
    test: Dataset

    def __post_init__(self) -> None:
        for part, data in (("train", self.train), *self.parts().items(), ("test", self.test)):
            if not isinstance(data, Dataset):
                raise DataError(f"Splits: expected {part} to be a Dataset, got {shown(data)}")
        for part, data in self.parts().items():
            for what, mine, theirs in (
                ("input shape", data.shape, self.train.shape),
                ("classes", data.classes, self.train.classes),
                ("number of outputs", data.n_outputs, self.train.n_outputs),
            ):
                if mine != theirs:
                    raise DataError(f"Splits: expected the {what} of train, {theirs}, got {mine} in {part}")

    def parts(self) -> dict[str, Dataset]:
        """Return the sets by name, without an absent validation set."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: data for name, data in named.items() if data is not None}

    def standardized(self) -> tuple[Splits, Scaling]:
        """Standardize the inputs of all parts by the mean and scale of train; return parts and scaling."""
        scaling = Scaling.fit(self.train.inputs)
        return self._each(lambda data: data.standardized(scaling)[0]), scaling

    def standardized_targets(self) -> tuple[Splits, Scaling]:
        """Standardize the targets (N, K) of all parts by those of train; return parts and scaling."""
        if not np.isfinite(self.train.targets).all():
            self.check_finite()  # names the row
        scaling = Scaling.fit(self.train.targets)
        return self._each(lambda data: replace(data, targets=scaling.apply(data.targets))), scaling

    def check_finite(self) -> None:
        """Raise a DataError at the first NaN or infinity; it names the part."""
        for part, data in self.parts().items():
            try:
                data.check_finite()
            except DataError as error:
                raise DataError(f"{part} part of {error}") from error

    def _each(self, change: Callable[[Dataset], Dataset]) -> Splits:
        parts = {name: change(data) for name, data in self.parts().items()}
        return Splits(parts["train"], parts.get("validation"), parts["test"])
