"""Every row of the table of bad inputs (`tests/helpers/bad_input/`), on every backend."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from bad_input import Bad, Place, complaint, layer_calls, loop, optimizers, schedules, scores

from lamina.backends import Backend, get_backend

ROWS: tuple[Bad, ...] = (*layer_calls.ROWS, *optimizers.ROWS, *schedules.ROWS, *loop.ROWS, *scores.ROWS)


def _subjects(rows: Iterable[Bad]) -> list[str]:
    return list(dict.fromkeys(row.subject for row in rows))


EVERYWHERE = [row for row in ROWS if not row.once]
ONCE = [row for row in ROWS if row.once]


def _check(rows: Iterable[Bad], backend: Backend, tmp_path: Path) -> None:
    """Fail with all complaints about the rows, each of which has an empty folder."""

    def folder(i: int) -> Path:
        path = tmp_path / str(i)
        path.mkdir()
        return path

    complaints = [complaint(row, Place(backend, lambda i=i: folder(i))) for i, row in enumerate(rows)]
    assert not any(complaints), "\n".join(filter(None, complaints))


@pytest.mark.parametrize("subject", _subjects(EVERYWHERE))
def test_bad_input_is_a_clear_error(subject: str, backend: Backend, tmp_path: Path) -> None:
    _check((row for row in EVERYWHERE if row.subject == subject), backend, tmp_path)


@pytest.mark.parametrize("subject", _subjects(ONCE))
def test_bad_input_that_meets_no_backend(subject: str, tmp_path: Path) -> None:
    _check((row for row in ONCE if row.subject == subject), get_backend("numpy"), tmp_path)


def test_rows_differ() -> None:
    assert len({str(row) for row in ROWS}) == len(ROWS)
