"""The folder of a report: one file per run, so that an interrupted report resumes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from .... import __version__
from ....backends import DataError, LaminaError
from ....backends.options import shown
from ...files import OutputError, atomic_write, from_json, is_unused, to_json
from .facts import sources
from .paper import Options, Paper
from .plan import network
from .training import COLUMNS, NUMBERS, Outcome, Run

_FORMAT = 1
_HEAD = "experiment.json"


class ReportFolder:
    """A folder for one paper, one set of options, one backend and one version of Lamina.

    Raises
    ------
    DataError
        If the folder holds anything else: outcomes of two experiments are never mixed.
    OutputError
        If the folder cannot be made.

    """

    def __init__(self, path: Path, paper: Paper, options: Options, spec: str, dtype: str) -> None:
        self.path = path
        self.identity: dict[str, Any] = {
            "format": _FORMAT,
            "paper": paper.name,
            "version": __version__,
            "sources": sources(),
            "seed": options.seed,
            "options": dict(options.choices),
            "backend": spec,
            "dtype": dtype,
        }
        head = path / _HEAD
        try:
            if head.exists():
                self._compare(_read(head))
            elif path.exists() and not is_unused(path):
                raise DataError(
                    f"'{path}': expected a new folder, or one of `lamina reproduce`, got another; name "
                    "another folder with --out"
                )
            (path / "runs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"Cannot make the folder '{path}': {error.strerror or error}.") from error
        if not head.exists():
            atomic_write(head, (to_json(self.identity, indent=2) + "\n").encode())

    def load(self, run: Run) -> Outcome | None:
        """Return a run's outcome, or None if it was not done."""
        file = self._file(run)
        if not file.exists():
            return None
        stored = _read(file)
        try:
            if stored["plan"] != json.loads(to_json(run.plan.to_dict())):
                raise DataError(f"'{file}' has another plan; name another folder with --out, or remove it.")
            return _outcome(stored, run)
        except (AttributeError, KeyError, TypeError, ValueError, LaminaError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"'{file}' is damaged: {error} is wrong or missing; remove it to run that part again."
            ) from error

    def save(self, run: Run, outcome: Outcome) -> None:
        """Write a run's outcome atomically."""
        value = {"run": run.name, "seed": run.seed, "plan": run.plan.to_dict(), **vars(outcome)}
        atomic_write(self._file(run), (to_json(value) + "\n").encode())

    def _file(self, run: Run) -> Path:
        return self.path / "runs" / f"{run.key.replace('/', '_').replace(' ', '_')}.json"

    def _compare(self, other: Any) -> None:
        theirs = dict(other) if isinstance(other, dict) else {}
        options = theirs.pop("options", {})
        theirs |= options if isinstance(options, dict) else {}
        ours = {**self.identity, **self.identity["options"]}
        del ours["options"]
        differences = [
            f"expected {name} {shown(ours[name])}, got {shown(theirs.get(name))}"
            for name in ours
            if theirs.get(name) != ours[name]
        ]
        if differences:
            raise DataError(
                f"'{self.path}' holds another experiment: {'; '.join(differences)}. Outcomes are not mixed: "
                "name another folder with --out, or remove that one."
            )


def _outcome(stored: dict[str, Any], run: Run) -> Outcome:
    """Return the outcome in a file; KeyError, TypeError or ValueError if it is damaged."""
    numbers = {name: _number(value) for name, value in stored["numbers"].items()}
    series = {name: [_number(value) for value in values] for name, values in stored["series"].items()}
    for names, found in ((COLUMNS, series), (NUMBERS, numbers)):
        if missing := [name for name in names if name not in found]:
            raise KeyError(missing[0])
    if len({len(series[name]) for name in COLUMNS}) != 1 or not series["epoch"]:
        raise ValueError("the length of a series")
    weights = stored["weights"]
    if run.keep_weights:
        values = {name: np.asarray(value, dtype=np.float64) for name, value in weights.items()}
        network(run.plan, run.seed, "numpy").load_state_dict(values)
    elif weights is not None:
        raise TypeError("weights")
    if not isinstance(stored["eager"], str):
        raise TypeError("eager")
    return Outcome(numbers, series, weights, stored["eager"])


def _read(path: Path) -> Any:
    try:
        return from_json(path.read_bytes(), f"'{path}'")
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror or error}") from error


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
