"""`Plan`: one training run in a paper's terms, and the data, network and loss that it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from ....backends.host import Host
from ....layers.losses import Loss, MSELoss
from ....layers.random import seeded
from ...data import Dataset, Scaling, cubes, disc, one_hot
from ...models import Dense, Jin
from ...optimizers import SGD, Adam, Optimizer, RMSprop
from .mean_error import MeanErrorLoss

Engine = Literal["layers", "compiled", "eager", "graph", "torch"]
PARTS = ("train", "validation", "test")
OPTIMIZERS: dict[str, type[Optimizer]] = {"SGD": SGD, "RMSprop": RMSprop, "Adam": Adam}

MLP = Dense((2,), (25, 25, 25), 2)
"""Two inputs, three hidden layers of 25 with ReLU, two outputs: most papers' network."""


@dataclass(frozen=True)
class Plan:
    """The data, network, loss, optimizer and engine of a training run; a seed makes it one run.

    Parameters
    ----------
    data
        A variant of the disc (`DISC_VARIANTS`), or "cubes"; new data for each seed.
    network
        With one output, targets are a column of 0 and 1; else they are one-hot.
    loss
        The reduction of `MSELoss`: "mean", "sum", "batchmean" or "half_batchmean"; or "mean_error" for
        `MeanErrorLoss`.
    optimizer, options
        A name in `OPTIMIZERS`, and its keyword arguments.
    decay
        Multiplies the learning rate after each epoch.
    penalty
        λ of an L2 penalty λ/2 Σ w² on all parameters.
    standardize
        Whether inputs are scaled to mean 0 and deviation 1 over the training data.
    samples
        The size of each of the three parts.
    engine
        "layers": backward passes written by hand, on the report's backend; "compiled" and "eager": the same
        on its raw backend, with `jit` and without; "graph": gradients by autodiff; "torch": torch.nn and
        torch.optim.
    every
        Epochs between evaluations; the last epoch is always evaluated.

    """

    data: str = "jin"
    network: Dense | Jin = MLP
    loss: str = "mean"
    optimizer: str = "SGD"
    options: Mapping[str, Any] = field(default_factory=lambda: {"lr": 0.1})
    decay: float = 1.0
    epochs: int = 100
    batch_size: int = 10
    penalty: float = 0.0
    standardize: bool = False
    samples: int = 1000
    engine: Engine = "layers"
    every: int = 1

    @property
    def steps(self) -> int:
        """The number of steps of the whole run."""
        return self.epochs * -(-self.samples // self.batch_size)

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {**asdict(self), "network": self.network.to_dict(), "options": dict(self.options)}


@dataclass(frozen=True)
class Part:
    """One part of a run's data, on the host."""

    inputs: Host
    """(N, ...), standardised if the plan says so."""
    targets: Host
    """(N, 1) or one-hot (N, K), as the loss takes them."""
    labels: Host
    """(N,)"""

    def right(self, outputs: Host) -> int:
        """Return how many samples the outputs (N, 1) or (N, K) classify correctly."""
        classes = outputs[:, 0] >= 0.5 if outputs.shape[1] == 1 else outputs.argmax(axis=1)
        return int(np.sum((classes == self.labels) & np.isfinite(outputs).all(axis=1)))

    @property
    def baseline(self) -> float:
        """The accuracy of always predicting the more frequent class."""
        share = float(np.mean(self.labels))
        return max(share, 1.0 - share)


def dataset(plan: Plan, seed: int, part: Any) -> Dataset:
    """Return one part of the data, unscaled."""
    if plan.data == "cubes":
        return cubes(plan.samples, seed=seed, split=part)
    return disc(plan.samples, variant=plan.data, seed=seed, split=part)


def parts(plan: Plan, seed: int) -> dict[str, Part]:
    """Return the training, validation and test data of a run."""
    sets = {name: dataset(plan, seed, name) for name in PARTS}
    scaling = Scaling.fit(sets["train"].inputs) if plan.standardize else None
    result = {}
    for name, data in sets.items():
        inputs = data.inputs if scaling is None else scaling.apply(data.inputs)
        column = plan.network.outputs == 1
        targets = data.targets.reshape(-1, 1).astype(np.float64) if column else one_hot(data.targets, 2)
        result[name] = Part(inputs, targets, data.targets)
    return result


def network(plan: Plan, seed: int, backend: Any) -> Any:
    """Return the plan's network with the seed's initial weights, the same for every engine."""
    with seeded(seed):
        return plan.network.build(backend)


def criterion(plan: Plan, backend: Any) -> Loss:
    """Return the plan's loss."""
    if plan.loss == "mean_error":
        return MeanErrorLoss("sum", backend=backend)
    return MSELoss(plan.loss, backend=backend)


def loss_of(plan: Plan, outputs: Host, targets: Host) -> float:
    """Return the loss per sample over a whole part, in float64."""
    squares = float(np.sum(np.square(outputs.astype(np.float64) - targets)))
    divisor = {"mean": outputs.size, "half_batchmean": 2 * len(outputs)}.get(plan.loss, len(outputs))
    return squares / divisor
