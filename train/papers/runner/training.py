"""`perform`: one run, from its initial weights to its measurements."""

from __future__ import annotations

import importlib.util
import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ....backends import Backend, BackendError, get_backend
from ....backends.host import Host
from ...data import order
from .engines import ENGINES, Learner
from .plan import PARTS, Part, Plan, loss_of, parts


@dataclass(frozen=True)
class Run:
    """A plan and a seed, under the name of their experiment."""

    name: str
    """The experiment's; its runs differ in their seeds alone."""
    seed: int
    plan: Plan
    timed: bool = False
    """Whether its seconds are compared, so that nothing may run beside it."""
    keep_weights: bool = False

    @property
    def key(self) -> str:
        """The name of its file."""
        return f"{self.name}-{self.seed}"

    def missing(self, backend: Backend) -> str:
        """Return what it needs beside the report's backend and is not here: "torch" or "jit"; else ""."""
        engine = self.plan.engine
        if engine == "torch" and importlib.util.find_spec("torch") is None:
            return "torch"
        if engine == "compiled":
            try:
                get_backend(f"jit+{backend.raw.spec}")
            except BackendError:
                return "jit"
        return ""


COLUMNS = ("epoch", *(f"{part}_{what}" for part in PARTS for what in ("loss", "accuracy", "zeros")))
"""The series of an outcome."""
NUMBERS = (
    *COLUMNS[1:],
    *(f"{part}_{what}" for part in PARTS for what in ("baseline", "right")),
    *("seconds", "seconds_per_epoch", "epochs"),
)
"""The numbers of an outcome."""


@dataclass
class Outcome:
    """The measurements of a run."""

    numbers: dict[str, float] = field(default_factory=dict)
    """Of the last evaluation: {train, validation, test}_{loss, accuracy, zeros, right, baseline}. Of the run:
    seconds (training alone), seconds_per_epoch and epochs; a loss that is not finite ends it early."""
    series: dict[str, list[float]] = field(default_factory=dict)
    """Of each evaluated epoch: "epoch", and each part's loss, accuracy and zeros (share of outputs 0)."""
    weights: dict[str, Any] | None = None
    eager: str = ""
    """Why its steps ran op by op although `jit` compiles the others."""


def perform(run: Run, spec: str, dtype: str) -> Outcome:
    """Train and measure a plan on a backend; equal arguments give equal numbers, except for seconds.

    Its seconds are without compilation. Before a timed run, another learner takes an epoch.
    """
    plan, outcome, seconds = run.plan, Outcome(), 0.0
    backend: Backend = get_backend(spec, dtype=dtype)
    data = parts(plan, run.seed)
    if run.timed and plan.epochs > 1:
        ENGINES[plan.engine](plan, run.seed, data, backend).epoch(order(plan.samples, seed=0, epoch=0), 1.0)
    learner = ENGINES[plan.engine](plan, run.seed, data, backend)
    epoch, together = 0, _epochs_together(run)
    with np.errstate(over="ignore", invalid="ignore"):  # runs may diverge; the report shows it
        while epoch < plan.epochs:
            some = range(epoch, min(epoch + together, plan.epochs))
            rows = np.concatenate([order(plan.samples, seed=run.seed, epoch=one) for one in some])
            start = time.perf_counter()
            losses = learner.epoch(rows, plan.decay**epoch)
            seconds += time.perf_counter() - start
            epoch = some.stop
            diverged = not math.isfinite(losses[-1])
            if epoch % plan.every == 0 or epoch == plan.epochs or diverged:
                _measure(outcome, plan, learner, data, epoch)
            if diverged:
                break
    seconds -= learner.compiling
    outcome.numbers |= {name: values[-1] for name, values in outcome.series.items() if name != "epoch"}
    for name, part in data.items():
        outcome.numbers[f"{name}_baseline"] = part.baseline
        outcome.numbers[f"{name}_right"] = round(outcome.numbers[f"{name}_accuracy"] * plan.samples)
    outcome.numbers |= {"seconds": seconds, "seconds_per_epoch": seconds / epoch, "epochs": epoch}
    outcome.eager = learner.eager_because
    if run.keep_weights:
        outcome.weights = {name: value.tolist() for name, value in learner.weights().items()}
    return outcome


def _epochs_together(run: Run) -> int:
    """Return how many epochs to take in one call, which saves time: those up to the next evaluation.

    One by one if the rate changes, if a batch would have rows of two epochs, or if an epoch is timed.
    """
    plan = run.plan
    alike = plan.decay == 1.0 and plan.samples % plan.batch_size == 0
    return plan.every if alike and not run.timed else 1


def first_losses(plan: Plan, seed: int, backend: Backend, steps: int) -> Host:
    """Return the losses (steps,) of a plan's first steps."""
    learner = ENGINES[plan.engine](plan, seed, parts(plan, seed), backend)
    losses: list[float] = []
    epoch = 0
    while len(losses) < steps:
        rows = order(plan.samples, seed=seed, epoch=epoch)[: plan.batch_size * (steps - len(losses))]
        losses += learner.epoch(rows, plan.decay**epoch)
        epoch += 1
    return np.array(losses)


def _measure(outcome: Outcome, plan: Plan, learner: Learner, data: dict[str, Part], epoch: int) -> None:
    """Evaluate all three parts and append to the series."""
    row: dict[str, float] = {"epoch": epoch}
    for name, outputs in zip(PARTS, np.split(learner.outputs(), len(PARTS)), strict=True):
        row[f"{name}_loss"] = loss_of(plan, outputs, data[name].targets)
        row[f"{name}_accuracy"] = data[name].right(outputs) / plan.samples
        row[f"{name}_zeros"] = float(np.mean(outputs == 0))
    for name, value in row.items():
        outcome.series.setdefault(name, []).append(value)
