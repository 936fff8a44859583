"""A trained model with what belongs to it: scaling, class names, threshold; ready for new data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..backends import Backend, DataError
from ..layers import Module, inference
from . import metrics
from .checkpoint import load_model
from .data import Dataset, Scaling, read_csv, read_npz
from .data.table import read_features
from .recipe import Recipe

Host = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Predictor:
    """What `lamina predict` runs."""

    model: Module
    input_shape: tuple[int, ...]
    classes: tuple[str, ...] | None
    features: tuple[str, ...] | None
    scaling: Scaling | None
    target_scaling: Scaling | None
    threshold: float
    link: str
    """What makes probabilities of the outputs: "softmax", "exp", "sigmoid", or "" where nothing does."""
    recipe: Recipe

    @classmethod
    def load(cls, path: Path, backend: str | Backend | None = None) -> Predictor:
        """Load a model file that `lamina train` wrote. Raises DataError for any other."""
        model, description = load_model(path, backend)
        try:
            recipe = {k: tuple(v) if isinstance(v, list) else v for k, v in description["recipe"].items()}
            scalings = [description[key] for key in ("scaling", "target_scaling")]
            return cls(
                model,
                tuple(description["model"]["input_shape"]),
                _names(description["classes"]),
                _names(description["features"]),
                *(Scaling.from_dict(found) if found else None for found in scalings),
                float(description["threshold"]),
                str(description["link"]),
                Recipe(**recipe),
            )
        except (KeyError, TypeError) as error:
            raise DataError(f"'{path}' was not written by `lamina train`: {error} is wrong or missing.") from error

    def __call__(self, inputs: Host, *, batch_size: int = 1024) -> Host:
        """Return outputs (N, K) for raw inputs (N, ...): scores, or numbers in the target's own units."""
        if inputs.shape[1:] != self.input_shape:
            want = ", ".join(["N", *map(str, self.input_shape)])
            raise DataError(f"the model takes inputs ({want}), got {inputs.shape}")
        b = self.model.backend
        scaled = inputs if self.scaling is None else self.scaling.apply(inputs)
        parts = []
        for start in range(0, len(scaled), batch_size):
            with b.session(), inference():
                parts.append(b.to_host(self.model(b.from_host(scaled[start : start + batch_size]))))
        outputs = np.concatenate(parts)
        if self.target_scaling is None:
            return outputs
        restored: Host = outputs * self.target_scaling.scale + self.target_scaling.mean
        return restored

    def labels(self, outputs: Host) -> list[str]:
        """Return the class name of each row of outputs (N, K), "?" where a score is NaN."""
        assert self.classes is not None
        predicted = metrics.predicted_classes(outputs, self.threshold)
        return ["?" if i < 0 else self.classes[i] for i in predicted]

    def certainties(self, outputs: Host) -> Host:
        """Return the probability of the predicted class (N,), or its bare score where there is no link."""
        if self.link == "softmax":
            return np.exp(outputs.max(axis=1) - np.logaddexp.reduce(outputs.astype(np.float64), axis=1))
        top: Host = outputs.max(axis=1)
        if self.link == "sigmoid":
            return 1.0 / (1.0 + np.exp(-np.abs(top)))
        return np.exp(top) if self.link == "exp" else top

    def read(self, source: str | None) -> tuple[Host, Dataset | None]:
        """Return (inputs, the data set if its targets are known) of a file, or of the test set trained with."""
        if source is None:
            test = self.recipe.load().test
            return test.inputs, test
        path = Path(source)
        if path.suffix.lower() not in (".csv", ".tsv", ".npz"):
            raise DataError(f"{source}: expected a .csv, .tsv or .npz file")
        if path.suffix.lower() == ".npz":
            data = read_npz(path, task=self.recipe.task)  # type: ignore[arg-type]
            return data.inputs, self._matched(data)
        count = int(np.prod(self.input_shape))
        try:
            inputs = read_features(path, count, self.features)
        except DataError:
            if self._columns(path) != count + 1:
                raise
            data = read_csv(path, target=self.recipe.target, task=self.recipe.task)  # type: ignore[arg-type]
            return data.inputs, self._matched(data)
        return inputs.reshape(-1, *self.input_shape), self._with_targets(path)

    def _with_targets(self, path: Path) -> Dataset | None:
        """Return the file with its targets, where it has a target column beside the features."""
        if self._columns(path) <= int(np.prod(self.input_shape)):
            return None
        try:
            return self._matched(read_csv(path, target=self.recipe.target, task=self.recipe.task))  # type: ignore[arg-type]
        except DataError:
            return None

    def _columns(self, path: Path) -> int:
        from .data.text import read_text

        return read_text(path).width

    def _matched(self, data: Dataset) -> Dataset | None:
        """Return the data with labels numbered as the model numbers them; None where a class is unknown to it."""
        if (data.classes is None) != (self.classes is None) or data.classes is None or self.classes is None:
            return data if data.classes is None and self.classes is None else None
        if not set(data.classes) <= set(self.classes):
            return None
        numbers = np.array([self.classes.index(name) for name in data.classes])
        return Dataset(data.name, data.inputs, numbers[data.targets], self.classes, data.feature_names)


def _names(value: Any) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)
