"""The three parts that a training run uses."""

from __future__ import annotations

from dataclasses import dataclass

from ...backends.errors import DataError
from .dataset import Dataset
from .scaling import Scaling


@dataclass(frozen=True, eq=False)
class Splits:
    """Train, validation (or None) and test sets of one task: one input shape, one list of classes."""

    train: Dataset
    validation: Dataset | None
    test: Dataset

    def __post_init__(self) -> None:
        for part, data in self.parts().items():
            for what, mine, theirs in (
                ("input shape", data.shape, self.train.shape),
                ("classes", data.classes, self.train.classes),
                ("number of outputs", data.n_outputs, self.train.n_outputs),
            ):
                if mine != theirs:
                    raise DataError(f"Splits: the {what} of {part} is {mine}, but of train it is {theirs}")

    def parts(self) -> dict[str, Dataset]:
        """Return the sets that are there by name, in the order train, validation, test."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: data for name, data in named.items() if data is not None}

    def standardized(self) -> tuple[Splits, Scaling]:
        """Standardise all parts by the mean and scale of train alone; return them and the scaling."""
        scaling = Scaling.fit(self.train.inputs)
        scaled = {part: data.standardized(scaling)[0] for part, data in self.parts().items()}
        return Splits(scaled["train"], scaled.get("validation"), scaled["test"]), scaling

    def flattened(self) -> Splits:
        """Return the parts with inputs (N, D)."""
        flat = {part: data.flattened() for part, data in self.parts().items()}
        return Splits(flat["train"], flat.get("validation"), flat["test"])

    def check_finite(self) -> None:
        """Raise a `DataError` at the first NaN or infinity, naming the part."""
        for part, data in self.parts().items():
            try:
                data.check_finite()
            except DataError as error:
                raise DataError(f"{part} part of {error}") from error
