"""Where a run is kept, and where one is found."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

from ..data import SOURCES
from ..files import OutputError


@contextlib.contextmanager
def run_folder(out: str | None, source: str) -> Iterator[Path]:
    """Make an empty folder for a run: `out`, or the next free runs/NAME-K. Left empty, it goes again.

    Raises
    ------
    OutputError
        If it is not empty, or cannot be made or written: before the training, not after it.

    """
    try:
        folder = _free_folder(source) if out is None else _empty_folder(Path(out))
        probe = folder / ".lamina-probe"
        probe.touch()
        probe.unlink()
    except FileExistsError as error:
        raise OutputError(
            f"Cannot make the run folder '{error.filename}': a file of that name exists."
        ) from error
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
    """Return the model file that a source names: itself, or the one in a run folder; else None."""
    path = Path(source)
    if path.suffix in (".safetensors", ".onnx"):
        return path
    inside = path / "model.safetensors"
    return inside if inside.is_file() else None


def _empty_folder(folder: Path) -> Path:
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"--out: the folder '{folder}' is not empty; name another, or remove it.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _free_folder(source: str) -> Path:
    name = source if source in SOURCES else Path(source).resolve().stem
    runs = Path("runs")
    runs.mkdir(exist_ok=True)
    for k in itertools.count(1):
        with contextlib.suppress(FileExistsError):  # one that is there, or that another run makes just now
            (runs / f"{name}-{k}").mkdir()
            return runs / f"{name}-{k}"
    raise AssertionError
