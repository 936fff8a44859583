"""Bad inputs of data sets, splits, batches, scalings, drawn data, and the models by name."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

from lamina.backends import DataError, LaminaError, OptionError
from lamina.train.data import (
    Dataset,
    Scaling,
    Splits,
    batch_count,
    batches,
    circle,
    cubes,
    digits,
    disc,
    disc_variant,
    load_splits,
    one_hot,
    order,
    partition,
)

from . import Bad, Place
from .values import HUGE, NOT_FLAGS, NOT_INTEGERS, NOT_NAMES, NOT_NUMBERS, short

NAN = math.nan


def _bad(
    subject: str, what: str, call: Callable[[], object], *says: str, error: type[LaminaError] = LaminaError
) -> Bad:
    return Bad(subject, what, lambda place: call(), says, error, once=True)


# -- Dataset -------------------------------------------------------------------------------------

GOOD: dict[str, Any] = {
    "name": "toy", "inputs": np.zeros((2, 2)), "targets": np.array([0, 1]), "classes": ("a", "b"),
}  # fmt: skip
REAL: dict[str, Any] = {"classes": None, "targets": np.array([[0.5], [1.0]])}
SETS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "a row more": ({"inputs": np.zeros((3, 2))}, ("as many targets as inputs", "(3, 2)")),
    "no rows": ({"inputs": np.zeros((0, 2)), "targets": np.zeros(0, int)}, ("at least one number", "(0, 2)")),
    "no features": ({"inputs": np.zeros((2, 0))}, ("at least one number", "(2, 0)")),
    "integer inputs": ({"inputs": np.zeros((2, 2), int)}, ("float32 or float64", "int64")),
    "float16 inputs": ({"inputs": np.zeros((2, 2), np.float16)}, ("float32 or float64", "float16")),
    "inputs of text": ({"inputs": np.array([["a"], ["b"]])}, ("float32 or float64", "<U1")),
    "inputs of objects": ({"inputs": np.array([[None], [None]])}, ("float32 or float64", "object")),
    "complex inputs": ({"inputs": np.zeros((2, 2), complex)}, ("float32 or float64", "complex128")),
    "inputs of rank 1": ({"inputs": np.zeros(2)}, ("at least two axes", "reshape")),
    "a list of inputs": ({"inputs": [[0.0], [1.0]]}, ("inputs to be a numpy array", "[[0.0], [1.0]]")),
    "inputs that are None": ({"inputs": None}, ("inputs to be a numpy array", "None")),
    "a list of targets": ({"targets": [0, 1]}, ("targets to be a numpy array", "[0, 1]")),
    "targets that are None": ({"targets": None}, ("targets to be a numpy array", "None")),
    "a target that is a number": ({"targets": np.array(3)}, ("as many targets as inputs", "()")),
    "a label that is too large": ({"targets": np.array([0, 2])},
        ("from 0 to 1, one per class", "2 in row 1")),
    "a negative label": ({"targets": np.array([-1, 0])}, ("from 0 to 1", "-1 in row 0")),
    "labels without classes": ({"classes": None}, ("expected `classes`", "none")),
    "labels with no classes": ({"classes": ()}, ("expected `classes`", "none")),
    "one-hot rows": ({"targets": np.eye(2, dtype=int)}, ("class labels (integers) of shape (N,)", "argmax")),
    "numbers of rank 1": ({**REAL, "targets": np.array([0.5, 1.0])},
        ("regression targets (N, K)", "reshape")),
    "numbers without columns": ({**REAL, "targets": np.zeros((2, 0))},
        ("regression targets (N, K)", "(2, 0)")),
    "numbers with classes": ({"targets": np.eye(2)}, ("integer labels with `classes`", "float64")),
    "targets of text": ({"targets": np.array(["a", "b"])}, ("integer labels", "<U1")),
    "boolean targets": ({"targets": np.array([True, False])}, ("integer labels", "bool")),
    "masked inputs": ({"inputs": np.ma.masked_less(np.zeros((2, 2)), 1)}, ("toy: inputs", "a masked array")),
    "too few feature names": ({"feature_names": ("only one",)},
        ("one feature name per column", "1 for inputs")),
    "feature names of numbers": ({"feature_names": (1, 2)}, ("feature_names to be a list of names",
        "(1, 2)")),
    "feature names in one text": ({"feature_names": "ab"}, ("feature_names to be a list of names", "'ab'")),
    "classes of numbers": ({"classes": (0, 1)}, ("classes to be a list of names", "(0, 1)")),
    "classes in one text": ({"classes": "ab"}, ("classes to be a list of names", "'ab'")),
    "a number of classes": ({"classes": 2}, ("classes to be a list of names", "2")),
    "a name that is None": ({"name": None}, ("Dataset: expected name to be text", "None")),
}  # fmt: skip


def toy() -> Dataset:
    return Dataset("toy", np.arange(8.0).reshape(4, 2), np.ones((4, 1)), feature_names=("a", "b"))


def labelled() -> Dataset:
    return Dataset("toy", np.arange(3.0).reshape(3, 1), np.array([0, 0, 0]), ("a",))


def _spoiled(part: str, value: float, shape: tuple[int, ...], place: tuple[int, ...]) -> Dataset:
    arrays: dict[str, Any] = {"inputs": np.zeros(shape, np.float32), "targets": np.zeros((shape[0], 1))}
    arrays[part][place] = value
    names = ("a", "b") if len(shape) == 2 else None
    return Dataset("toy", **arrays, feature_names=names)


FRACTIONS: list[Any] = [
    (0.5, 0.6), (1.0, 0.0), (1.5, -0.5), (), (NAN, 0.5), ("a", "b"), "ab", None, 0.5, 3, [[0.5], [0.5]],
    (True,), (HUGE,),
]  # fmt: skip
DATASETS = [
    *(_bad("Dataset", what, lambda o=options: Dataset(**(GOOD | o)), *says) for what,
        (options, says) in SETS.items()),
    *(
        _bad("Dataset.subset", short(v), lambda v=v: toy().subset(v), "toy: expected ", "row numbers")
        for v in ([4], [-1], [0.5], [[0]], [True], ["a"], None, 3, "1", [[0], [0, 1]], [NAN], [2**63])
    ),
    _bad("Dataset.subset", "no rows", lambda: toy().subset([]), "toy: expected at least one number",
        "(0, 2)"),
    *(
        _bad("Dataset.split", f"fractions {short(v)}", lambda v=v: toy().split(v, seed=0),
            "fractions above 0 that add up to 1")
        for v in FRACTIONS
    ),
    *(
        _bad("Dataset.split", f"seed={short(v)}", lambda v=v: toy().split((0.5, 0.5), seed=v),
            "expected seed to be an integer")
        for v in (-1, 2**64, *NOT_INTEGERS)
    ),
    _bad(
        "Dataset.split", "too few rows", lambda: labelled().split((0.9, 0.1), seed=0),
        "toy: expected a row for part 2 of 2 (fraction 0.1)", "none of 3 rows", error=DataError,
    ),
    *(
        _bad("partition", f"fractions {short(v)}", lambda v=v: partition(np.zeros(9, np.int64), v, seed=0),
            "add up to 1")
        for v in FRACTIONS
    ),
    *(
        _bad(
            "Dataset.check_finite", f"{value} in {part} of rank {len(shape)}",
            lambda p=part, v=value, s=shape, at=at: _spoiled(p, v, s, at).check_finite(),
            f"toy: expected finite {part}", str(value), says, error=DataError,
        )
        for part, shape, at, says in (
            ("inputs", (4, 2), (2, 1), "in row 2, column 1 ('b')"),
            ("inputs", (2, 1, 3, 3), (1, 0, 2, 1), "in row 1, position (0, 2, 1)"),
            ("targets", (4, 2), (1, 0), "in row 1, column 0"),
        )
        for value in (NAN, math.inf, -math.inf)
    ),
    *(
        _bad("Dataset.standardized", f"by={short(v)}", lambda v=v: toy().standardized(v),
            "a Scaling or a Dataset to standardize by")
        for v in (3, "train", np.ones((4, 2)), [])
    ),
]  # fmt: skip

# -- Splits, Scaling, batches, one-hot rows ----------------------------------------------------------


def _classes(labels: list[int]) -> Dataset:
    names = tuple(f"c{i}" for i in range(max(labels) + 1))
    return Dataset("toy", np.zeros((len(labels), 1)), np.array(labels), names)


SCALING = Scaling(np.zeros(2), np.ones(2))
PARTS = [
    _bad("Splits", "a class more", lambda: Splits(_classes([0, 1]), _classes([0, 2]), _classes([0, 1])),
         "the classes of train", "in validation", error=DataError),
    _bad("Splits", "a feature more", lambda: Splits(toy(), None,
        Dataset("d", np.zeros((2, 3)), np.zeros((2, 1)))),
         "the input shape of train", "in test", error=DataError),
    _bad("Splits", "an output more", lambda: Splits(toy(), None,
        Dataset("d", np.zeros((2, 2)), np.zeros((2, 2)))),
         "the number of outputs of train, 1", "2 in test", error=DataError),
    *(
        _bad("Splits", f"{part}={short(v)}", lambda p=part, v=v: Splits(**{"train": toy(), "validation": None,
            "test": toy(), p: v}),
             f"Splits: expected {part} to be a Dataset")
        for part in ("train", "validation", "test")
        for v in (3, "x", np.zeros((2, 2)), *(() if part == "validation" else (None,)))
    ),
    _bad("Splits.check_finite", "NaN in the validation set",
         lambda: Splits(toy(), _spoiled("inputs", NAN, (4, 2), (0, 0)), toy()).check_finite(),
         "validation part of toy: expected finite inputs", error=DataError),
    *(
        _bad("Scaling.from_dict", short(v), lambda v=v: Scaling.from_dict(v), "Scaling", error=DataError)
        for v in (
            {"mean": [0.0]}, {"mean": ["a"], "scale": [1.0]}, {"mean": [0.0], "scale": [0.0]}, {}, None, [],
            "x",
            {"mean": [0.0], "scale": [1.0, 1.0]}, {"mean": [NAN], "scale": [1.0]},
            {"mean": [0.0], "scale": [math.inf]},
            {"mean": [[0.0], [0.0, 1.0]], "scale": [1.0]}, {"mean": {}, "scale": {}},
            {"mean": None, "scale": None},
            {"mean": [10**400], "scale": [1]},
        )
    ),
    _bad("Scaling", "lists", lambda: Scaling([0.0], [1.0]), "mean to be an array of numbers", "[0.0]"),
    _bad("Scaling", "a scale of text", lambda: Scaling(np.zeros(1), np.array(["1"])),
        "scale to be an array of numbers"),
    *(
        _bad("Scaling.apply", what, lambda v=v: SCALING.apply(v), *says)
        for what, v, says in (
            ("a feature more", np.zeros((4, 3)), ("inputs (N, 2)", "(4, 3)")),
            ("a list", [[1.0, 2.0]], ("inputs to be an array of numbers",)),
            ("text", np.array([["a", "b"]]), ("inputs to be an array of numbers",)),
            ("None", None, ("inputs to be an array of numbers", "None")),
        )
    ),
    *(
        _bad("Scaling.fit", what, lambda v=v: Scaling.fit(v), "Scaling.fit: expected ", *says)
        for what, v, says in (
            ("NaN", np.array([[1.0], [NAN]]), ("NaN or infinity",)),
            ("an infinity", np.array([[1.0], [math.inf]]), ("NaN or infinity",)),
            ("no rows", np.zeros((0, 2)), ("N at least 1", "(0, 2)")),
            ("rank 1", np.zeros(3), ("inputs (N, ...)", "(3,)")),
            ("a list", [[1.0]], ("an array of numbers",)),
            ("objects", np.array([[None]]), ("an array of numbers",)),
        )
    ),
    *(
        _bad(f.__name__, f"{name}={short(v)}", lambda f=f, o={"n": 10, "batch_size": 5, **right,
            name: v}: f(**o),
             f"expected {name} to be", error=OptionError)
        for f, right, name, values in (
            *((batches, {"seed": 0, "epoch": 0}, name, (0, -1, *NOT_INTEGERS)) for name in ("n",
                "batch_size")),
            (batches, {"seed": 0, "epoch": 0}, "seed", (-1, 2**64, *NOT_INTEGERS)),
            (batches, {"seed": 0, "epoch": 0}, "n", (10**30, HUGE)),
            *((batches, {"seed": 0, "epoch": 0}, name, NOT_FLAGS) for name in ("shuffle", "drop_last")),
            (batch_count, {}, "batch_size", (0, -1, *NOT_INTEGERS)),
        )
        for v in values
    ),
    *(
        _bad("order", f"n={short(v)}", lambda v=v: order(v, seed=0, epoch=0),
            "order: expected n to be an integer")
        for v in (0, -1, 10**30, *NOT_INTEGERS)
    ),
    _bad("batches", "batches larger than the data, with drop_last",
         lambda: batches(3, 5, seed=0, epoch=0, drop_last=True),
         "with drop_last, expected batch_size of at most 3 rows", "5"),
    *(
        _bad("one_hot", what, lambda v=v, k=k: one_hot(v, k), "one_hot: expected ", *says)
        for what, v, k, says in (
            ("a label that is too large", np.array([0, 2]), 2, ("from 0 to 1", "0 to 2")),
            ("a negative label", np.array([0, -1]), 2, ("from 0 to 1", "-1 to 0")),
            ("floats", np.array([0.0]), 2, ("integer labels", "float64")),
            ("a list", [0, 1], 2, ("an array of integer labels", "[0, 1]")),
            ("None", None, 2, ("an array of integer labels", "None")),
            ("rank 2", np.zeros((2, 2), int), 2, ("integer labels (N,)", "(2, 2)")),
            *((f"k={short(k)}", np.array([0]), k, ("k to be an integer",)) for k in (0, -1, *NOT_INTEGERS)),
        )
    ),
]  # fmt: skip

# -- drawn data, sources by name -----------------------------------------------------------------


def _without_scikit_learn() -> object:
    with mock.patch.object(importlib.util, "find_spec", return_value=None):
        return digits()


def _table(place: Place) -> Any:
    file = place.path / "flowers.csv"
    file.write_text("a,b,kind\n" + "".join(f"{i},{i * i},{'rose' if i % 2 else 'fern'}\n" for i in range(20)))
    return place.watch(file)


def _of_table(what: str, *says: str, name: str = "flowers.csv", **options: Any) -> Bad:
    return Bad(
        "load_splits",
        what,
        lambda place: load_splits(_table(place).parent / name, **options),
        says,
        once=True,
    )


def _other_format(place: Place) -> object:
    file = place.path / "a.xlsx"
    file.write_bytes(b"PK")
    return load_splits(place.watch(file))


def _with_nan(place: Place) -> object:
    x = np.arange(40.0).reshape(20, 2)
    x[7, 1] = NAN
    np.savez(place.path / "a.npz", x=x, y=np.arange(20) % 2)
    return load_splits(place.watch(place.path / "a.npz"), check_finite=True)


OPTIONS: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("digits", {"variant": "jin"}, ("variant = 'jin': expected a data set of kind disc", "'digits'")),
    ("digits", {"validation": 0.2}, ("a data set of kind", "'digits'")),
    ("cubes", {"variant": "jin"}, ("a data set of kind disc", "'cubes'")),
    ("disc", {"test": 0.2}, ("of kind CSV, NPZ", "'disc'")),
    ("disc", {"target": "y"}, ("of kind CSV", "'disc'")),
    ("disc", {"header": True}, ("of kind CSV", "'disc'")),
    ("disc", {"task": "regression"}, ("of kind CSV, NPZ", "'disc'")),
    ("disc", {"n": 3, "validation": 0.1}, ("0, or a share of at least one of 3 rows", "0.1")),
    *(("disc", {"validation": v}, ("validation to be a finite number",)) for v in (1.0, -0.1,
        *NOT_NUMBERS[1:])),
    *(("disc", {"variant": v}, ("variant to be one of jin, ",)) for v in ("jim", *NOT_NAMES[1:])),
    *(("disc", {"n": v}, ("n to be an integer of at least 1 and at most 100000000",)) for v in (0, -1, 10**30,
        *NOT_INTEGERS[:1], *NOT_INTEGERS[2:])),
    *(
        (source, {"seed": v}, ("load_splits: expected seed to be an integer",))
        for source in ("disc", "digits")
        for v in (-1, 2**64, *NOT_INTEGERS)
    ),
    *(("disc", {"check_finite": v}, ("check_finite to be True or False",)) for v in NOT_FLAGS),
]  # fmt: skip
SOURCES = [
    *(
        _bad("load_splits", f"{source}: {name}={short(value)}", lambda s=source,
            o=options: load_splits(s, **o), *says)
        for source, options, says in OPTIONS
        for name, value in [list(options.items())[-1]]
    ),
    *(
        _bad("load_splits", f"the name {name!r}", lambda n=name: load_splits(n),
            "Unknown data set: expected disc, cubes, digits", near,
             error=DataError)
        for name, near in (("dics", "Did you mean 'disc'?"), ("Disc", "Did you mean 'disc'?"), ("", "''"),
            ("\x1b[2J", r"\x1b[2J"))
    ),
    _of_table("a name that is misspelt", "Did you mean 'flowers.csv'?", name="flower.csv"),
    _of_table("a folder that is absent", "a file or folder", "no such one", name="absent/a.csv"),
    _of_table("CSV: n=10", "a data set of kind disc, cubes", n=10),
    *(_of_table(f"CSV: test={short(v)}", "test to be a finite number", test=v) for v in (0.0, 1.0,
        *NOT_NUMBERS[1:])),
    _of_table("CSV: validation=test=0.5", "validation + test below 1", "0.5 + 0.5", validation=0.5, test=0.5),
    Bad("load_splits", "another format", _other_format, ("a .csv, .tsv or .npz file", "ends in '.xlsx'"),
        DataError, once=True),
    Bad("load_splits", "NaN with check_finite", _with_nan, ("a.npz: expected finite inputs",
        "1 of 40 numbers", "row 7"), DataError, once=True),
    *(
        _bad(f.__name__, f"{name}={short(v)}", lambda f=f, o={name: v}: f(**o), f"expected {name} to be",
            error=OptionError)
        for f, name, values in (
            *((f, "n", (0, -1, 10**30, HUGE, *NOT_INTEGERS)) for f in (disc, cubes)),
            *((f, "seed", (-1, 2**64, *NOT_INTEGERS)) for f in (disc, cubes)),
            *((f, "split", ("tset", *NOT_NAMES)) for f in (disc, cubes)),
            (disc, "variant", ("felisas", *NOT_NAMES)),
            (circle, "variant", ("felisas", *NOT_NAMES)),
        )
        for v in values
    ),
    *(_bad("disc_variant", short(v), lambda v=v: disc_variant(v),
        "disc: expected variant to be one of") for v in ("jim", *NOT_NAMES)),
    _bad("digits", "no scikit-learn", _without_scikit_learn, "scikit-learn", 'pip install "lamina[data]"',
        error=DataError),
]  # fmt: skip

ROWS: tuple[Bad, ...] = (*DATASETS, *PARTS, *SOURCES)
