"""Atomic writing: the old file or the new one, never a part, and errors that name the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lamina.backends.errors import LaminaError
from lamina.train.files.atomic import OutputError, atomic_write


def test_atomic_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    atomic_write(path, b"one")
    atomic_write(str(path), memoryview(b"two"))
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["file.bin"]


def test_atomic_write_takes_the_longest_name(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    atomic_write(path, b"data")
    assert path.read_bytes() == b"data"


def test_a_new_file_obeys_the_umask_and_an_old_one_keeps_its_mode(tmp_path: Path) -> None:
    path, plain = tmp_path / "file", tmp_path / "plain"
    plain.write_bytes(b"")
    atomic_write(path, b"one")
    assert path.stat().st_mode == plain.stat().st_mode
    path.chmod(0o600)
    atomic_write(path, b"two")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_is_followed(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"old")
    link.symlink_to(real)
    atomic_write(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise error

    path = tmp_path / "file"
    atomic_write(path, b"old")
    monkeypatch.setattr(os, step, fail)
    expected = OutputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        atomic_write(path, b"new")
    if expected is OutputError:
        assert f"Cannot write 'file' in folder '{tmp_path}': No space left on device." in str(caught.value)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    with pytest.raises(OutputError, match=r"in folder '.*gone': the folder does not exist; create it"):
        atomic_write(tmp_path / "gone" / "x", b"")
    with pytest.raises(OutputError, match=r"in folder '.*file': that is a file, not a folder"):
        atomic_write(tmp_path / "file" / "x", b"")
    with pytest.raises(OutputError, match="that is a folder; give the name of a file"):
        atomic_write(tmp_path, b"")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="not a plain file"):
        atomic_write(tmp_path / "pipe", b"")
    assert sorted(os.listdir(tmp_path)) == ["file", "pipe"]


def test_a_folder_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The tests may run as root, whom no permission stops: have the system say no.
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputError, match=r"Cannot write 'x' in folder '.*': Permission denied\."):
        atomic_write(tmp_path / "x", b"")


def test_output_error_is_both() -> None:
    assert issubclass(OutputError, LaminaError)
    assert issubclass(OutputError, OSError)
