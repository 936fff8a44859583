"""The folder of a report: one file per run, so that an interrupted report resumes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from .... import __version__
from ....backends import DataError
from ...files import OutputError, atomic_write, to_json
from .facts import sources
from .paper import Options, Paper
from .training import Outcome, Run

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
            "scale": options.scale,
            "seed": options.seed,
            "options": dict(options.choices),
            "backend": spec,
            "dtype": dtype,
        }
        head = path / _HEAD
        if head.exists():
            self._compare(_read(head))
        elif path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise DataError(f"'{path}' was not made by `lamina reproduce`; name another folder with --out.")
        try:
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
        if stored.get("plan") != json.loads(to_json(run.plan.to_dict())):
            raise DataError(f"'{file}' has another plan; name another folder with --out, or remove it.")
        numbers = {name: _number(value) for name, value in stored["numbers"].items()}
        series = {name: [_number(value) for value in values] for name, values in stored["series"].items()}
        return Outcome(numbers, series, stored["weights"])

    def save(self, run: Run, outcome: Outcome) -> None:
        """Write a run's outcome atomically."""
        value = {"run": run.name, "seed": run.seed, "plan": run.plan.to_dict(), **vars(outcome)}
        atomic_write(self._file(run), (to_json(value) + "\n").encode())

    def _file(self, run: Run) -> Path:
        return self.path / "runs" / f"{run.key.replace('/', '_').replace(' ', '_')}.json"

    def _compare(self, other: dict[str, Any]) -> None:
        theirs = {**other, **other.pop("options", {})} if isinstance(other, dict) else {}
        ours = {**self.identity, **self.identity["options"]}
        del ours["options"]
        differences = [
            f"{name} is {theirs.get(name)!r} there and {ours[name]!r} here"
            for name in ours
            if theirs.get(name) != ours[name]
        ]
        if differences:
            raise DataError(
                f"'{self.path}' holds another experiment: {'; '.join(differences)}. Outcomes are not mixed: "
                "name another folder with --out, or remove that one."
            )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"'{path}' cannot be read ({error}); remove it to run that part again.") from error


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
