"""Every row of the table of bad inputs (`tests/helpers/bad_input/`), on every backend."""

from __future__ import annotations

import importlib
import inspect
import tempfile
from collections import Counter
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import bad_input
import command
import pytest
from bad_input import Bad, Place, command_line, complaint, initializers, layer_cases, layer_options, losses
from rows import each

import lamina.layers
from lamina.backends import Backend, get_backend
from lamina.layers import mode
from lamina.layers.proofs import LayerCase
from lamina.layers.proofs.cases import LAYER_CASES
from lamina.train import BestWeights, EarlyStopping, ProgressBar, Schedule
from lamina.train import data as data_sets
from lamina.train.runs.names import OPTIMIZERS
from lamina.train.runs.recipe import OPTIONS

PARTS = [importlib.import_module(f"bad_input.{part.name}") for part in iter_modules(bad_input.__path__)]
ROWS: tuple[Bad, ...] = tuple(row for part in PARTS for row in getattr(part, "ROWS", ()))


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


# -- the table is whole ----------------------------------------------------------------------------

SUBJECTS = {row.subject.partition(".")[0] for row in ROWS}
NO_INPUT = {
    "Cell",  # made by its subclasses
    "inference",  # takes nothing
    "TorchDefault",  # takes nothing
    "without_input_gradient",  # compares its argument with modules
}


def test_there_are_enough_rows() -> None:
    assert len({str(row) for row in ROWS}) == len(ROWS) >= 400


def test_everything_public_of_layers_is_a_subject() -> None:
    assert set(lamina.layers.__all__) - SUBJECTS == NO_INPUT


@pytest.mark.parametrize("table", [layer_options.OPTIONS, losses.OPTIONS_OF, initializers.OPTIONS])
def test_every_option_has_bad_values(table: dict[str, Any]) -> None:
    for name, row in table.items():
        options = row[1] if table is layer_options.OPTIONS else row
        declared = set(inspect.signature(getattr(lamina.layers, name)).parameters) - {"backend"}
        assert declared == set(options), name


def test_every_layer_loss_and_initializer_has_its_options_in_the_table() -> None:
    public = {name: getattr(lamina.layers, name) for name in lamina.layers.__all__}
    bases = (lamina.layers.Module, lamina.layers.Loss, lamina.layers.Initializer)
    made = {n for n, c in public.items() if isinstance(c, type) and issubclass(c, bases) and c not in bases}
    tables = {*layer_options.OPTIONS, *losses.OPTIONS_OF, *initializers.OPTIONS}
    assert made - tables == {"Residual", "Sequential"}  # of layers: `containers.py`


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
