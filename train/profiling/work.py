"""The step that a profile measures: a network, its loss, its optimizer and a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...backends import Tensor
from ...backends.host import Host
from ...layers import Module, inference, without_input_gradient
from ...layers.losses import Loss, MSELoss
from ..data import Dataset
from ..loop.samples import Pair, Samples
from ..optimizers import SGD, Optimizer
from ..runs.assemble import make_loss, make_optimizer
from ..runs.experiment import Experiment
from ..runs.predictor import Predictor

_BATCH_SIZE = 32
_SEED = 0


@dataclass(frozen=True)
class Work:
    """A network with its loss, its optimizer (None if it has no parameters) and a batch."""

    model: Module
    loss: Loss
    optimizer: Optimizer | None
    samples: Samples

    @classmethod
    def of_experiment(cls, experiment: Experiment, batch_size: int | None = None) -> Work:
        """Return a training step of an experiment on its first samples."""
        size = min(batch_size or experiment.recipe.batch_size or _BATCH_SIZE, len(experiment.splits.train))
        batch = experiment.splits.train.subset(np.arange(size))
        optimizer = experiment.trainer.optimizer
        return cls(experiment.model, experiment.loss, optimizer, Samples.of(batch, experiment.loss))

    @classmethod
    def of_predictor(cls, predictor: Predictor, batch_size: int | None = None) -> Work:
        """Return a training step of a trained network, on random numbers.

        Loss and optimizer are those of its training, or mean squared error and SGD if these are unknown.
        """
        recipe, model = predictor.recipe, predictor.model
        trained = recipe.batch_size if recipe else None
        size = batch_size or predictor.batch_size or trained or _BATCH_SIZE
        inputs = _random(size, *predictor.input_shape)
        loss, batch = _objective(predictor, inputs)
        optimizer: Optimizer | None = None
        if next(model.named_parameters(), None) is not None:
            optimizer = SGD(model.parameters()) if recipe is None else make_optimizer(recipe, model)
        return cls(model, loss, optimizer, Samples.of(batch, loss))

    def prepare(self, *, forward_only: bool) -> None:
        """Put model and loss into the state of training, or of prediction."""
        self.model.train(not forward_only)
        self.loss.validate = False

    def forward(self) -> Tensor:
        """Run the forward pass under inference."""
        with self.model.backend.session(), inference():
            return self.model(self.samples.x)

    def step(self) -> None:
        """Take a training step, with scopes for loss and optimizer."""
        b, model, loss = self.model.backend, self.model, self.loss
        with b.session():
            model.zero_grad() if self.optimizer is None else self.optimizer.zero_grad()
            prediction = model(self.samples.x)
            with b.scope("loss"):
                loss(prediction, self.samples.y)
            with b.scope("loss.backward"):
                gradient = loss.backward()
            with without_input_gradient(model):
                model.backward(gradient)
            if self.optimizer is not None:
                with b.scope("optimizer"):
                    self.optimizer.step()


def _random(*shape: int) -> Host:
    return np.random.default_rng(_SEED).standard_normal(shape).astype(np.float32)


def _objective(predictor: Predictor, inputs: Host) -> tuple[Loss, Dataset | Pair]:
    """Return a loss for a trained network, and the inputs with random targets for it."""
    model, recipe, classes = predictor.model, predictor.recipe, predictor.classes
    outputs = _random(*model.output_shape(inputs.shape))
    if recipe is None:
        return MSELoss(backend=model.backend), (inputs, outputs)
    targets = outputs
    if classes is not None:
        targets = np.random.default_rng(_SEED).integers(0, len(classes), len(inputs))
    batch = Dataset("random numbers", inputs, targets, classes=classes)
    return make_loss(recipe, batch, model.backend), batch
