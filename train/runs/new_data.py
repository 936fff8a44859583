"""`read_new_data`: samples for a trained model to predict, with their targets if the file has any."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...backends import DataError, OptionError
from ...backends.host import Host
from ..data import SOURCES, Task, idx_splits
from ..data.load import file_kind
from ..data.npz import read_npz_rows
from ..data.table import read_rows
from ..data.targets import Targets
from .assemble import load
from .predictor import Predictor

_MOST_DRAWN = 10**7


@dataclass(frozen=True)
class NewData:
    """Inputs (N, ...) and their targets, with classes numbered as in the model; None if unknown."""

    inputs: Host
    targets: Host | None = None
    note: str = ""
    """The reason why the targets in the file cannot be used."""
    reading: str = ""
    """How a file of text was read."""


def read_new_data(
    predictor: Predictor, source: str | None, *, test_set: bool = False, header: bool | None = None
) -> NewData:
    """Read a file or a folder of IDX files; None means the test set of the named data set of the training.

    With `test_set`, the source is the training's data set, and its test set is read alone. A model's file
    does not decide which other file is opened. header: whether the first row of a CSV file names the columns
    (default: as in the training).
    """
    recipe = predictor.recipe
    if test_set or source is None or (recipe is not None and source == recipe.source and source in SOURCES):
        return _own_test_set(predictor, source, header)
    path = Path(source)
    task: Task = "regression" if predictor.classes is None else "classification"
    if path.is_dir():
        test = idx_splits(path, validation=0).test
        return _numbered(predictor, test.inputs, (test.targets, test.classes))
    if not path.exists():
        if source in SOURCES and recipe is not None:
            raise DataError(f"expected the training's data set {recipe.source!r}, or a file, got {source!r}")
        raise DataError(
            f"{path}: expected a .csv, .tsv or .npz file, or a folder of IDX files, got no such one"
        )
    if file_kind(path) == "NPZ":
        rows = read_npz_rows(path, task=task)
        return _numbered(predictor, rows.inputs, rows.targets, rows.problem)
    if header is None and recipe is not None:
        header = recipe.header
    target = predictor.target or (recipe.target if recipe is not None else None)
    count = math.prod(predictor.input_shape)
    rows = read_rows(path, count, task=task, names=predictor.features, target=target, header=header)
    inputs = rows.inputs.reshape(-1, *predictor.input_shape)
    return replace(_numbered(predictor, inputs, rows.targets, rows.problem), reading=rows.reading)


def _own_test_set(predictor: Predictor, source: str | None, header: bool | None) -> NewData:
    recipe = predictor.recipe
    if recipe is None:
        raise DataError("expected a file of data, got none: the model does not name that of its training")
    if source is None and recipe.source not in SOURCES:
        raise DataError(
            f"expected a file of data, got none: the model was trained on {recipe.source!r}, which is opened "
            "only if you name it; add --test-set to predict its test set alone"
        )
    if source is not None and (source in SOURCES) != (recipe.source in SOURCES):
        raise DataError(f"expected the training's data set, {recipe.source!r}, got {source!r}")
    if (recipe.n or 0) > _MOST_DRAWN:
        raise DataError(f"expected a data set of at most {_MOST_DRAWN:,} samples, got {recipe.n:,}")
    try:
        header = recipe.header if header is None else header
        test = load(replace(recipe, source=source or recipe.source, header=header).settled()).test
    except (DataError, OptionError) as error:
        raise DataError(f"the data set of the training cannot be read: {error} Name another file.") from error
    if predictor.features is not None and test.feature_names != predictor.features:
        got = "none" if test.feature_names is None else _listed(test.feature_names)
        raise DataError(
            f"expected the columns of the training, {_listed(predictor.features)}, got {got}: the data have "
            "changed; without --test-set, columns are selected by name"
        )
    return _numbered(predictor, test.inputs, (test.targets, test.classes))


def _numbered(predictor: Predictor, inputs: Host, targets: Targets | None, note: str = "") -> NewData:
    """Number the classes as the model does; drop targets of another kind, or of unknown classes."""
    if targets is None:
        return NewData(inputs, None, note)
    values, classes = targets
    known = predictor.classes
    if (classes is None) != (known is None):
        wanted = "numbers" if known is None else "classes"
        return NewData(inputs, None, f"expected targets that are {wanted}, got others")
    if classes is None or known is None:
        return NewData(inputs, values)
    unknown = [classes[i] for i in np.unique(values) if classes[i] not in known]
    if unknown:
        return NewData(inputs, None, f"expected the classes {_listed(known)}, got {unknown[0]!r}")
    numbers = np.array([known.index(name) if name in known else -1 for name in classes])
    return NewData(inputs, numbers[values])


def _listed(names: tuple[str, ...], most: int = 20) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
