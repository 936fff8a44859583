"""`Experiment`: one training run of a recipe, from the data to the scores on the test set."""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...backends import Backend
from ...backends.host import Host, limited_threads
from ...backends.select import environment
from ...layers import Sequential, manual_seed
from ...layers.losses import Loss
from ..data import Scaling, Splits
from ..loop import metrics
from ..loop.callbacks import BestWeights, Callback, EarlyStopping
from ..loop.schedule_parser import parse_schedule
from ..loop.trainer import Trainer
from ..models import Description
from .assemble import backend_of, describe_model, load, make_loss, make_optimizer
from .compiled import compiled_facts
from .finite import LastFinite, finite_data, finite_model
from .recipe import Recipe

_FLOPS_WORTH_THREADS = 3e8


@dataclass
class Experiment:
    """A training run: made by `prepare`, trained and tested by `run`."""

    recipe: Recipe
    backend: Backend
    splits: Splits
    """The data as the model sees them, standardized if the recipe says so."""
    scaling: Scaling | None
    target_scaling: Scaling | None
    network: Description
    model: Sequential
    loss: Loss
    trainer: Trainer
    results: dict[str, Any] = field(default_factory=dict)
    exploded: bool = False
    """Whether the training became NaN or infinite; the model then has the last finite weights."""
    kept_epoch: int = 0
    """The epoch of the model's weights, 0 for the initial ones."""
    seconds: float = 0.0
    """The duration of the training, in this process."""
    resumes: Path | None = None
    """The folder of the checkpoints that the training goes on from."""

    @classmethod
    def prepare(cls, recipe: Recipe, backend: Backend | None = None, *, progress: bool = False) -> Experiment:
        """Check the recipe, load the data and make the model; errors of the recipe are raised here.

        backend: by default the recipe's.
        """
        recipe = recipe.settled()
        assert recipe.epochs is not None and recipe.batch_size is not None  # noqa: PT018
        backend = backend_of(recipe) if backend is None else backend
        manual_seed(recipe.seed)
        splits = load(recipe)
        scaling = target_scaling = None
        if recipe.standardize:
            splits, scaling = splits.standardized()
        if splits.train.classes is None:
            splits, target_scaling = splits.standardized_targets()
        loss = make_loss(recipe, splits.train, backend)
        network = describe_model(recipe, splits.train, loss)
        model = network.build(backend)
        trainer = Trainer(
            model,
            loss,
            make_optimizer(recipe, model),
            schedule=parse_schedule(recipe.schedule, recipe.epochs),
            callbacks=_callbacks(recipe, splits),
            clip_norm=recipe.clip_norm,
            seed=recipe.seed,
            progress=progress,
            trace_nonfinite=recipe.trace_nonfinite,
            skip_nonfinite=recipe.skip_nonfinite,
        )
        return cls(recipe, backend, splits, scaling, target_scaling, network, model, loss, trainer)

    def run(self) -> dict[str, Any]:
        """Train and test."""
        self.train()
        return self.test()

    def train(self) -> None:
        """Train until the last epoch; the model then has the weights to keep."""
        with self.threads():
            start = time.perf_counter()
            finite = self._fit()
            self.seconds = time.perf_counter() - start
            self._settle(finite)

    def _settle(self, finite: LastFinite) -> None:
        """Note which weights are kept: the last finite ones if the present ones are not."""
        best = next((c.epoch for c in self.trainer.callbacks if isinstance(c, BestWeights)), 0)
        self.kept_epoch, self.exploded = best or self.trainer.epoch, self.trainer.exploded
        known = self.splits.train if self.splits.validation is None else self.splits.validation
        for row in list(self.trainer.history)[-1:]:  # the last steps may have exploded, after their losses
            if not (math.isfinite(row.get("validation_loss", 0.0)) or self.trainer.skip_nonfinite):
                self.exploded = self.exploded or finite_data(known)
        if not finite_model(self.trainer, known):
            self.kept_epoch, self.exploded = finite.restore(self.trainer, known), True

    def _fit(self) -> LastFinite:
        """Fit; return the last finite weights."""
        epochs, batch_size = self.recipe.epochs, self.recipe.batch_size
        assert epochs is not None and batch_size is not None  # noqa: PT018
        finite = LastFinite(self.trainer.model)
        self.trainer.callbacks.insert(0, finite)
        try:
            if self.resumes is not None:
                self.trainer.resume(self.resumes)
            self.trainer.fit(self.splits.train, self.splits.validation, epochs=epochs, batch_size=batch_size)
        finally:
            self.trainer.callbacks.remove(finite)
        return finite

    def test(self) -> dict[str, Any]:
        """Return the scores on the test set, and facts about the run."""
        with self.threads():
            self.results = {**self._scores(), "seconds": self.seconds, **self._facts()}
        return self.results

    def threads(self) -> AbstractContextManager[None]:
        """Use one thread inside a `with` if steps are small: waking a second one takes longer than their ops.

        LAMINA_THREADS decides instead if it is set.
        """
        flops = self.model.summary(self.splits.train.shape).flops
        step = 3 * (self.recipe.batch_size or 1) * flops  # backward costs twice as much as forward
        small = step < _FLOPS_WORTH_THREADS and environment("LAMINA_THREADS") is None
        return limited_threads(1) if small else nullcontext()

    def in_units(self, values: Host) -> Host:
        """Return standardized targets or outputs (N, K) in the units of the data."""
        return values if self.target_scaling is None else self.target_scaling.undo(values)

    def _scores(self) -> dict[str, Any]:
        """Return the scores on the test and validation sets, and the score without learning."""
        splits, trainer, test = self.splits, self.trainer, self.splits.test
        evaluated = trainer.evaluate(test)
        scores: dict[str, Any] = {"test_loss": evaluated["loss"]}
        if test.classes is None:
            outputs, targets = self.in_units(trainer.predict(test.inputs)), self.in_units(test.targets)
            scores["test_r2"] = metrics.r2(outputs, targets)
            scores["test_rmse"] = metrics.mean_squared_error(outputs, targets) ** 0.5
        else:
            scores["test_accuracy"] = evaluated["accuracy"]
            scores["baseline_accuracy"] = metrics.majority_baseline(splits.train.targets, test.targets)
        if splits.validation is not None:
            for name, value in trainer.evaluate(splits.validation).items():
                scores[f"validation_{name}"] = value
        return scores

    def _facts(self) -> dict[str, Any]:
        samples, batch_size = len(self.splits.train), self.recipe.batch_size
        assert batch_size is not None
        return {
            "epochs": self.trainer.epoch,
            "kept_epoch": self.kept_epoch,
            "best_epoch": self._best_epoch(),
            "exploded": self.exploded,
            "stopped": self.trainer.stopped,
            "nonfinite": self.trainer.nonfinite,
            "skipped_steps": self.trainer.skipped,
            "parameters": sum(p.size for p in self.model.parameters()),
            "train_samples": len(self.splits.train),
            "test_samples": len(self.splits.test),
            "source": self.recipe.source,
            "notes": list(self.splits.train.notes),
            "seed": self.recipe.seed,
            "backend": self.backend.spec,
            "dtype": self.backend.default_dtype,
            **compiled_facts(self.trainer, samples=samples, batch_size=batch_size),
        }

    def _best_epoch(self) -> int | None:
        """Return the epoch with the lowest validation loss; None if there is none."""
        history = self.trainer.history
        if "validation_loss" not in history.names or np.isnan(history.column("validation_loss")).all():
            return None
        return int(history.best("validation_loss", "min")["epoch"])


def _callbacks(recipe: Recipe, splits: Splits) -> list[Callback]:
    monitor = "validation_loss" if splits.validation is not None else "train_loss"
    callbacks: list[Callback] = []
    if recipe.patience is not None:
        callbacks.append(EarlyStopping(monitor, recipe.patience))
    if splits.validation is not None if recipe.best is None else recipe.best:
        callbacks.append(BestWeights(monitor))
    return callbacks
