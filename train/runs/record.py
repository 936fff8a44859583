"""`Record`: what a run folder's run.json says of a run, from its start to its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from ... import __version__
from ...backends import DataError
from ...backends.options import shown
from ..files import atomic_write, from_json, to_json
from .recipe import Recipe

NAME = "run.json"
FORMAT = "1"
State = Literal["running", "done", "interrupted", "failed"]
_STATES = get_args(State)


@dataclass(frozen=True)
class Record:
    """A run: its settled recipe, its backend, its state, and its results once it has ended."""

    recipe: Recipe
    backend: str
    dtype: str
    state: State
    results: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Write run.json into a folder; return its path."""
        record = {
            "format": FORMAT,
            "lamina": __version__,
            "state": self.state,
            "backend": self.backend,
            "dtype": self.dtype,
            "recipe": self.recipe.to_dict(),
            "results": dict(self.results),
        }
        atomic_write(folder / NAME, (to_json(record, indent=2) + "\n").encode())
        return folder / NAME

    @classmethod
    def read(cls, folder: Path) -> Record:
        """Read a folder's run.json; DataError names the file and its fault."""
        path, found = folder / NAME, _read(folder)
        if found is None:
            raise DataError(f"'{path}': expected the record of a run, got no such file")
        backend, dtype, results = (found.get(name) for name in ("backend", "dtype", "results"))
        known = isinstance(backend, str) and isinstance(dtype, str)
        if not known or found.get("state") not in _STATES:
            raise DataError(
                f"'{path}': expected a state and a backend, got a run without; it is of an older Lamina"
            )
        if not isinstance(results, dict):
            raise DataError(f"'{path}': expected results, got {shown(results)}")
        recipe = Recipe.from_dict(found.get("recipe"))  # type: ignore[arg-type]  # it checks
        return cls(recipe, str(backend), str(dtype), found["state"], results)


def state_of(folder: Path) -> State:
    """Return the state of a run; one without a state, or without run.json, is done.

    Raises
    ------
    DataError
        If run.json cannot be read, or has another format.

    """
    found = _read(folder)
    state: State = "done" if found is None else found.get("state", "done")
    return state if state in _STATES else "done"


def _read(folder: Path) -> dict[str, Any] | None:
    """Return what run.json holds, of this format; None if there is none."""
    path = folder / NAME
    try:
        record = from_json(path.read_bytes(), f"'{path}'")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror or error}") from error
    found = record.get("format", FORMAT) if isinstance(record, dict) else None
    if found != FORMAT:
        raise DataError(
            f"'{path}': expected format {FORMAT!r}, got {shown(found)}; use the Lamina that wrote it"
        )
    return record  # type: ignore[no-any-return]
