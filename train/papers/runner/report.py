"""The report: judges the results, draws the pictures, and writes report.md and report.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ....backends import Backend
from ...files import atomic_write, to_json
from ...pictures import attempt
from .facts import facts
from .folder import ReportFolder
from .paper import Options, Paper, Picture, Results, Row, Table
from .statistics import Summary, summarize, verdict
from .text import figure, grid, span


@dataclass(frozen=True)
class Line:
    """A reported number, the reproduced one, and the verdict."""

    row: Row
    summary: Summary | None
    """None if nothing was run."""
    baseline: float | None
    verdict: str

    def cells(self) -> tuple[str, ...]:
        """Return label, place, reported, reproduced, interval, n and baseline as texts."""
        row, summary = self.row, self.summary
        return (
            row.label,
            row.where,
            "-" if row.reported is None else figure(row.reported, row.form, row.std),
            "-" if summary is None else figure(summary.centre, row.form, summary.std),
            "" if summary is None else span(summary.low, summary.high, row.form),
            "0" if summary is None else str(summary.n),
            "" if self.baseline is None else figure(self.baseline, "percent"),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        row = self.row
        return {
            "what": row.what,
            "where": row.where,
            "reported": row.reported,
            "reported_std": row.std,
            "statistic": row.statistic,
            "reproduced": None if self.summary is None else self.summary.to_dict(),
            "baseline": self.baseline,
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class Report:
    """The contents of a report."""

    paper: Paper
    options: Options
    folder: Path
    lines: list[Line]
    tables: list[Table]
    notes: list[str]
    eager: str
    """Which experiments ran op by op although `jit` compiles the others, and why; "" if none did."""
    pictures: list[Picture]
    facts: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "paper": self.paper.name,
            "seed": self.options.seed,
            "options": dict(self.options.choices),
            "facts": self.facts,
            "rows": [line.to_dict() for line in self.lines],
            "tables": [vars(table) for table in self.tables],
            "notes": self.notes,
            "eager": self.eager,
            "pictures": [picture.file for picture in self.pictures],
        }


def write(
    paper: Paper,
    options: Options,
    folder: ReportFolder,
    results: Results,
    backend: Backend,
    missing: list[str],
) -> Report:
    """Write the report of a paper's results, and return it. missing: packages that some runs need."""
    lines = [judge(row, results, missing) for row in paper.rows(options)]
    with np.errstate(all="ignore"):  # diverged runs have losses that no axis shows
        tables, notes = paper.tables(results, options), paper.notes(results, options)
        pictures: list[Picture] = []
        not_drawn = attempt("a picture", lambda: pictures.extend(paper.draw(results, folder.path, options)))
    if not_drawn:
        notes = [*notes, f"The report has no pictures: {not_drawn}."]
    eager = _eager(results)
    report = Report(paper, options, folder.path, lines, tables, notes, eager, pictures, facts(backend))
    atomic_write(folder.path / "report.json", (to_json(report.to_dict(), indent=2) + "\n").encode())
    atomic_write(folder.path / "report.md", markdown(report).encode())
    return report


def judge(row: Row, results: Results, missing: Sequence[str] = ()) -> Line:
    """Compare a reported number with the runs."""
    values = row.of(results)
    shares = row.baseline(results) if row.baseline is not None else []
    baseline = sum(shares) / len(shares) if shares else None
    if not values:
        text = f"not run: it needs {' and '.join(missing)}" if missing else "not run"
        return Line(row, None, baseline, text)
    summary = summarize(values, row.statistic)
    if row.incomparable:
        text = f"cannot be compared: {row.incomparable}"
    elif row.reported is None:
        text = "the paper gives no number"
    else:
        text = verdict(row.reported, row.std, summary, row.better)
        if row.why and text not in ("within", "better"):
            text += f": {row.why}"
        if row.ran:
            text += f" ({row.ran})"
    return Line(row, summary, baseline, text)


def _eager(results: Results) -> str:
    """Return a sentence for each reason why experiments ran op by op; "" if none did."""
    reasons: dict[str, list[str]] = {}
    for name, pairs in results.runs.items():
        for reason in dict.fromkeys(outcome.eager for _, outcome in pairs):
            if reason:
                reasons.setdefault(reason, []).append(name)
    return " ".join(
        (f"'{names[0]}' runs" if len(names) == 1 else f"{len(names)} experiments, such as '{names[0]}', run")
        + f" op by op: {reason}."
        for reason, names in reasons.items()
    )


def index(reports: list[Report], folder: Path) -> None:
    """Write the README.md of several reports: each one's lines, first picture and link."""
    parts = ["# The papers, reported and reproduced"]
    for report in reports:
        parts.append(f"## [{report.paper.title}]({report.paper.name}/report.md)\n\n{_lines(report.lines)}")
        parts += [f"![{p.caption}]({report.paper.name}/{p.file})" for p in report.pictures[:1]]
    parts.append(_RULE)
    atomic_write(folder / "README.md", ("\n\n".join(parts) + "\n").encode())


def markdown(report: Report) -> str:
    """Return the report as a page."""
    paper, options = report.paper, report.options
    parts = [
        f"# {paper.title}\n\n{paper.authors}. Written by `lamina reproduce {paper.name}`, seed "
        f"{options.seed}.",
        "\n".join(f"- {name}: {text}" for name, text in report.facts.items()),
        "## Reported and reproduced\n\n" + _lines(report.lines),
        _RULE,
        *(f"![{p.caption}]({p.file})\n\n*{p.caption}*" for p in report.pictures),
    ]
    if report.notes:
        parts += ["## What was found", *report.notes]
    if report.eager:
        parts.append(f"**What was not compiled.** {report.eager}")
    for table in report.tables:
        parts.append(f"## {table.title}")
        parts += [table.about] if table.about else []
        parts.append(grid(table.heads, table.rows))
    if paper.choices:
        rows = [(c.name, options[c.name], ", ".join(c.values[1:]), c.about) for c in paper.choices]
        parts.append("## What the paper leaves open\n\n" + grid(("option", "here", "or", "why"), rows))
    return "\n\n".join(parts) + "\n"


_RULE = (
    "*Within*: at most two standard deviations off. They are the paper's if it gives one, else those of our "
    "runs. Brackets hold the 95 % bootstrap interval of the mean (or median) over n runs. The baseline is "
    "the accuracy of always predicting the more frequent class."
)


def _lines(lines: list[Line]) -> str:
    rows = []
    for line in lines:
        label, where, reported, reproduced, interval, n, baseline = line.cells()
        ours = f"{reproduced} [{interval}]" if interval else reproduced
        rows.append((label, where, reported, ours, n, baseline, line.verdict))
    return grid(("", "where", "reported", "reproduced", "n", "baseline", "verdict"), rows)
