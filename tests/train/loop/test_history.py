"""The history of a run: columns, the best row, and its JSON file."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from lamina.backends.errors import DataError, OptionError
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


def test_best_refuses(history: History) -> None:
    with pytest.raises(OptionError, match="mode 'min' or 'max', got 'least'"):
        history.best("train_loss", "least")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"column of epoch, .*, got 'train_los'. Did you mean 'train_loss'"):
        history.best("train_los", "min")
    with pytest.raises(OptionError, match="expected a column of none yet, got"):
        History().column("epoch")
    lost = History()
    lost.append(loss=math.nan)
    with pytest.raises(DataError, match="expected a number in column 'loss', got NaN in all 1 rows"):
        lost.best("loss", "min")


@pytest.mark.parametrize("value", ["0.5", None, True, [1.0], 1j])
def test_append_wants_real_numbers(value: object) -> None:
    with pytest.raises(OptionError, match="expected a real number for 'loss'"):
        History().append(epoch=1, loss=value)  # type: ignore[arg-type]


def test_append_needs_a_value() -> None:
    with pytest.raises(OptionError, match="at least one"):
        History().append()


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ('{"format": "lamina-history", "version": 1, "rows": [', "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[1, 2]", 'expected an object with "format"'),
        ('{"format": "other"}', 'expected an object with "format"'),
        (
            '{"format": "lamina-history", "version": 2, "rows": []}',
            "expected history version 1, got 2",
        ),
        ('{"format": "lamina-history", "rows": []}', "version 1, got None"),
        ('{"format": "lamina-history", "version": true, "rows": []}', "version 1, got True"),
        ('{"format": "lamina-history", "version": 1, "rows": {}}', 'expected "rows" to be a list, got dict'),
        ('{"format": "lamina-history", "version": 1, "rows": [{"a": 1}, 3]}', "row 1: expected an object"),
        ('{"format": "lamina-history", "version": 1, "rows": [{}]}', "row 0: expected an object"),
        ('{"format": "lamina-history", "version": 1, "rows": [{"a": "x"}]}', "row 0, 'a': .*got 'x'"),
        ('{"format": "lamina-history", "version": 1, "rows": [{"a": null}]}', "row 0, 'a': .*got None"),
        ('{"format": "lamina-history", "version": 1, "rows": [{"a": true}]}', "row 0, 'a': .*got True"),
        ('{"format": "lamina-history", "version": 1, "rows": [{"a": NaN}]}', "a bare NaN"),
        ('{"format": "lamina-history", "version": 1, "rows": [{"a": 1' + "0" * 400 + "}]}", "too large"),
    ],
)
def test_foreign_files_are_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        History.from_json(path)
    assert str(path) in str(caught.value)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Cannot read history '.*gone.json': No such file"):
        History.from_json(tmp_path / "gone.json")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff")
    with pytest.raises(DataError, match=r"picture.png' is not a Lamina history: it is not UTF-8"):
        History.from_json(tmp_path / "picture.png")
