"""What a crosscheck has found: a tally by op, the layer that runs, and the error that stops a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DivergenceError
from ...tolerance import Host
from .call import Call
from .comparison import Comparison, Tally
from .repro import Repro, save

if TYPE_CHECKING:
    from .backend import CrosscheckBackend


class Ledger:
    """Counts the comparisons of a crosscheck, and says what is over its bar."""

    def __init__(self, owner: CrosscheckBackend) -> None:
        self.owner = owner
        self.tallies: dict[str, Tally] = {}
        self.path: list[str] = []
        """The names of the layers that are running, outermost first."""

    @contextlib.contextmanager
    def layer(self, name: str) -> Iterator[None]:
        """Name the layer that runs inside."""
        self.path.append(name)
        try:
            yield
        finally:
            self.path.pop()

    def over(self, name: str, found: Comparison) -> bool:
        """Count a comparison; return whether it is a divergence."""
        tally = self.tallies.setdefault(name, Tally())
        tally.add(found, ".".join(self.path))
        tally.divergences += found.share > self.owner.tolerance
        return found.share > self.owner.tolerance

    def diverged(self, call: Call, actual: list[Host], expected: list[Host] | str, found: Comparison) -> None:
        """Write a repro (of each op's first divergence), and raise unless we keep going."""
        tally = self.tallies[call.op.name]
        said, saved = f"{found.said}\n  arguments: {call}", ""
        if self.owner.folder is not None and not (self.owner.keep_going and tally.repro):
            right = [] if isinstance(expected, str) else expected
            try:
                tally.repro = save(Path(self.owner.folder), Repro(call, self._about(found), actual, right))
                saved = f"\n  repro: {tally.repro} (lamina check --replay {tally.repro} runs it again)"
            except (OSError, TypeError, ValueError) as error:
                saved = f"\n  no repro file in '{self.owner.folder}': {error}"
        if not self.owner.keep_going:
            raise self.error(call.op.name, said + saved, tally.repro)

    def error(self, name: str, said: str, path: Path | None = None) -> DivergenceError:
        """Return the error that names op, layer and both backends."""
        layer = ".".join(self.path)
        where = f" in layer {layer}" if layer else ""
        owner = self.owner
        differs = f"{owner.inner.spec} differs from {owner.reference.spec} ({owner.mode})"
        error = DivergenceError(f"{name}{where}: {differs}: {said}")
        error.op, error.layer, error.repro = name, layer, path
        return error

    def _about(self, found: Comparison) -> dict[str, Any]:
        return {
            "layer": ".".join(self.path),
            "primary": self.owner.inner.spec,
            "reference": self.owner.reference.spec,
            "dtype": self.owner.default_dtype,
            "mode": self.owner.mode,
            "said": found.said,
        }
