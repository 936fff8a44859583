"""Files are written whole, and never over another silently."""

from __future__ import annotations

from pathlib import Path

import pytest

from lamina.train.files import OutputError, new_file


def test_an_existing_file_needs_force(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    assert new_file(str(path)) == path
    path.write_text("old")
    with pytest.raises(
        OutputError, match=r"--out: expected a new file, got '.*a\.csv', which exists; .*--force"
    ):
        new_file(path)
    assert new_file(path, force=True) == path
