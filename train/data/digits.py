"""Handwritten digits of 8 x 8 pixels, from scikit-learn."""

from __future__ import annotations

import gzip
import importlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ...backends.errors import DataError
from ...backends.host import Host
from .dataset import Dataset
from .splits import Splits

_FRACTIONS = (0.7, 0.1, 0.2)
_SPLIT_SEED = 0


def digits() -> Dataset:
    """Load all digits: inputs (1797, 1, 8, 8), pixels from 0 to 1 in float64; targets (1797,), 10 classes."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None:
        raise DataError(
            "digits: expected scikit-learn, which has them, got none; install it with: "
            'pip install "lamina[data]"'
        )
    pixels, labels = _read(spec.submodule_search_locations or ())
    inputs = np.asarray(pixels, dtype=np.float64).reshape(-1, 1, 8, 8) / 16
    return Dataset("digits", inputs, np.asarray(labels, dtype=np.int64), tuple("0123456789"))


def digits_splits() -> Splits:
    """Load the digits in one fixed, stratified split: train 1258, validation 180, test 359.

    No seed changes it, so the test accuracies of all runs are comparable.
    """
    return Splits(*digits().split(_FRACTIONS, seed=_SPLIT_SEED))


def _read(folders: Iterable[str]) -> tuple[Host, Host]:
    """Return pixels (1797, 64) from 0 to 16 and labels (1797,) from scikit-learn's folders.

    Its file is read without an import of scikit-learn, which takes longer than to train on the digits.
    """
    for folder in folders:
        path = Path(folder, "datasets", "data", "digits.csv.gz")
        if path.is_file():
            with gzip.open(path, "rt", encoding="ascii") as stream:
                table = np.loadtxt(stream, delimiter=",")
            return table[:, :-1], table[:, -1]
    pixels, labels = importlib.import_module("sklearn.datasets").load_digits(return_X_y=True)
    return pixels, labels
