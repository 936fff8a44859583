"""The history of a run: columns, the best row, and its JSON file."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from lamina.train.loop.history import History


@pytest.fixture
def history() -> History:
    history = History()
    history.append(epoch=0, train_loss=0.75)
    history.append(epoch=1, train_loss=np.float32(0.5), validation_loss=np.array(0.25))
    history.append(epoch=2, train_loss=math.nan, validation_loss=math.inf)
    history.append(epoch=3, train_loss=0.5, validation_loss=-math.inf)
    return history


def test_columns(history: History) -> None:
    assert len(history) == 4
    assert history.names == ("epoch", "train_loss", "validation_loss")
    np.testing.assert_array_equal(history.column("train_loss"), [0.75, 0.5, np.nan, 0.5])
    np.testing.assert_array_equal(history.column("validation_loss"), [np.nan, 0.25, np.inf, -np.inf])
    assert [row["epoch"] for row in history] == [0, 1, 2, 3]
    assert repr(history) == "History(4 rows: epoch, train_loss, validation_loss)"


def test_rows_are_copies(history: History) -> None:
    history[0]["train_loss"] = 9.0
    next(iter(history))["train_loss"] = 9.0
    assert history[0] == {"epoch": 0.0, "train_loss": 0.75}


def test_best_is_the_first_and_never_nan(history: History) -> None:
    assert history.best("train_loss", "min")["epoch"] == 1
    assert history.best("train_loss", "max")["epoch"] == 0
    assert history.best("validation_loss", "min")["epoch"] == 3


def test_json_keeps_every_bit(history: History, tmp_path: Path) -> None:
    history.append(epoch=4, train_loss=0.1 + 0.2, seconds=5e-324)
    path = tmp_path / "history.json"
    history.to_json(path)
    again = History.from_json(path)
    assert again.names == history.names
    assert [set(row) for row in again] == [set(row) for row in history]
    for name in history.names:
        assert again.column(name).tobytes() == history.column(name).tobytes()
    assert os.listdir(tmp_path) == ["history.json"]


def test_json_is_strict(history: History) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    document = json.loads(history.to_text(), parse_constant=refuse)
    assert document["version"] == 1
    assert document["rows"][2] == {"epoch": 2.0, "train_loss": "NaN", "validation_loss": "Infinity"}
    assert document["rows"][3]["validation_loss"] == "-Infinity"


def test_an_empty_history_is_kept() -> None:
    assert len(History.from_text(History().to_text())) == 0
