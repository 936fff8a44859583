"""Handwritten digits of 8 x 8 pixels, from scikit-learn."""

from __future__ import annotations

import importlib

import numpy as np

from ...backends.errors import DataError
from .dataset import Dataset
from .splits import Splits

_FRACTIONS = (0.7, 0.1, 0.2)
_SPLIT_SEED = 0


def digits() -> Dataset:
    """Load all digits: inputs (1797, 1, 8, 8), pixels from 0 to 1 in float64; targets (1797,), 10 classes."""
    try:
        datasets = importlib.import_module("sklearn.datasets")
    except ImportError as error:
        raise DataError(
            "digits: expected scikit-learn, which has them, got none; install it with: "
            'pip install "lamina[data]"'
        ) from error
    pixels, labels = datasets.load_digits(return_X_y=True)
    inputs = np.asarray(pixels, dtype=np.float64).reshape(-1, 1, 8, 8) / 16
    return Dataset("digits", inputs, np.asarray(labels, dtype=np.int64), tuple("0123456789"))


def digits_splits() -> Splits:
    """Load the digits in one fixed, stratified split: train 1258, validation 180, test 359.

    No seed changes it, so the test accuracies of all runs are comparable.
    """
    return Splits(*digits().split(_FRACTIONS, seed=_SPLIT_SEED))
