"""`Predictor`: a trained model with its scaling, its class names and its threshold."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...backends import Backend, DataError
from ...backends.host import Host
from ...layers import Module, inference
from ..data import Scaling
from ..loop import metrics
from ..onnx import load_onnx, read_metadata
from .checkpoint import load_model
from .recipe import Recipe


@dataclass(frozen=True)
class Predictor:
    """A model that takes raw inputs and gives outputs in the units of the data."""

    model: Module
    input_shape: tuple[int, ...]
    classes: tuple[str, ...] | None
    features: tuple[str, ...] | None
    target: str | None
    scaling: Scaling | None
    target_scaling: Scaling | None
    threshold: float
    link: str
    """Turns outputs into probabilities: softmax, exp or sigmoid; "none" if they are probabilities already,
    "" if they are none."""
    recipe: Recipe | None = None
    """The recipe of the training, if known."""
    batch_size: int = 1024
    """Samples in a call of the model."""

    @classmethod
    def load(cls, path: Path, backend: str | Backend | None = None) -> Predictor:
        """Load a model file of `lamina train` or `lamina export`, or any ONNX file; else raise DataError."""
        if path.suffix == ".onnx":
            return cls._from_onnx(path, backend)
        model, description = load_model(path, backend)
        return cls._described(model, description, path)

    @classmethod
    def _from_onnx(cls, path: Path, backend: str | Backend | None) -> Predictor:
        """Load an ONNX file: one of `lamina export` has a description, any other gives plain numbers."""
        graph = load_onnx(path, backend=backend)
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise DataError(
                f"'{path}': expected one input and one output, "
                f"got {len(graph.inputs)} inputs and {len(graph.outputs)} outputs"
            )
        if text := read_metadata(path).get("lamina"):
            try:
                description = json.loads(text)
            except ValueError as error:
                raise DataError(f"'{path}': the description of the model is damaged: {error}") from error
            # The scaling is a part of the ONNX graph.
            return cls._described(graph, {**description, "scaling": None, "target_scaling": None}, path)
        if graph.input_shape is None:
            raise DataError(f"'{path}': expected a fixed shape of one sample; export the model with one")
        batch = (graph.inputs[0].shape or (None,))[0]
        size = batch if isinstance(batch, int) else cls.batch_size
        return cls(graph, graph.input_shape, None, None, None, None, None, 0.0, "", batch_size=size)

    @classmethod
    def _described(cls, model: Module, description: dict[str, Any], path: Path) -> Predictor:
        try:
            return cls(
                model,
                input_shape=tuple(description["model"]["input_shape"]),
                classes=_names(description["classes"]),
                features=_names(description["features"]),
                target=description["target"],
                scaling=_scaling(description["scaling"]),
                target_scaling=_scaling(description["target_scaling"]),
                threshold=float(description["threshold"]),
                link=str(description["link"]),
                recipe=Recipe.from_dict(description["recipe"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"'{path}': expected a model of `lamina train`; {error} is wrong or missing"
            ) from error

    def __call__(self, inputs: Host) -> Host:
        """Return outputs (N, K) for raw inputs (N, ...): scores, or numbers in the units of the target."""
        if inputs.shape[1:] != self.input_shape or len(inputs) == 0:
            wanted = ", ".join(["N", *map(str, self.input_shape)])
            raise DataError(f"the model: expected inputs ({wanted}) with N of at least 1, got {inputs.shape}")
        b = self.model.backend
        scaled = inputs if self.scaling is None else self.scaling.apply(inputs)
        parts = []
        for start in range(0, len(scaled), self.batch_size):
            with b.session(), inference():
                parts.append(b.to_host(self.model(b.from_host(scaled[start : start + self.batch_size]))))
        outputs = np.concatenate(parts)
        if outputs.ndim != 2:
            raise DataError(f"the model: expected outputs (N, K), got {outputs.shape}")
        return outputs if self.target_scaling is None else self.target_scaling.undo(outputs)

    def labels(self, outputs: Host) -> list[str]:
        """Return the class name of each row of outputs (N, K), "?" if a score is NaN."""
        assert self.classes is not None
        predicted = metrics.predicted_classes(outputs, self.threshold)
        return ["?" if i < 0 else self.classes[i] for i in predicted]

    def certainties(self, outputs: Host) -> Host:
        """Return the probability of the predicted class (N,), or its score if there is no link."""
        scores = outputs.astype(np.float64)
        top: Host = scores.max(axis=1)
        if self.link == "softmax":
            with np.errstate(invalid="ignore"):  # an infinite score gives NaN
                shares: Host = np.exp(scores - top[:, None])
                return np.asarray(1.0 / shares.sum(axis=1))
        if self.link == "sigmoid":
            return np.asarray(1.0 / (1.0 + np.exp(-np.abs(top))))
        if self.link == "none":
            return np.maximum(top, 1.0 - top)
        return np.exp(top) if self.link == "exp" else top


def _names(value: Any) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)


def _scaling(value: Any) -> Scaling | None:
    return None if value is None else Scaling.from_dict(value)
