"""The record of a crosscheck: a tally for each op, the layer path, and the error that stops a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ...base import Backend
from ...errors import DivergenceError
from ...host import Host
from .call import Call
from .comparison import Comparison, Tally
from .repro import Repro, save
from .settings import Settings

_path: ContextVar[tuple[str, ...]] = ContextVar("lamina_crosschecked_layers", default=())
"""The names of the running layers, outermost first."""


class Ledger:
    """Counts the comparisons of two backends, and reports those beyond their tolerance."""

    def __init__(self, settings: Settings, primary: Backend, reference: Backend) -> None:
        self.settings, self.primary, self.reference = settings, primary, reference
        self.tallies: dict[str, Tally] = {}

    @contextlib.contextmanager
    def layer(self, name: str) -> Iterator[None]:
        """Name the layer that runs inside."""
        token = _path.set((*_path.get(), name))
        try:
            yield
        finally:
            _path.reset(token)

    def diverges(self, name: str, comparison: Comparison) -> bool:
        """Count a comparison; return whether it is a divergence."""
        tally, diverges = self.tallies.setdefault(name, Tally()), comparison.share > self.settings.tolerance
        tally.add(comparison, ".".join(_path.get()))
        tally.divergences += diverges
        return diverges

    def diverged(
        self, call: Call, actual: list[Host], expected: list[Host] | str, comparison: Comparison
    ) -> None:
        """Save a repro (of each op's first divergence if we keep going), and raise unless we keep going."""
        tally, settings = self.tallies[call.op.name], self.settings
        message, saved = f"{comparison.message}\n  arguments: {call}", ""
        if settings.folder is not None and not (settings.keep_going and tally.repro):
            right = [] if isinstance(expected, str) else expected
            try:
                repro = Repro(call, self._origin(comparison), actual, right)
                tally.repro = save(Path(settings.folder), repro)
                saved = f"\n  repro: {tally.repro} (lamina check --replay {tally.repro} runs it again)"
            except (OSError, TypeError, ValueError) as error:
                saved = f"\n  no repro file in '{settings.folder}': {error}"
        if not settings.keep_going:
            raise self.error(call.op.name, message + saved, tally.repro)

    def error(self, name: str, message: str, path: Path | None = None) -> DivergenceError:
        """Return the error that names the op, the layer and both backends."""
        layer = ".".join(_path.get())
        where = f" in layer {layer}" if layer else ""
        differs = f"{self.primary.spec} differs from {self.reference.spec} ({self.settings.mode})"
        error = DivergenceError(f"{name}{where}: {differs}: {message}")
        error.op, error.layer, error.repro = name, layer, path
        return error

    def _origin(self, comparison: Comparison) -> dict[str, Any]:
        return {
            "layer": ".".join(_path.get()),
            "primary": self.primary.spec,
            "reference": self.reference.spec,
            "dtype": self.primary.default_dtype,
            "mode": self.settings.mode,
            "said": comparison.message,
        }
