"""Bad inputs of metrics and of `History`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.backends import DataError, LaminaError, OptionError, ShapeError
from lamina.train import History, larger_is_better, smaller_is_better
from lamina.train.files import OutputError
from lamina.train.loop.metrics import (
    accuracy,
    confusion_matrix,
    majority_baseline,
    mean_squared_error,
    predicted_classes,
    r2,
    target_classes,
)

from . import Bad, Place
from .values import HUGE, LONG, NOT_NAMES, NOT_NUMBERS, short

NAN = math.nan


def _bad(
    subject: str, what: str, call: Callable[[], object], *says: str, error: type[LaminaError] = LaminaError
) -> Bad:
    return Bad(subject, what, lambda place: call(), says, error, once=True)


# What is no (N,) or (N, K) of real numbers.
ARRAYS: dict[str, Any] = {
    "a number": 3.0,
    "no numbers": [],
    "rows without numbers": np.zeros((0, 3)),
    "three axes": np.zeros((2, 3, 4)),
    "rows of different lengths": [[1.0], [1.0, 2.0]],
    "text": ["cat"],
    "None": None,
    "objects": [None, 1],
    "complex numbers": [1j],
    "a dict": {"a": 1},
}
ONE: dict[str, Callable[[Any], object]] = {
    "predicted_classes": predicted_classes,
    "target_classes": target_classes,
    "majority_baseline": majority_baseline,
    "accuracy": lambda x: accuracy(x, [0, 1]),
    "mean_squared_error": lambda x: mean_squared_error(x, [0, 1]),
    "r2": lambda x: r2([0, 1], x),
    "confusion_matrix": lambda x: confusion_matrix(x, [0, 1]),
}
SHAPES = [
    _bad(name, form, lambda f=function, x=array: f(x), "expected ")
    for name, function in ONE.items()
    for form, array in ARRAYS.items()
]
PREDICTED = [[1, 0], [0, 1]]
METRICS = [
    *(
        _bad("target_classes", short(v), lambda v=v: target_classes(v), "targets: expected ", error=DataError)
        for v in ([0.5, 1.0], [NAN, 1.0], [-2, 1], [-1, 0], [math.inf, 0], [1e300, 0], [2.0**63, 0])
    ),
    _bad(
        "target_classes", "numbers beyond int64", lambda: target_classes(np.array([2**63], np.uint64)),
        "whole class numbers", "9223372036854775808", error=DataError,
    ),
    *(
        _bad(
            "predicted_classes", f"threshold={short(v)}", lambda v=v: predicted_classes([0.5], v),
            "predicted_classes: expected threshold to be a finite number", error=OptionError,
        )
        for v in NOT_NUMBERS
    ),
    _bad("accuracy", "fewer predictions", lambda: accuracy(PREDICTED, [0, 1, 1]), "equally many rows",
        "2 and 3"),
    _bad("accuracy", "a third class", lambda: accuracy(PREDICTED, [2, 1]), "2 classes (0 to 1)", "class 2"),
    _bad("accuracy", "a fourth class of one score", lambda: accuracy([0.1, 0.2], [3, 1]), "class 3"),
    _bad("confusion_matrix", "a class beyond k", lambda: confusion_matrix([0, 2], [0, 1], 2), "(k = 2)",
        "class 2"),
    _bad("confusion_matrix", "a NaN prediction", lambda: confusion_matrix([0, 1], [-1, 1]), "-1 is a NaN"),
    _bad("confusion_matrix", "scores", lambda: confusion_matrix([0, 1], [[0.1, 0.9]] * 2),
        "use predicted_classes"),
    _bad("confusion_matrix", "fewer targets", lambda: confusion_matrix([0], [0, 1]), "equally many rows",
        "2 and 1"),
    _bad("confusion_matrix", "class 10**9", lambda: confusion_matrix([10**9], [0]), "at most 16,384 classes"),
    *(
        _bad("confusion_matrix", f"k={short(v)}", lambda v=v: confusion_matrix([0], [0], v),
            "confusion_matrix: expected ")
        for v in (0, -1, 2.5, "3", True, [2], 2**14 + 1, 10**30, HUGE)
    ),
    _bad(
        "mean_squared_error", "shapes that would broadcast",
        lambda: mean_squared_error(np.zeros((2, 2)), np.zeros(2)), "of one shape", "(2, 2) and (2,)",
        error=ShapeError,
    ),
    *(
        _bad(f.__name__, short(v), lambda f=f, v=v: f(v), f"{f.__name__}: expected a function")
        for f in (larger_is_better, smaller_is_better)
        for v in (None, 3, "r2", [r2])
    ),
]  # fmt: skip

# -- History -------------------------------------------------------------------------------------

HEAD = '{"format": "lamina-history", "version": 1, "rows": '
FILES: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "an empty file": ("", ("JSON", "line 1, column 1")),
    "a file that is cut off": (HEAD + "[", ("JSON", "line 1")),
    "text": ("loss 3", ("JSON", "line 1")),
    "brackets 100,000 deep": ("[" * 100_000, ("JSON", "nested too deep")),
    "a number of 5,000 digits": (HEAD + f'[{{"a": {"9" * 5000}}}]}}', ("JSON", "too long")),
    "a list": ("[1, 2]", ('an object with "format"', "[1, 2]")),
    "null": ("null", ('an object with "format"', "None")),
    "another format": ('{"format": "other"}', ('an object with "format"',)),
    "another version": (HEAD.replace("1", "2") + "[]}", ("history version 1", "2")),
    "no version": ('{"format": "lamina-history", "rows": []}', ("version 1", "None")),
    "the version true": (HEAD.replace("1", "true") + "[]}", ("version 1", "True")),
    "rows that are no list": (HEAD + "{}}", ('"rows" to be a list', "dict")),
    "a row that is a number": (HEAD + '[{"a": 1}, 3]}', ("row 1: expected an object", "3")),
    "an empty row": (HEAD + "[{}]}", ("row 0: expected an object", "{}")),
    "text in a row": (HEAD + '[{"a": "x"}]}', ("row 0, 'a'", "'x'")),
    "null in a row": (HEAD + '[{"a": null}]}', ("row 0, 'a'", "None")),
    "true in a row": (HEAD + '[{"a": true}]}', ("row 0, 'a'", "True")),
    "a list in a row": (HEAD + '[{"a": [1]}]}', ("row 0, 'a'", "[1]")),
    "a bare NaN": (HEAD + '[{"a": NaN}]}', ("JSON", "a bare NaN")),
    "a bare infinity": (HEAD + '[{"a": -Infinity}]}', ("JSON", "a bare -Infinity")),
    "a number of 400 digits": (HEAD + '[{"a": 1' + "0" * 400 + "}]}", ("a float's range", "too large")),
    "a picture": (b"\x89PNG\xff", ("UTF-8",)),
    "UTF-16": ("{}".encode("utf-16"), ("UTF-8",)),
}


def _read(content: str | bytes) -> Callable[[Place], object]:
    def call(place: Place) -> object:
        file = place.path / "history.json"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return History.from_json(place.watch(file))

    return call


def _grown() -> History:
    history = History()
    history.append(epoch=1, train_loss=0.5)
    history.append(epoch=2, train_loss=NAN, lost=NAN)
    return history


def _one(name: str, value: Any) -> Bad:
    says = ("History.append: expected a real number", "'loss'")
    return _bad(
        "History.append", f"loss={short(value)}", lambda: History().append(epoch=1, loss=value), *says
    )


HISTORY = [
    *(
        Bad("History.from_json", name, _read(content), ("history.json' ", *says), DataError, once=True)
        if "version" not in name and "row" not in name and "digits" not in name
        else Bad("History.from_json", name, _read(content), ("history.json'", *says), DataError, once=True)
        for name, (content, says) in FILES.items()
    ),
    Bad(
        "History.from_json", "a file that is absent",
        lambda place: History.from_json(place.path / "gone.json"),
        ("gone.json", "No such file"), DataError, once=True,
    ),
    Bad(
        "History.from_json", "a folder", lambda place: History.from_json(place.path),
        ("history",), DataError, once=True,
    ),
    *(
        Bad(
            f"History.{method}", f"the path {short(path)}",
            lambda place, m=method, p=path: getattr(_grown(), m)(p), (*says,), once=True,
        )
        for method in ("from_json", "to_json")
        for path, says in (
            (None, ("the path of a file", "None")), (3, ("the path of a file", "3")),
            (b"x", ("the path of a file",)),
            ("a\0b", ("the path of a file", r"a\x00b")), ("\ud800", ("the path of a file",)),
            (LONG, ("too long",)),
        )
    ),
    Bad(
        "History.to_json", "a folder", lambda place: _grown().to_json(place.path),
        ("that is a folder",), OutputError, once=True,
    ),
    Bad(
        "History.to_json", "a folder that is absent",
        lambda place: _grown().to_json(place.path / "a" / "b.json"),
        ("b.json", "the folder does not exist"), OutputError, once=True,
    ),
    *(_one("loss", v) for v in ("0.5", None, True, [1.0], 1j, np.ones(2), 10**400, HUGE)),
    _bad("History.append", "nothing", lambda: History().append(), "at least one", error=OptionError),
    *(
        _bad("History.best", f"mode={short(v)}", lambda v=v: _grown().best("train_loss", v),
            "mode to be one of min, max")
        for v in NOT_NAMES
    ),
    _bad(
        "History.best", "a name that is misspelt", lambda: _grown().best("train_los", "min"),
        "a column of epoch, ", "'train_los'", "Did you mean 'train_loss'?",
    ),
    *(
        _bad("History.column", short(v), lambda v=v: _grown().column(v), "a column of epoch, ")
        for v in (None, 3, "", "x")
    ),
    _bad("History.column", "a name, without rows", lambda: History().column("epoch"), "a column of none yet"),
    _bad("History.best", "a column of NaN", lambda: _grown().best("lost", "min"), "a number in column 'lost'",
        "NaN"),
]  # fmt: skip

ROWS: tuple[Bad, ...] = (*SHAPES, *METRICS, *HISTORY)
