"""The folder of a run: model, run.json, history and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ... import __version__
from ...backends.host import Host
from ...layers.losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, Loss, NLLLoss
from .. import pictures
from ..data import Circle, circle
from ..files import atomic_write, to_json
from ..loop import metrics
from ..loop.objective import decision_threshold
from .checkpoint import FORMAT, save_model
from .experiment import Experiment

# The function that turns outputs into probabilities, by loss.
_LINKS: dict[type[Loss], str] = {
    CrossEntropyLoss: "softmax",
    NLLLoss: "exp",
    BCEWithLogitsLoss: "sigmoid",
    BCELoss: "none",
}


def save_run(experiment: Experiment, folder: Path) -> list[Path]:
    """Write the model, run.json, the history and pictures into a folder; return the paths."""
    files = [folder / "model.safetensors", folder / "run.json"]
    save_model(files[0], experiment.model, _description(experiment))
    recipe = experiment.recipe.to_dict()
    record = {"format": FORMAT, "lamina": __version__, "recipe": recipe, "results": experiment.results}
    atomic_write(files[1], (to_json(record, indent=2) + "\n").encode())
    history = experiment.trainer.history
    if len(history):
        history.to_json(folder / "history.json")
        files += [folder / "history.json", *_pictures(experiment, folder)]
    return files


def _description(experiment: Experiment) -> dict[str, Any]:
    """Return all that `Predictor` needs beside the weights."""
    train, scaling, target_scaling = experiment.splits.train, experiment.scaling, experiment.target_scaling
    return {
        "format": FORMAT,
        "model": experiment.network.to_dict(),
        "recipe": experiment.recipe.to_dict(),
        "classes": train.classes,
        "features": train.feature_names,
        "target": train.target_name,
        "scaling": scaling.to_dict() if scaling else None,
        "target_scaling": target_scaling.to_dict() if target_scaling else None,
        "threshold": decision_threshold(experiment.loss),
        "link": _LINKS.get(type(experiment.loss), ""),
    }


def _pictures(experiment: Experiment, folder: Path) -> list[Path]:
    """Draw the learning curves and the predictions for the test set."""
    test = experiment.splits.test
    curves = folder / "curves.png"
    baseline = experiment.results.get("baseline_accuracy")
    pictures.learning_curves(experiment.trainer.history, curves, title=test.name, baseline=baseline)
    outputs = experiment.trainer.predict(test.inputs)
    if not np.isfinite(outputs).all():
        return [curves]
    if test.classes is None:
        scatter = folder / "predictions.png"
        targets, predictions = experiment.in_units(test.targets), experiment.in_units(outputs)
        pictures.regression_scatter(targets, predictions, scatter, title=test.name)
        return [curves, scatter]
    return [curves, *_classification(experiment, outputs, test.classes, folder)]


def _classification(
    experiment: Experiment, outputs: Host, classes: tuple[str, ...], folder: Path
) -> list[Path]:
    """Draw the confusion matrix and, for points in the plane, the boundary between the classes."""
    test, threshold = experiment.splits.test, decision_threshold(experiment.loss)
    confusion = folder / "confusion.png"
    predicted = metrics.predicted_classes(outputs, threshold)
    matrix = metrics.confusion_matrix(test.targets, predicted, len(classes))
    pictures.confusion_matrix(matrix, classes, confusion, title=test.name)
    if test.shape != (2,):
        return [confusion]
    boundary = folder / "boundary.png"
    pictures.decision_boundary(
        experiment.trainer.predict,
        test.inputs,
        test.targets,
        boundary,
        classes=classes,
        circle=_circles(experiment),
        title=test.name,
        threshold=threshold,
    )
    return [confusion, boundary]


def _circles(experiment: Experiment) -> list[Circle] | None:
    """Return the true boundary of the disc; None for other data, or scaled data."""
    recipe = experiment.recipe
    if recipe.source != "disc" or recipe.standardize:
        return None
    return list(circle(recipe.variant or "jin"))
