"""The folder of a run: model, run.json, history; and its pictures."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...backends.host import Host
from ...layers.losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, Loss, NLLLoss
from .. import pictures
from ..data import Circle, Dataset, circle
from ..loop import metrics
from ..loop.checkpoint_folder import checkpoints_in
from ..loop.checkpoints import Checkpoints
from ..loop.objective import decision_threshold
from ..pictures.confusion import group_names, group_of
from .experiment import Experiment
from .model_file import FORMAT, save_model
from .record import NAME, Record, State, state_of

MODEL = "model.safetensors"
CHECKPOINTS = "checkpoints"
"""The folder of the checkpoints in a run folder."""

# The function that turns outputs into probabilities, by loss.
_LINKS: dict[type[Loss], str] = {
    CrossEntropyLoss: "softmax",
    NLLLoss: "exp",
    BCEWithLogitsLoss: "sigmoid",
    BCELoss: "none",
}


def save_run(experiment: Experiment, folder: Path) -> list[Path]:
    """Write the model, run.json and the history into a folder; return the paths.

    In run.json the run is not over yet: pictures may follow, and then `record_of` says its end.
    """
    files = [folder / MODEL, folder / NAME]
    save_model(files[0], experiment.model, _description(experiment))
    record_of(experiment, "running").write(folder)
    history = experiment.trainer.history
    if len(history):
        history.to_json(folder / "history.json")
        files.append(folder / "history.json")
    return files


def record_of(experiment: Experiment, state: State) -> Record:
    """Return the record of an experiment in a state."""
    backend = experiment.backend
    return Record(experiment.recipe, backend.spec, backend.default_dtype, state, experiment.results)


def draw_run(experiment: Experiment, folder: Path) -> tuple[list[Path], list[str]]:
    """Draw the learning curves and the predictions for the test set; return the files, and what failed."""
    drawn: list[Path] = []
    failed: list[str] = []
    for name, draw in _pictures(experiment) if len(experiment.trainer.history) else ():
        path = folder / name
        if problem := pictures.attempt(name, functools.partial(draw, path)):
            failed.append(problem)
        else:
            drawn.append(path)
    return drawn, failed


def save_checkpoints(experiment: Experiment, folder: Path, every: str) -> Checkpoints:
    """Let an experiment save checkpoints in its run folder; return what saves them."""
    best = "train_loss" if experiment.splits.validation is None else "validation_loss"
    monitored = any(callback.monitor == best for callback in experiment.trainer.callbacks)
    saves = Checkpoints(
        folder / CHECKPOINTS,
        every,
        best=best if monitored else None,
        description=_description(experiment),
    )
    experiment.trainer.callbacks.append(saves)
    return saves


def model_in(folder: Path) -> Path | None:
    """Return the file with the model of a run folder: the last checkpoint's until the run is done, if any.

    None if the folder holds no model.

    Raises
    ------
    DataError
        If run.json cannot be read, or has another format.

    """
    model = folder / MODEL
    if not (model.is_file() or (folder / CHECKPOINTS).is_dir()):
        return None
    found = None if state_of(folder) == "done" else checkpoints_in(folder / CHECKPOINTS)
    if found:
        return found[-1]
    return model if model.is_file() else None


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


def _pictures(experiment: Experiment) -> Iterator[tuple[str, Callable[[Path], object]]]:
    """Yield the file name of each picture, and the function that draws it."""
    test = experiment.splits.test
    baseline = experiment.results.get("baseline_accuracy")
    history = experiment.trainer.history
    yield (
        "curves.png",
        lambda path: pictures.learning_curves(history, path, title=test.name, baseline=baseline),
    )
    outputs = experiment.trainer.predict(test.inputs)
    if not np.isfinite(outputs).all():
        return
    if test.classes is None:
        targets, predictions = experiment.in_units(test.targets), experiment.in_units(outputs)
        yield (
            "predictions.png",
            lambda path: pictures.regression_scatter(targets, predictions, path, title=test.name),
        )
        return
    threshold = decision_threshold(experiment.loss)
    predicted = metrics.predicted_classes(outputs, threshold)
    yield "confusion.png", functools.partial(_draw_confusion, test, test.classes, predicted)
    if test.shape == (2,):
        yield "boundary.png", functools.partial(_draw_boundary, experiment, test.classes, threshold)


def _draw_confusion(test: Dataset, classes: tuple[str, ...], predicted: Host, path: Path) -> None:
    k = len(classes)
    names = group_names(classes)  # a matrix of all classes may not fit in memory
    matrix = metrics.confusion_matrix(group_of(test.targets, k), group_of(predicted, k), len(names))
    correct = int((test.targets == predicted).sum())
    pictures.confusion_matrix(matrix, names, path, title=test.name, correct=correct)


def _draw_boundary(experiment: Experiment, classes: tuple[str, ...], threshold: float, path: Path) -> None:
    test = experiment.splits.test
    pictures.decision_boundary(
        experiment.trainer.predict,
        test.inputs,
        test.targets,
        path,
        classes=classes,
        circle=_circles(experiment),
        title=test.name,
        threshold=threshold,
    )


def _circles(experiment: Experiment) -> list[Circle] | None:
    """Return the true boundary of the disc; None for other data, or scaled data."""
    recipe = experiment.recipe
    if recipe.source != "disc" or recipe.standardize:
        return None
    return list(circle(recipe.variant or "jin"))
