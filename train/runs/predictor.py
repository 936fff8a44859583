"""A trained model with what belongs to it: scaling, class names, threshold; ready for new data."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...backends import Backend, DataError
from ...layers import Module, inference
from ..data import SOURCES, Scaling, Task, idx_splits
from ..data.npz import read_npz_rows
from ..data.table import read_rows
from ..data.targets import Targets
from ..loop import metrics
from ..onnx import load_onnx, read_metadata
from .assemble import load
from .checkpoint import load_model
from .recipe import Recipe

Host = np.ndarray[Any, Any]


@dataclass(frozen=True)
class NewData:
    """Inputs (N, ...) to predict for, and the targets where they are known, as the model numbers classes."""

    inputs: Host
    targets: Host | None = None
    note: str = ""
    """Why the targets that are there are of no use."""


@dataclass(frozen=True)
class Predictor:
    """What `lamina predict` runs."""

    model: Module
    input_shape: tuple[int, ...]
    classes: tuple[str, ...] | None
    features: tuple[str, ...] | None
    target: str | None
    scaling: Scaling | None
    target_scaling: Scaling | None
    threshold: float
    link: str
    """What makes probabilities of outputs: "softmax", "exp", "sigmoid"; "none" if they are some, else ""."""
    recipe: Recipe | None = None
    """What the model was trained by; None where that is not known."""
    batch_size: int = 1024
    """How many samples it is given at once."""

    @classmethod
    def load(cls, path: Path, backend: str | Backend | None = None) -> Predictor:
        """Load a model file that `lamina train` or `lamina export` wrote, or any ONNX file.

        Raises DataError for any other.
        """
        if path.suffix == ".onnx":
            return cls._of_onnx(path, backend)
        model, found = load_model(path, backend)
        return cls._described(model, found, path)

    @classmethod
    def _of_onnx(cls, path: Path, backend: str | Backend | None) -> Predictor:
        """Load an ONNX file: one of ours says what it is about, another gives numbers and no more."""
        graph = load_onnx(path, backend=backend)
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise DataError(
                f"'{path}' has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; "
                "only models of one each can be used here"
            )
        if written := read_metadata(path).get("lamina"):
            try:
                found = json.loads(written)
            except ValueError as error:
                raise DataError(
                    f"'{path}': what `lamina export` wrote of the model is damaged: {error}"
                ) from error
            # The file scales by itself.
            return cls._described(graph, {**found, "scaling": None, "target_scaling": None}, path)
        if graph.input_shape is None:
            raise DataError(
                f"'{path}' does not fix the shape of one sample; export it for samples of one shape"
            )
        batch = (graph.inputs[0].shape or (None,))[0]
        size = batch if isinstance(batch, int) else cls.batch_size
        return cls(graph, graph.input_shape, None, None, None, None, None, 0.0, "", batch_size=size)

    @classmethod
    def _described(cls, model: Module, found: dict[str, Any], path: Path) -> Predictor:
        try:
            return cls(
                model,
                input_shape=tuple(found["model"]["input_shape"]),
                classes=_names(found["classes"]),
                features=_names(found["features"]),
                target=found["target"],
                scaling=_scaling(found["scaling"]),
                target_scaling=_scaling(found["target_scaling"]),
                threshold=float(found["threshold"]),
                link=str(found["link"]),
                recipe=Recipe.from_dict(found["recipe"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"'{path}' was not written by `lamina train`: {error} is wrong or missing."
            ) from error

    def __call__(self, inputs: Host) -> Host:
        """Return outputs (N, K) for raw inputs (N, ...): scores, or numbers in the target's own units."""
        if inputs.shape[1:] != self.input_shape or len(inputs) == 0:
            want = ", ".join(["N", *map(str, self.input_shape)])
            raise DataError(f"the model takes inputs ({want}) with N of at least 1, got {inputs.shape}")
        b = self.model.backend
        scaled = inputs if self.scaling is None else self.scaling.apply(inputs)
        parts = []
        for start in range(0, len(scaled), self.batch_size):
            with b.session(), inference():
                parts.append(b.to_host(self.model(b.from_host(scaled[start : start + self.batch_size]))))
        outputs = np.concatenate(parts)
        if outputs.ndim != 2:
            raise DataError(f"expected outputs (N, K), the model gives {outputs.shape}")
        return outputs if self.target_scaling is None else self.target_scaling.undo(outputs)

    def labels(self, outputs: Host) -> list[str]:
        """Return the class name of each row of outputs (N, K), "?" where a score is NaN."""
        assert self.classes is not None
        predicted = metrics.predicted_classes(outputs, self.threshold)
        return ["?" if i < 0 else self.classes[i] for i in predicted]

    def certainties(self, outputs: Host) -> Host:
        """Return the probability of the predicted class (N,), or its bare score where there is no link."""
        scores = outputs.astype(np.float64)
        top: Host = scores.max(axis=1)
        if self.link == "softmax":
            with np.errstate(invalid="ignore"):  # of an output that is not finite, which gives NaN
                shares: Host = np.exp(scores - top[:, None])
                return np.asarray(1.0 / shares.sum(axis=1))
        if self.link == "sigmoid":
            return np.asarray(1.0 / (1.0 + np.exp(-np.abs(top))))
        if self.link == "none":
            return np.maximum(top, 1.0 - top)
        return np.exp(top) if self.link == "exp" else top

    def read(self, source: str | None) -> NewData:
        """Return the data of a file or a folder of IDX files; of None, the test set trained with."""
        recipe = self.recipe
        if source is None and recipe is None:
            raise DataError("the model does not say what it was trained with; name a file of data")
        if recipe is not None and (source is None or (source in SOURCES and source == recipe.source)):
            try:
                test = load(recipe).test
            except DataError as error:
                raise DataError(
                    f"the data set it was trained with is not there: {error} Name a file."
                ) from error
            return self._with_targets(test.inputs, (test.targets, test.classes))
        assert source is not None
        path = Path(source)
        task: Task = "regression" if self.classes is None else "classification"
        if path.is_dir():
            test = idx_splits(path, validation=0).test
            return self._with_targets(test.inputs, (test.targets, test.classes))
        end = path.suffix.lower()
        if end == ".npz":
            return self._with_targets(*read_npz_rows(path, task=task))
        if end in (".csv", ".tsv"):
            target = self.target or (recipe.target if recipe is not None else None)
            count = math.prod(self.input_shape)
            inputs, targets, note = read_rows(path, count, task=task, names=self.features, target=target)
            return self._with_targets(inputs.reshape(-1, *self.input_shape), targets, note)
        if source in SOURCES and recipe is not None:
            raise DataError(f"the model was trained on {recipe.source!r}, not on {source!r}")
        raise DataError(f"'{source}': expected a .csv, .tsv or .npz file, or a folder of IDX files")

    def _with_targets(self, inputs: Host, targets: Targets | None, note: str = "") -> NewData:
        """Number the labels as the model numbers them; targets that it could never hit are left out."""
        if targets is None:
            return NewData(inputs, None, note)
        values, classes = targets
        if classes is None or self.classes is None:
            fits = classes is None and self.classes is None
            return (
                NewData(inputs, values) if fits else NewData(inputs, None, "the targets are of another kind")
            )
        strange = [classes[i] for i in np.unique(values) if classes[i] not in self.classes]
        if strange:
            note = f"the targets hold the class {strange[0]!r}, the model knows {', '.join(self.classes)}"
            return NewData(inputs, None, note)
        numbers = np.array([self.classes.index(name) if name in self.classes else -1 for name in classes])
        return NewData(inputs, numbers[values])


def _names(value: Any) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)


def _scaling(value: Any) -> Scaling | None:
    return None if value is None else Scaling.from_dict(value)
