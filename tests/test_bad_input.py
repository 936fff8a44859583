"""Every row of the table of bad inputs (`tests/helpers/bad_input/`), on every backend."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import command
from bad_input import (
    Bad,
    Place,
    command_line,
    complaint,
    data,
    files,
    layer_calls,
    layer_cases,
    loop,
    models,
    onnx_files,
    optimizers,
    schedules,
    scores,
)
from rows import each

from lamina.backends import Backend, get_backend
from lamina.layers import mode
from lamina.layers.proofs import LayerCase
from lamina.layers.proofs.cases import LAYER_CASES
from lamina.train import BestWeights, EarlyStopping, ProgressBar, Schedule
from lamina.train import data as data_sets
from lamina.train.runs.names import OPTIMIZERS
from lamina.train.runs.recipe import OPTIONS

PARTS = (
    layer_cases,
    layer_calls,
    optimizers,
    schedules,
    loop,
    scores,
    files,
    data,
    models,
    onnx_files,
    command_line,
)
ROWS: tuple[Bad, ...] = tuple(row for part in PARTS for row in part.ROWS)


def _check(row: Bad, backend: Backend, tmp_path: Path) -> None:
    __tracebackhide__ = True
    wrong = complaint(row, Place(backend, lambda: Path(tempfile.mkdtemp(dir=tmp_path))))
    assert not wrong, wrong


@each([row for row in ROWS if not row.once], str, "row")
def test_bad_input_is_a_clear_error(row: Bad, backend: Backend, tmp_path: Path) -> None:
    _check(row, backend, tmp_path)


@each([row for row in ROWS if row.once], str, "row")
def test_bad_input_that_meets_no_backend(row: Bad, tmp_path: Path) -> None:
    _check(row, get_backend("numpy"), tmp_path)


@each(LAYER_CASES)
def test_shapes_that_no_row_refuses_are_taken(case: LayerCase, backend: Backend) -> None:
    b = backend
    for shape in layer_cases.judged_shapes(case)[1]:
        layer = case.build(b)
        with mode(training=False):
            y = layer(b.full(shape, 0, dtype="int64" if case.integers else None))
        assert tuple(b.shape(y)) == tuple(layer.output_shape(shape)), shape
        grad = layer.backward(b.full(b.shape(y), 1.0))
        assert case.integers or tuple(b.shape(grad)) == shape


def test_every_part_of_training_has_rows() -> None:
    parts = {kind.__name__ for kind in (*OPTIMIZERS.values(), *Schedule.__subclasses__())}
    parts |= {kind.__name__ for kind in (EarlyStopping, BestWeights, ProgressBar)}
    parts |= {name for name in data_sets.__all__ if name.startswith(("read_", "load_")) or "_splits" in name}
    parts |= {"Dataset", "Splits", "Scaling", "Trainer", "Trainer.fit", "Trainer.predict", "Trainer.evaluate"}
    assert parts - {row.subject for row in ROWS} - {"digits_splits"} == set()


def test_every_option_of_the_command_line_has_rows() -> None:
    commands = command.commands().commands
    flags = {
        f"{name} {flag}"
        for name, one in commands.items()
        for option in one.params
        for flag in (*option.opts, *option.secondary_opts)
        if flag.startswith("--") and flag != "--json"  # each row runs with it, too
    }
    assert flags - {row.subject for row in command_line.ROWS} == set()
    values = {f"train {option.flag}" for option in OPTIONS.values() if not isinstance(option.default, bool)}
    counts = Counter(row.subject for row in command_line.ROWS)
    few = {name for name in values if counts[name] < 6} - {
        "train --header",
        "train --standardize",
        "train --best",
        "train --target",
    }
    assert few == set()
