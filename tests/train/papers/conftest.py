"""A tiny paper for tests of the runner."""

from __future__ import annotations

from pathlib import Path

import pytest

from lamina.train.models import Dense
from lamina.train.papers.runner import (
    Choice,
    Options,
    Paper,
    Picture,
    Plan,
    Results,
    Row,
    Run,
    measured,
    pictures,
)

NETWORK = Dense((2,), (4,), 2, initializer="xavier_uniform")


def runs(options: Options) -> list[Run]:
    plan = Plan(network=NETWORK, epochs=3, samples=20, loss=options["loss"])
    first = [Run("first", seed, plan, keep_weights=True) for seed in options.seeds(3)]
    return [*first, Run("timed", options.seed, plan, timed=True)]


def rows(options: Options) -> list[Row]:
    return [
        Row("accuracy", "table 1", 0.5, measured("first", "test_accuracy"), std=0.5),
        Row("seconds", "table 1", 1.0, measured("timed", "seconds"), incomparable="another machine"),
        Row("omitted", "table 2", 0.9, measured("never", "test_accuracy")),
    ]


def draw(results: Results, folder: Path, options: Options) -> list[Picture]:
    pictures.curves(folder / "curves.png", pictures.parts_panels(results, "first", "first"))
    return [Picture("curves.png", "Both curves.")]


@pytest.fixture
def tiny() -> Paper:
    choice = Choice("loss", ("mean", "sum"), "For the test.")
    return Paper("tiny", "A tiny paper", "Nobody", (choice,), runs, rows, draw)
