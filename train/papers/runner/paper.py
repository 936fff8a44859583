"""What a paper's file says: what it leaves open, what it reports, what is run, and what is drawn of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ....backends import OptionError
from ....backends.errors import did_you_mean
from ....layers import Module
from .plan import network
from .statistics import Statistic
from .training import Outcome, Run

Scale = Literal["quick", "standard", "full"]
Form = Literal["percent", "share", "count", "number", "seconds", "ratio"]
"""A share is a percentage of runs: they are 0 and 1, whose deviation says nothing."""


@dataclass(frozen=True)
class Choice:
    """Something that a paper leaves open, or has wrong: a name, what it may be, and why the first is ours."""

    name: str
    values: tuple[str, ...]
    """The first is the default."""
    about: str


@dataclass(frozen=True)
class Options:
    """Everything that decides what is run."""

    scale: Scale = "standard"
    seed: int = 0
    """Of the first run; the k-th has seed + k."""
    choices: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.choices[name]

    @property
    def quick(self) -> bool:
        """Whether a few minutes must do."""
        return self.scale == "quick"

    def seeds(self, repeats: int, quick: int) -> range:
        """Return the seeds of so many repeats, or of fewer if it is to be quick."""
        return range(self.seed, self.seed + (quick if self.quick else repeats))


class Results:
    """The outcomes of all runs that were done, by experiment."""

    def __init__(self, done: Iterable[tuple[Run, Outcome]]) -> None:
        self.runs: dict[str, list[tuple[Run, Outcome]]] = {}
        for run, outcome in done:
            self.runs.setdefault(run.name, []).append((run, outcome))
        for found in self.runs.values():
            found.sort(key=lambda pair: pair[0].seed)

    def __contains__(self, name: str) -> bool:
        return name in self.runs

    def numbers(self, name: str, number: str) -> list[float]:
        """Return a number of each run of an experiment, by seed; none if it was not run."""
        return [outcome.numbers[number] for _, outcome in self.runs.get(name, [])]

    def mean(self, name: str, number: str) -> float:
        """Return the mean of a number over an experiment's runs; NaN if it was not run."""
        values = self.numbers(name, number)
        return sum(values) / len(values) if values else math.nan

    def series(self, name: str, what: str) -> list[list[float]]:
        """Return a series of each run of an experiment."""
        return [outcome.series[what] for _, outcome in self.runs.get(name, [])]

    def first(self, name: str) -> tuple[Run, Outcome] | None:
        """Return the run with the lowest seed whose weights were kept."""
        kept = [pair for pair in self.runs.get(name, []) if pair[1].weights is not None]
        return kept[0] if kept else None

    def model(self, name: str) -> tuple[Run, Module] | None:
        """Return the network of `first` with the weights that it ended with, on numpy."""
        found = self.first(name)
        if found is None:
            return None
        run, outcome = found
        model: Module = network(run.plan, run.seed, "numpy")
        assert outcome.weights is not None
        model.load_state_dict(_arrays(outcome.weights))
        return run, model.eval()


@dataclass(frozen=True)
class Row:
    """A number that a paper reports, and how ours is found."""

    what: str
    where: str
    """The table, figure or section."""
    reported: float | None
    """None where the paper has a figure without numbers."""
    of: Callable[[Results], list[float]]
    """One value a run; none where it was not run."""
    std: float | None = None
    form: Form = "percent"
    better: Literal["higher", "lower", ""] = "higher"
    statistic: Statistic = "mean"
    baseline: Callable[[Results], list[float]] | None = None
    """The majority class's accuracy in each run."""
    incomparable: str = ""
    """Why the two numbers cannot be compared; then there is no other verdict."""
    why: str = ""
    """Said beside a verdict that is not "within" or "better"."""
    ran: str = ""
    """How much was run, where the paper ran more or does not say; said beside any verdict."""

    @property
    def label(self) -> str:
        """What it is, and of several runs which: two rows may differ in that alone."""
        return f"{self.what} (median)" if self.statistic == "median" else self.what


Values = Callable[[Results], list[float]]
"""What reads one value a run from the results."""


def measured(name: str, number: str) -> Values:
    """Return what reads one number of an experiment's runs."""
    return lambda results: results.numbers(name, number)


def ratio(name: str, other: str, number: str = "seconds") -> Values:
    """Return what divides a number of one experiment by that of another, seed by seed."""
    return lambda results: [
        a / b for a, b in zip(results.numbers(name, number), results.numbers(other, number), strict=False)
    ]


def scored(
    number: str,
    read: Callable[[str], Values],
    what: str,
    where: str,
    reported: float,
    std: float | None,
    **more: Any,
) -> Row:
    """Return the row of a part's loss or accuracy, with its baseline.

    number: "train_loss", "test_accuracy", ...; read: gives what reads a number of that name.
    """
    part, _, quantity = number.partition("_")
    if quantity == "loss":
        return Row(what, where, reported, read(number), std, form="number", better="lower", **more)
    return Row(what, where, reported, read(number), std, baseline=read(f"{part}_baseline"), **more)


def epochs_to(name: str, series: str, value: float) -> Values:
    """Return what reads the first epoch with at least that value in each run; infinity, if there is none."""

    def read(results: Results) -> list[float]:
        runs = zip(results.series(name, "epoch"), results.series(name, series), strict=True)
        return [
            next((epoch for epoch, found in zip(epochs, values, strict=True) if found >= value), math.inf)
            for epochs, values in runs
        ]

    return read


@dataclass(frozen=True)
class Picture:
    """A figure in the report: its file, and what it shows."""

    file: str
    caption: str


@dataclass(frozen=True)
class Table:
    """A table in the report beside that of the reported numbers: a search, or what a paper asks for."""

    title: str
    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]
    about: str = ""


@dataclass(frozen=True)
class Paper:
    """One paper: all that is its own. The rest is the runner's."""

    name: str
    title: str
    authors: str
    choices: tuple[Choice, ...]
    runs: Callable[[Options], list[Run]]
    rows: Callable[[Options], list[Row]]
    draw: Callable[[Results, Path, Options], list[Picture]]
    """Draws what the results allow into a folder."""
    tables: Callable[[Results, Options], list[Table]] = lambda results, options: []
    notes: Callable[[Results, Options], list[str]] = lambda results, options: []
    """Paragraphs of what was found out, with the figures that show it."""

    def options(self, given: Mapping[str, str], *, scale: Scale = "standard", seed: int = 0) -> Options:
        """Return the options with the defaults for what is not given.

        Raises
        ------
        OptionError
            If a name or a value is not known.

        """
        known = {choice.name: choice for choice in self.choices}
        for name, value in given.items():
            if name not in known:
                raise OptionError(
                    f"{self.name}: no option {name!r}; there are {', '.join(known)}."
                    f"{did_you_mean(name, known)}"
                )
            if value not in known[name].values:
                raise OptionError(
                    f"{self.name}: {name} must be one of {', '.join(known[name].values)}, got {value!r}."
                    f"{did_you_mean(value, known[name].values)}"
                )
        return Options(scale, seed, {name: given.get(name, c.values[0]) for name, c in known.items()})


def _arrays(weights: Mapping[str, Any]) -> dict[str, Any]:
    return {name: np.asarray(value) for name, value in weights.items()}
