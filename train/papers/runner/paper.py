"""`Paper`: a paper's choices, runs, reported numbers and drawings; and the results that they read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ....backends.options import choice, integer
from ....layers import Module
from .plan import network
from .statistics import Statistic, summarize
from .text import figure
from .training import Outcome, Run

Form = Literal["percent", "share", "count", "number", "seconds", "ratio"]
"""A share is the percentage of runs with a property; its deviation means nothing and is not shown."""


@dataclass(frozen=True)
class Choice:
    """A detail that a paper leaves open or gets wrong: its name, its values, and why the first is ours."""

    name: str
    values: tuple[str, ...]
    """The first is the default."""
    about: str


@dataclass(frozen=True)
class Options:
    """All settings that decide what is run."""

    seed: int = 0
    """The first run's; the k-th run has seed + k."""
    choices: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.choices[name]

    def seeds(self, repeats: int) -> range:
        """Return the seeds of so many runs."""
        return range(self.seed, self.seed + repeats)


class Results:
    """The outcomes of the finished runs, by experiment."""

    def __init__(self, done: Iterable[tuple[Run, Outcome]]) -> None:
        self.runs: dict[str, list[tuple[Run, Outcome]]] = {}
        for run, outcome in done:
            self.runs.setdefault(run.name, []).append((run, outcome))
        for pairs in self.runs.values():
            pairs.sort(key=lambda pair: pair[0].seed)

    def __contains__(self, name: str) -> bool:
        return name in self.runs

    def numbers(self, name: str, number: str) -> list[float]:
        """Return a number of each run of an experiment, sorted by seed; [] if it was not run."""
        return [outcome.numbers[number] for _, outcome in self.runs.get(name, [])]

    def mean(self, name: str, number: str) -> float:
        """Return the mean of a number over an experiment's runs; NaN if it was not run."""
        values = self.numbers(name, number)
        return sum(values) / len(values) if values else math.nan

    def series(self, name: str, column: str) -> list[list[float]]:
        """Return a column of each run's series."""
        return [outcome.series[column] for _, outcome in self.runs.get(name, [])]

    def model(self, name: str) -> tuple[Run, Module] | None:
        """Return an experiment's first run that kept its weights, and its trained network on numpy."""
        for run, outcome in self.runs.get(name, []):
            if outcome.weights is not None:
                model: Module = network(run.plan, run.seed, "numpy")
                model.load_state_dict({key: np.asarray(value) for key, value in outcome.weights.items()})
                return run, model.eval()
        return None


Values = Callable[[Results], list[float]]
"""A function that reads one value per run from the results."""


@dataclass(frozen=True)
class Row:
    """A number that a paper reports, and how to read the reproduced one from the results."""

    what: str
    where: str
    """The table, figure or section."""
    reported: float | None
    """None if the paper has a figure without numbers."""
    of: Values
    """Reads one value per run; [] if nothing was run."""
    std: float | None = None
    form: Form = "percent"
    better: Literal["higher", "lower", ""] = "higher"
    statistic: Statistic = "mean"
    baseline: Values | None = None
    """Reads the majority class's accuracy of each run."""
    incomparable: str = ""
    """Why the two numbers cannot be compared; it replaces any other verdict."""
    why: str = ""
    """An explanation for a verdict other than "within" or "better"."""
    ran: str = ""
    """How much was run if that differs from the paper; shown with any verdict."""

    @property
    def label(self) -> str:
        """`what`, with the statistic if it is the median: two rows may differ in that alone."""
        return f"{self.what} (median)" if self.statistic == "median" else self.what


def measured(name: str, number: str) -> Values:
    """Return a reader of one number of an experiment's runs."""
    return lambda results: results.numbers(name, number)


def ratio(name: str, other: str, number: str = "seconds") -> Values:
    """Return a reader of the ratio of a number in two experiments, seed by seed."""
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
    """Return the row of a loss or an accuracy, with the baseline of the same part of the data.

    number: "train_loss", "test_accuracy", ...; read: makes the reader of a number by its name.
    """
    part, _, quantity = number.partition("_")
    if quantity == "loss":
        return Row(what, where, reported, read(number), std, form="number", better="lower", **more)
    return Row(what, where, reported, read(number), std, baseline=read(f"{part}_baseline"), **more)


def epochs_to(name: str, column: str, value: float) -> Values:
    """Return a reader of each run's first epoch with at least that value; infinity if it has none."""

    def read(results: Results) -> list[float]:
        runs = zip(results.series(name, "epoch"), results.series(name, column), strict=True)
        return [
            next((epoch for epoch, x in zip(epochs, values, strict=True) if x >= value), math.inf)
            for epochs, values in runs
        ]

    return read


@dataclass(frozen=True)
class Picture:
    """A figure of the report: its file and its caption."""

    file: str
    caption: str


@dataclass(frozen=True)
class Table:
    """A table of the report beside the one of reported numbers, such as a search."""

    title: str
    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]
    about: str = ""


def accuracies(results: Results, names: list[str], title: str, about: str = "") -> Table:
    """Return a table of experiments with their final accuracies and losses."""
    numbers = {"train_accuracy": "percent", "test_accuracy": "percent", "test_loss": "number"}
    rows: list[tuple[str, ...]] = []
    for name in names:
        if name not in results:
            rows.append((name, *("not run",) * 3, "0"))
            continue
        summaries = [(summarize(results.numbers(name, number)), form) for number, form in numbers.items()]
        cells = (figure(summary.centre, form, summary.std) for summary, form in summaries)
        rows.append((name, *cells, str(len(results.runs[name]))))
    return Table(title, ("", "train accuracy", "test accuracy", "test loss", "n"), rows, about)


@dataclass(frozen=True)
class Paper:
    """Everything particular to one paper; the runner does the rest."""

    name: str
    title: str
    authors: str
    choices: tuple[Choice, ...]
    runs: Callable[[Options], list[Run]]
    rows: Callable[[Options], list[Row]]
    draw: Callable[[Results, Path, Options], list[Picture]]
    """Draws into a folder; experiments that were not run are omitted."""
    tables: Callable[[Results, Options], list[Table]] = lambda results, options: []
    notes: Callable[[Results, Options], list[str]] = lambda results, options: []
    """Returns paragraphs of findings."""

    def options(self, choices: Mapping[str, str], *, seed: int = 0) -> Options:
        """Return the options, with defaults for the choices that are not made.

        Raises
        ------
        OptionError
            If a choice or its value is unknown.

        """
        known = {one.name: one.values for one in self.choices}
        for name, value in choices.items():
            choice(f"{self.name}: option", "", name, known)
            choice(f"{self.name}: {name}", "", value, known[name])
        defaults = {name: values[0] for name, values in known.items()}
        return Options(integer(self.name, "seed", seed, least=0), {**defaults, **choices})
