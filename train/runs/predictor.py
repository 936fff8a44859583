"""`Predictor`: a trained model with its scaling, its class names and its threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...backends import Backend, DataError, LaminaError
from ...backends.host import Host, numbers
from ...backends.options import choice, number, shown
from ...layers import Module, inference, mode
from ...layers.call import in_own_context
from ..data import Scaling
from ..files import from_json
from ..loop import metrics
from ..loop.samples import cuts, fitting_batch
from ..models import model_from_dict
from ..onnx import load_onnx, read_metadata
from .model_file import FORMAT, load_model
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
    batch_size: int | None = None
    """Samples in a call of the model, if an ONNX file fixes it; by a sample's size if None."""

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
            description = from_json(text, f"'{path}', the description of the model")
            if isinstance(description, dict):  # the scaling is a part of the ONNX graph
                description |= {"scaling": None, "target_scaling": None}
            return cls._described(graph, description, path)
        if graph.input_shape is None:
            raise DataError(f"'{path}': expected a fixed shape of one sample; export the model with one")
        batch = (graph.inputs[0].shape or (None,))[0]
        size = batch if isinstance(batch, int) else None
        if size is not None and size < 1:
            raise DataError(f"'{path}': expected batches of at least one sample, got a model for {size}")
        return cls(graph, graph.input_shape, None, None, None, None, None, 0.0, "", batch_size=size)

    @classmethod
    def _described(cls, model: Module, description: dict[str, Any], path: Path) -> Predictor:
        try:
            if not isinstance(description, dict):
                raise DataError(f"expected a description, got {shown(description)}")
            if description.get("format", FORMAT) != FORMAT:
                got = f"{shown(description['format'])}"
                raise DataError(f"expected format {FORMAT!r}, got {got}; use the Lamina that wrote it")
            absent = [key for key in _ENTRIES if key not in description]
            if absent:
                raise DataError(f"expected the entry {absent[0]!r}, got none")
            shape = model_from_dict(description["model"]).input_shape
            features = _names(description["features"])
            if features is not None and len(features) != math.prod(shape):
                raise DataError(f"expected {math.prod(shape)} names of features, got {len(features)}")
            return cls(
                model,
                input_shape=shape,
                classes=_names(description["classes"]),
                features=features,
                target=_text(description["target"]),
                scaling=_scaling(description["scaling"]),
                target_scaling=_scaling(description["target_scaling"]),
                threshold=number("the description", "threshold", description["threshold"]),
                link=_link(description["link"]),
                recipe=Recipe.from_dict(description["recipe"]),
            )
        except LaminaError as error:
            raise DataError(f"'{path}': expected a model of `lamina train`: {error}") from error

    def check_finite(self) -> None:
        """Raise DataError if a weight is NaN or infinite."""
        for name, cell in (*self.model.named_parameters(), *self.model.named_buffers()):
            value = np.asarray(cell.backend.to_host(cell.data))
            wrong = value[~np.isfinite(value)]
            if wrong.size:
                raise DataError(
                    f"the model: expected finite weights, got {wrong[0]} in {name!r}; its training diverged: "
                    "train again with a lower learning rate (--lr)"
                )

    @in_own_context
    def __call__(self, inputs: Host) -> Host:
        """Return outputs (N, K) for raw inputs (N, ...): scores, or numbers in the units of the target."""
        inputs = numbers("the model: inputs", inputs)
        if inputs.shape[1:] != self.input_shape or len(inputs) == 0:
            wanted = ", ".join(["N", *map(str, self.input_shape)])
            raise DataError(f"the model: expected inputs ({wanted}) with N at least 1, got {inputs.shape}")
        b = self.model.backend
        scaled = inputs if self.scaling is None else self.scaling.apply(inputs)
        parts = []
        for first, last in cuts(len(scaled), self.batch_size or fitting_batch(scaled.shape)):
            with b.session(), mode(training=False), inference(), np.errstate(all="ignore"):
                parts.append(b.to_host(self.model(b.from_host(scaled[first:last]))))
        outputs = np.concatenate(parts)
        if outputs.ndim != 2:
            raise DataError(f"the model: expected outputs (N, K), got {outputs.shape}")
        self._check(outputs)
        return outputs if self.target_scaling is None else self.target_scaling.undo(outputs)

    def _check(self, outputs: Host) -> None:
        """Raise DataError if outputs (N, K) do not fit the classes or the scaling of the description."""
        k = outputs.shape[1]
        if self.classes is not None and len(self.classes) != max(k, 2):
            raise DataError(
                f"the model: expected outputs (N, {len(self.classes)}), one for each class, "
                f"got {outputs.shape}"
            )
        scaling = self.target_scaling
        if scaling is not None and scaling.mean.shape != (k,):
            wanted = ", ".join(["N", *map(str, scaling.mean.shape)])
            raise DataError(f"the model: expected outputs ({wanted}) for its scaling, got {outputs.shape}")

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


_ENTRIES = (
    "model", "recipe", "classes", "features", "target", "scaling", "target_scaling", "threshold", "link",
)  # fmt: skip
_LINKS = ("softmax", "exp", "sigmoid", "none", "")


def _names(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise DataError(f"expected a list of names, got {shown(value)}")
    return tuple(value)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise DataError(f"expected a name, got {shown(value)}")


def _link(value: Any) -> str:
    return choice("the description", "link", value, _LINKS)


def _scaling(value: Any) -> Scaling | None:
    return None if value is None else Scaling.from_dict(value)
