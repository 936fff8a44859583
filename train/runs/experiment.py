"""One training run from a recipe: data, model, training, test, and what is kept of it in a folder."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ... import __version__
from ...backends import Backend, get_backend
from ...backends.host import limit_threads
from ...backends.select import environment
from ...layers import Sequential, manual_seed
from ...layers.losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, Loss, NLLLoss
from ..data import Scaling, Splits, circle
from ..files import atomic_write, to_json
from ..loop import metrics
from ..loop.callbacks import BestWeights, Callback, EarlyStopping
from ..loop.objective import decision_threshold
from ..loop.trainer import Trainer
from ..models import Description
from ..pictures import plots
from .checkpoint import save_model
from .recipe import Recipe

Host = np.ndarray[Any, Any]
_FLOPS_WORTH_THREADS = 3e8
# What makes probabilities of a model's outputs, by the loss it was trained with.
_LINKS: dict[type[Loss], str] = {
    CrossEntropyLoss: "softmax",
    NLLLoss: "exp",
    BCEWithLogitsLoss: "sigmoid",
    BCELoss: "none",
}


@dataclass
class Experiment:
    """A run that is ready to go: everything is made, and nothing has been learnt."""

    recipe: Recipe
    backend: Backend
    splits: Splits
    """As the model sees them: standardised where the recipe says so."""
    scaling: Scaling | None
    target_scaling: Scaling | None
    network: Description
    model: Sequential
    loss: Loss
    trainer: Trainer
    results: dict[str, Any] = field(default_factory=dict)
    interrupted: bool = False
    seconds: float = 0.0
    """How long the training took."""

    @classmethod
    def prepare(cls, recipe: Recipe, *, progress: bool = False) -> Experiment:
        """Load the data and make everything; whatever is wrong with the recipe is said here."""
        recipe = recipe.settled()
        backend = get_backend()
        manual_seed(recipe.seed)
        splits = recipe.load()
        scaling = target_scaling = None
        if recipe.standardize:
            splits, scaling = splits.standardized()
        if splits.train.classes is None:
            if not np.isfinite(splits.train.targets).all():
                splits.check_finite()  # this says where
            target_scaling = Scaling.fit(splits.train.targets)
            splits = _scaled_targets(splits, target_scaling)
        loss = recipe.make_loss(splits.train, backend)
        network = recipe.describe_model(splits.train, loss)
        model = network.build(backend)
        assert recipe.batch_size is not None  # it is settled
        _suit_threads(model, splits.train.shape, recipe.batch_size)
        trainer = Trainer(
            model,
            loss,
            recipe.make_optimizer(model),
            schedule=recipe.make_schedule(),
            callbacks=_callbacks(recipe, splits),
            clip_norm=recipe.clip_norm,
            seed=recipe.seed,
            progress=progress,
        )
        return cls(recipe, backend, splits, scaling, target_scaling, network, model, loss, trainer)

    def run(self) -> dict[str, Any]:
        """Train and test; Ctrl-C ends the training, and what was learnt so far is tested."""
        self.train()
        return self.test()

    def train(self) -> None:
        """Train, until the end or Ctrl-C."""
        epochs, batch_size = self.recipe.epochs, self.recipe.batch_size
        assert epochs is not None
        assert batch_size is not None
        start = time.perf_counter()
        try:
            self.trainer.fit(
                self.splits.train,
                self.splits.validation,
                epochs=epochs,
                batch_size=batch_size,
            )
        except KeyboardInterrupt:
            self.interrupted = True
        self.seconds = time.perf_counter() - start

    def test(self) -> dict[str, Any]:
        """Return what the model is worth on the test set, and facts about the run."""
        self.results = {**self._scores(), "seconds": self.seconds, **self._facts()}
        return self.results

    def save(self, folder: Path) -> list[Path]:
        """Write model, run.json, history and pictures into a folder, in this order; return the paths."""
        description = {
            "model": self.network.to_dict(),
            "recipe": self.recipe.to_dict(),
            "classes": self.splits.train.classes,
            "features": self.splits.train.feature_names,
            "target": self.splits.train.target_name,
            "scaling": self.scaling.to_dict() if self.scaling else None,
            "target_scaling": self.target_scaling.to_dict() if self.target_scaling else None,
            "threshold": decision_threshold(self.loss),
            "link": _LINKS.get(type(self.loss), ""),
        }
        files = [folder / "model.safetensors", folder / "run.json"]
        save_model(files[0], self.model, description)
        record = {"lamina": __version__, "recipe": self.recipe.to_dict(), "results": self.results}
        atomic_write(files[1], (to_json(record, indent=2) + "\n").encode())
        if len(self.trainer.history):
            self.trainer.history.to_json(folder / "history.json")
            files += [folder / "history.json", *self._pictures(folder)]
        return files

    # -- inside ------------------------------------------------------------------------------------

    def _scores(self) -> dict[str, Any]:
        """Return test and validation figures, and what one gets without learning."""
        splits, trainer = self.splits, self.trainer
        test = trainer.evaluate(splits.test)
        scores: dict[str, Any] = {"test_loss": test["loss"]}
        if splits.test.classes is None:
            outputs, targets = self._in_own_units(trainer.predict(splits.test.inputs)), splits.test.targets
            targets = self._in_own_units(targets)
            scores["test_r2"] = metrics.r2(outputs, targets)
            scores["test_rmse"] = metrics.mean_squared_error(outputs, targets) ** 0.5
        else:
            scores["test_accuracy"] = test["accuracy"]
            scores["baseline_accuracy"] = metrics.majority_baseline(splits.train.targets, splits.test.targets)
        if splits.validation is not None:
            for name, value in trainer.evaluate(splits.validation).items():
                scores[f"validation_{name}"] = value
        return scores

    def _in_own_units(self, values: Host) -> Host:
        """Return standardised targets or outputs (N, K) as the data have them."""
        return values if self.target_scaling is None else self.target_scaling.undo(values)

    def _facts(self) -> dict[str, Any]:
        return {
            "epochs": self.trainer.epoch,
            "interrupted": self.interrupted,
            "stopped": self.trainer.stopped,
            "parameters": sum(p.size for p in self.model.parameters()),
            "train_samples": len(self.splits.train),
            "test_samples": len(self.splits.test),
            "source": self.recipe.source,
            "seed": self.recipe.seed,
            "backend": self.backend.spec,
            "dtype": self.backend.default_dtype,
        }

    def _pictures(self, folder: Path) -> list[Path]:
        test, classes = self.splits.test, self.splits.test.classes
        curves = folder / "curves.png"
        baseline = self.results.get("baseline_accuracy")
        plots.learning_curves(self.trainer.history, curves, title=test.name, baseline=baseline)
        outputs = self.trainer.predict(test.inputs)
        if not np.isfinite(outputs).all():
            return [curves]
        if classes is None:
            path = folder / "predictions.png"
            true, guess = self._in_own_units(test.targets), self._in_own_units(outputs)
            plots.regression_scatter(true, guess, path, title=test.name)
            return [curves, path]
        threshold = decision_threshold(self.loss)
        predicted = metrics.predicted_classes(outputs, threshold)
        path = folder / "confusion.png"
        matrix = metrics.confusion_matrix(test.targets, predicted, len(classes))
        plots.confusion_matrix(matrix, classes, path, title=test.name)
        pictures = [curves, path]
        if test.shape == (2,):
            pictures.append(folder / "boundary.png")
            plots.decision_boundary(
                self.trainer.predict,
                test.inputs,
                test.targets,
                pictures[-1],
                classes=classes,
                circle=_circles(self.recipe),
                title=test.name,
                threshold=threshold,
            )
        return pictures


def _suit_threads(model: Sequential, shape: tuple[int, ...], batch_size: int) -> None:
    """Run small steps on one thread: to wake a second one takes longer than their ops do."""
    flops = 3 * batch_size * model.summary(shape).flops  # forward, and backward twice that
    if flops < _FLOPS_WORTH_THREADS and environment("LAMINA_THREADS") is None:
        limit_threads(1)


def _callbacks(recipe: Recipe, splits: Splits) -> list[Callback]:
    monitor = "validation_loss" if splits.validation is not None else "train_loss"
    callbacks: list[Callback] = []
    if recipe.patience is not None:
        callbacks.append(EarlyStopping(monitor, recipe.patience))
    if recipe.best:
        callbacks.append(BestWeights(monitor))
    return callbacks


def _scaled_targets(splits: Splits, scaling: Scaling) -> Splits:
    parts = {
        name: replace(data, targets=scaling.apply(data.targets)) for name, data in splits.parts().items()
    }
    return Splits(parts["train"], parts.get("validation"), parts["test"])


def _circles(recipe: Recipe) -> list[tuple[tuple[float, float], float]] | None:
    if recipe.source != "disc" or recipe.standardize:
        return None
    return [(c.centre, c.radius) for c in circle(recipe.variant or "jin")]
