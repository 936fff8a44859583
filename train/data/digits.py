"""Real handwritten digits, 8 x 8 pixels, that ship inside scikit-learn."""

from __future__ import annotations

import importlib

import numpy as np

from ...backends.errors import DataError
from .dataset import Dataset
from .splits import Splits

_FRACTIONS = (0.7, 0.1, 0.2)
_SPLIT_SEED = 0


def digits(*, flat: bool = False) -> Dataset:
    """Load all 1797 digits.

    Parameters
    ----------
    flat : bool
        Give inputs (1797, 64) in place of (1797, 1, 8, 8).

    Returns
    -------
    Dataset
        inputs float64 from 0 to 1 (the pixels' 0 .. 16, divided by 16), targets (1797,) int64 of 10 classes.
    """
    try:
        datasets = importlib.import_module("sklearn.datasets")
    except ImportError as error:
        raise DataError(
            f"The digits come from scikit-learn, which cannot be imported ({error}). "
            f'Install it with: pip install "lamina[data]"'
        ) from error
    pixels, labels = datasets.load_digits(return_X_y=True)
    inputs = np.asarray(pixels, dtype=np.float64).reshape(-1, 1, 8, 8) / 16
    data = Dataset("digits", inputs, np.asarray(labels, dtype=np.int64), tuple("0123456789"))
    return data.flattened() if flat else data


def digits_splits(*, flat: bool = False) -> Splits:
    """Load the digits in one fixed, stratified split: train 1258, validation 180, test 359.

    It does not depend on the user's seed, so that test accuracies of different runs compare.
    """
    return Splits(*digits(flat=flat).split(_FRACTIONS, seed=_SPLIT_SEED))
