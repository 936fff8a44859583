"""Run folders: making one, and locating the model in one."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

from ..data import SOURCES
from ..files import OutputError


@contextlib.contextmanager
def run_folder(out: str | None, source: str) -> Iterator[Path]:
    """Make an empty folder for a run: `out`, or the next free runs/NAME-K; remove it if it stays empty.

    Raises
    ------
    OutputError
        If it is not empty, or cannot be made or written; raised before the training, not after it.

    """
    try:
        folder = _free_folder(source) if out is None else _empty_folder(Path(out))
        probe = folder / ".lamina-probe"
        probe.touch()
        probe.unlink()
    except FileExistsError as error:
        raise OutputError(f"--out: expected a folder, got the existing file '{error.filename}'") from error
    except OutputError:
        raise
    except OSError as error:
        where = error.filename if out is None else out
        raise OutputError(f"Cannot write the run folder '{where}': {error.strerror or error}.") from error
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()


def model_file(source: str) -> Path | None:
    """Return the model file of a source: the source itself, or a file in the run folder; else None."""
    path = Path(source)
    if path.suffix in (".safetensors", ".onnx"):
        return path
    inside = path / "model.safetensors"
    return inside if inside.is_file() else None


def _empty_folder(folder: Path) -> Path:
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"--out: expected an empty or new folder, got '{folder}', which is not empty")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _free_folder(source: str) -> Path:
    name = source if source in SOURCES else Path(source).resolve().stem
    runs = Path("runs")
    runs.mkdir(exist_ok=True)
    for k in itertools.count(1):
        with contextlib.suppress(FileExistsError):  # it exists, or another run has just made it
            (runs / f"{name}-{k}").mkdir()
            return runs / f"{name}-{k}"
    raise AssertionError
