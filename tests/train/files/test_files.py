"""Files are written whole, and never over another silently."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lamina.backends.written import noted
from lamina.train.files import OutputError, atomic_write, claimed, is_unused, new_file, visible
from lamina.train.files.claim import LOCK


def test_an_existing_file_needs_force(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    assert new_file(str(path)) == path
    path.write_text("old")
    with pytest.raises(
        OutputError, match=r"--out: expected a new file, got '.*a\.csv', which exists; .*--force"
    ):
        new_file(path)
    assert new_file(path, force=True) == path


HOLDER = """
import sys, time
from pathlib import Path
from lamina.train.files import claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_has_one_writer(tmp_path: Path) -> None:
    with claimed(tmp_path):
        assert os.listdir(tmp_path) == [LOCK]
        assert is_unused(tmp_path)
        with (
            pytest.raises(OutputError, match="is in use by another run; wait until it ends"),
            claimed(tmp_path),
        ):
            pytest.fail("two writers")
        assert os.listdir(tmp_path) == [LOCK]
    assert not os.listdir(tmp_path)


def test_a_dead_process_holds_no_folder(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match="in use"), claimed(tmp_path):
            pytest.fail("two writers")
    finally:
        process.kill()
        process.communicate()
    assert os.listdir(tmp_path) == [LOCK], "it could not clean up"
    assert is_unused(tmp_path)
    with claimed(tmp_path):
        pass
    assert not os.listdir(tmp_path)


def test_a_file_that_came_to_be_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("of another run")
    with pytest.raises(OutputError, match="File exists"):
        atomic_write(path, b"ours", replace=False)
    assert path.read_text() == "of another run"
    atomic_write(tmp_path / "new.csv", b"ours", replace=False)
    assert sorted(os.listdir(tmp_path)) == ["new.csv", "out.csv"]


def test_what_was_written_is_noted(tmp_path: Path) -> None:
    with noted() as notes:
        for name in ("a", "b", "c"):
            atomic_write(tmp_path / name, b"1")
        (tmp_path / "b").unlink()
        (tmp_path / "d").write_bytes(b"2")
        os.replace(tmp_path / "d", tmp_path / "c")
    assert notes.still_there() == [tmp_path / "a"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Grüße 日本 [b]", "Grüße 日本 [b]"),
        ("\x1b[2J\x07\x9b1A\x7f", r"\x1b[2J\x07\x9b1A\x7f"),
        ("\u202egpj.exe\u2066\u200f\u2028", r"\u202egpj.exe\u2066\u200f\u2028"),
        ("a\tb\r\nc", r"a\tb\r\nc"),
    ],
)
def test_control_characters_become_visible(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(text, lines=True) == shown.replace(r"\n", "\n")
