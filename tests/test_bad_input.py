"""Every row of the table of bad inputs (`tests/helpers/bad_input/`), on every backend."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bad_input import (
    Bad,
    Place,
    complaint,
    data,
    files,
    layer_calls,
    layer_cases,
    loop,
    optimizers,
    schedules,
    scores,
)
from rows import each

from lamina.backends import Backend, get_backend
from lamina.layers import mode
from lamina.layers.proofs import LayerCase
from lamina.layers.proofs.cases import LAYER_CASES

PARTS = (layer_cases, layer_calls, optimizers, schedules, loop, scores, files, data)
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
