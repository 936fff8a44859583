"""The comparison of two results, and the table that `crosscheck` reports."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from ...host import Host
from ...notebook import Shown, table
from ...tolerance import Tolerance, dtype_name, shares, ulp_of


@dataclass(frozen=True)
class Comparison:
    """The worst error of a result against the reference's."""

    share: float = 0.0
    """The error as a share of the tolerance; inf if an exact result differs."""
    ulp: float = 0.0
    """The same error in units in the last place; NaN if that has no meaning."""
    message: str = ""
    """The element, both values, the error and the tolerance; empty within the tolerance."""
    discrete: bool = False
    """Whether the results are integers or booleans."""

    @staticmethod
    def wrong(message: str) -> Comparison:
        """Return a failure that no tolerance covers: another shape or dtype, an error."""
        return Comparison(np.inf, np.nan, message)


def compare(
    actual: Host, expected: Host, tolerance: Tolerance, *, limit: float = 1.0, **how: Any
) -> Comparison:
    """Compare a result (*) with the reference's (*), whose dtype may be wider.

    limit: a factor on the tolerance. how: options of `tolerance.shares`.
    """
    discrete = actual.dtype.kind != "f"
    if actual.shape != expected.shape:
        return Comparison.wrong(f"got shape {actual.shape}, expected {expected.shape}")
    if not actual.size:
        return Comparison(discrete=discrete)
    share = shares(actual, expected, tolerance, **how)
    place = int(np.argmax(share))
    worst = np.unravel_index(place, share.shape)
    got, right, ulp = actual[worst], expected[worst], np.nan
    if not discrete:
        ulp = abs(float(got) - float(right)) / float(ulp_of(right, dtype_name(actual.dtype)))
    comparison = Comparison(float(share[worst]), ulp, discrete=discrete)
    if comparison.share <= limit:
        return comparison
    bar = "equal"
    if not discrete and tolerance.kind != "exact":
        how.pop("flush", None)
        allowed = tolerance.allowed(expected.astype(np.float64), dtype_name(actual.dtype), **how)[worst]
        bar = f"within {allowed:.3g} ({tolerance.kind})"
    where = f"at {tuple(map(int, worst))} " if worst else ""
    off = "" if np.isnan(ulp) else f", off by {abs(float(got) - float(right)):.3g} or {ulp:.3g} ULP"
    count = f"{int(np.sum(share > limit))} of {share.size} elements"
    times = f" times {limit:g}" if limit != 1 and bar != "equal" else ""
    message = f"{where}got {got}, expected {right}{off}; it must be {bar}{times}, and {count} are not"
    return replace(comparison, message=message)


@dataclass
class Tally:
    """The comparisons of one op."""

    calls: int = 0
    share: float = 0.0
    """The worst error as a share of the tolerance."""
    ulp: float = 0.0
    """That error in units in the last place."""
    divergences: int = 0
    layer: str = ""
    """The layer of the worst error."""
    repro: Path | None = None

    def add(self, comparison: Comparison, layer: str) -> None:
        """Count a call and keep the worst."""
        self.calls += 1
        if comparison.share > self.share:
            self.share, self.ulp, self.layer = comparison.share, comparison.ulp, layer


@dataclass(frozen=True, repr=False)
class Table(Shown):
    """The tallies of all ops; `str` gives a table."""

    title: str
    rows: dict[str, Tally] = field(default_factory=dict)

    @property
    def divergences(self) -> int:
        """The number of results beyond their tolerance."""
        return sum(row.divergences for row in self.rows.values())

    @property
    def passed(self) -> bool:
        """Whether at least one op ran and none diverged."""
        return bool(self.rows) and not self.divergences

    def __str__(self) -> str:
        lines = [
            self._heading(),
            f"{'op':<20} {'calls':>9} {'of the bar':>10} {'ULP':>9} {'divergences':>11}  worst in",
        ]
        for op, calls, share, ulp, divergences, layer, repro in self._cells():
            line = f"{op:<20} {calls:>9} {share:>10} {ulp:>9} {divergences:>11}  {layer}"
            lines.append(line.rstrip() + (f"  {repro}" if repro else ""))
        return "\n".join(lines)

    @override
    def _repr_html_(self) -> str:
        heads = ("op", "calls", "of the bar", "ULP", "divergences", "worst in", "")
        return table(heads, self._cells(), caption=self._heading())

    def _heading(self) -> str:
        calls = sum(row.calls for row in self.rows.values())
        return f"{self.title}: {calls:,} calls of {len(self.rows)} ops, {self.divergences:,} divergences"

    def _cells(self) -> list[tuple[str, ...]]:
        """Return the rows as texts, the worst first."""
        worst_first = sorted(self.rows.items(), key=lambda item: (-item[1].divergences, -item[1].share))
        return [
            (
                op,
                f"{row.calls:,}",
                f"{row.share:.3g}",
                "-" if np.isnan(row.ulp) else f"{row.ulp:.3g}",
                f"{row.divergences:,}",
                row.layer,
                str(row.repro or ""),
            )
            for op, row in worst_first
        ]
