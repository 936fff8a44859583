"""The report: what was reported beside what came out, in Markdown with the pictures and in JSON."""

from __future__ import annotations

import math
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .... import __version__
from ....backends import Backend
from ...files import atomic_write, to_json
from .folder import ReportFolder, sources
from .paper import Options, Paper, Picture, Results, Row, Table
from .statistics import Summary, summarize, verdict


@dataclass(frozen=True)
class Line:
    """A reported number, ours, and the verdict."""

    row: Row
    found: Summary | None
    """None where nothing was run."""
    baseline: float | None
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        row = self.row
        return {
            "what": row.what,
            "where": row.where,
            "reported": row.reported,
            "reported_std": row.std,
            "statistic": row.statistic,
            "reproduced": None if self.found is None else self.found.to_dict(),
            "baseline": self.baseline,
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class Report:
    """All that stands in a report's folder."""

    paper: Paper
    options: Options
    folder: Path
    lines: list[Line]
    tables: list[Table]
    notes: list[str]
    pictures: list[Picture]
    facts: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "paper": self.paper.name,
            "scale": self.options.scale,
            "seed": self.options.seed,
            "options": dict(self.options.choices),
            "facts": self.facts,
            "rows": [line.to_dict() for line in self.lines],
            "tables": [vars(table) for table in self.tables],
            "notes": self.notes,
            "pictures": [picture.file for picture in self.pictures],
        }


def write(
    paper: Paper,
    options: Options,
    folder: ReportFolder,
    results: Results,
    backend: Backend,
    lacking: list[str],
) -> Report:
    """Judge the results, draw the pictures, and write report.md and report.json."""
    lines = [judge(row, results, lacking) for row in paper.rows(options)]
    with np.errstate(all="ignore"):  # a run that diverged has losses that no axis shows
        pictures = paper.draw(results, folder.path, options)
        tables, notes = paper.tables(results, options), paper.notes(results, options)
    report = Report(paper, options, folder.path, lines, tables, notes, pictures, facts(backend))
    atomic_write(folder.path / "report.json", (to_json(report.to_dict(), indent=2) + "\n").encode())
    atomic_write(folder.path / "report.md", markdown(report).encode())
    return report


def judge(row: Row, results: Results, lacking: Sequence[str] = ()) -> Line:
    """Set a reported number beside what the runs gave."""
    values = row.of(results)
    shares = row.baseline(results) if row.baseline is not None else []
    baseline = sum(shares) / len(shares) if shares else None
    if not values:
        why = f"not run: it needs {' and '.join(lacking)}" if lacking else "not run"
        return Line(row, None, baseline, why)
    found = summarize(values, row.statistic)
    if row.incomparable:
        said = f"cannot be compared: {row.incomparable}"
    elif row.reported is None:
        said = "the paper gives no number"
    else:
        said = verdict(row.reported, row.std, found, row.better)
        if row.why and said not in ("within", "better"):
            said += f": {row.why}"
    if row.ran and row.reported is not None and not row.incomparable:
        said += f" ({row.ran})"
    return Line(row, found, baseline, said)


def facts(backend: Backend) -> dict[str, str]:
    """Return what a report's figures came from: code, machine, libraries."""
    details = ", ".join(f"{name} {value}" for name, value in backend.details().items())
    return {
        "lamina": f"{__version__}, commit {commit()}, sources {sources()}",
        "backend": f"{backend.spec} {backend.default_dtype} ({details})",
        "machine": f"{os.cpu_count()} cores, {_processor()}, {platform.system()}",
        "python": f"{platform.python_version()}, numpy {np.__version__}, torch {_torch()}",
    }


def commit() -> str:
    """Return the commit of the checkout that this package is; "unknown" outside one."""
    try:
        found = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _torch() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("torch")
    except PackageNotFoundError:
        return "not installed"


def index(reports: list[Report], folder: Path) -> None:
    """Write the README.md of several papers' reports: all lines in one table, and links."""
    parts = ["# The papers, reported and reproduced"]
    for report in reports:
        parts.append(f"## [{report.paper.title}]({report.paper.name}/report.md)\n\n{_lines(report.lines)}")
        parts += [f"![{p.caption}]({report.paper.name}/{p.file})" for p in report.pictures[:1]]
    parts.append(_RULE)
    atomic_write(folder / "README.md", ("\n\n".join(parts) + "\n").encode())


# -- Markdown ----------------------------------------------------------------------------------------


def markdown(report: Report) -> str:
    """Return the report as a page."""
    paper, options = report.paper, report.options
    command = f"lamina reproduce {paper.name}" + (
        "" if options.scale == "standard" else f" --{options.scale}"
    )
    parts = [
        f"# {paper.title}\n\n{paper.authors}. Written by `{command}`, seed {options.seed}.",
        "\n".join(f"- {name}: {text}" for name, text in report.facts.items()),
        "## Reported and reproduced\n\n" + _lines(report.lines),
        _RULE,
        *(f"![{p.caption}]({p.file})\n\n*{p.caption}*" for p in report.pictures),
    ]
    if report.notes:
        parts += ["## What was found", *report.notes]
    for table in report.tables:
        parts.append(f"## {table.title}")
        parts += [table.about] if table.about else []
        parts.append(grid(table.heads, table.rows))
    if paper.choices:
        rows = [(c.name, options[c.name], ", ".join(c.values[1:]), c.about) for c in paper.choices]
        parts.append("## What the paper leaves open\n\n" + grid(("option", "here", "or", "why"), rows))
    return "\n\n".join(parts) + "\n"


_RULE = (
    "*Within*: at most two standard deviations off, the paper's own where it gives one, else those of our "
    "runs. Brackets hold the 95 % bootstrap interval of the mean (or median) over n runs; the baseline is "
    "the accuracy of always saying the more frequent class."
)


def _lines(lines: list[Line]) -> str:
    rows = []
    for line in lines:
        row, found = line.row, line.found
        reported = "-" if row.reported is None else figure(row.reported, row.form, row.std)
        ours = "-" if found is None else figure(found.centre, row.form, found.std)
        if found is not None and (interval := span(found, row.form)):
            ours += f" [{interval}]"
        n = "0" if found is None else str(found.n)
        baseline = "" if line.baseline is None else figure(line.baseline, "percent")
        rows.append((row.label, row.where, reported, ours, n, baseline, line.verdict))
    return grid(("", "where", "reported", "reproduced", "n", "baseline", "verdict"), rows)


def figure(value: float, form: str, std: float | None = None) -> str:
    """Return a number as a reader wants it: 98.5 %, 0.0254, 3.1 s; with its deviation where there is one."""
    if not math.isfinite(value):  # an infinite count is of epochs: what they were counted to never came
        return "never" if form == "count" and value == math.inf else "not finite"
    spread = "" if std is None or math.isnan(std) or form == "share" else " ± " + _plain(std, form)
    return f"{_plain(value, form)}{spread}{_UNITS.get(form, '')}"


def span(found: Summary, form: str) -> str:
    """Return the interval of a summary: 98.1 to 98.7; "" where one run gave none."""
    if math.isnan(found.low):
        return ""
    return f"{_plain(found.low, form)} to {_plain(found.high, form)}"


_UNITS = {"percent": " %", "share": " % of the runs", "seconds": " s"}


def _plain(value: float, form: str) -> str:
    if form in ("percent", "share"):
        return f"{100 * value:.2f}"
    if form == "count":
        return f"{value:.1f}"
    return f"{value:.2f}" if form == "ratio" else f"{value:.3g}"


def accuracies(results: Results, names: list[str], title: str, about: str = "") -> Table:
    """Return a table of experiments: accuracy and loss at the end, over their runs."""
    rows: list[tuple[str, ...]] = []
    for name in names:
        if name not in results:
            rows.append((name, *("not run",) * 3, "0"))
            continue
        cells = []
        for number, form in (
            ("train_accuracy", "percent"),
            ("test_accuracy", "percent"),
            ("test_loss", "number"),
        ):
            found = summarize(results.numbers(name, number))
            cells.append(figure(found.centre, form, found.std))
        rows.append((name, *cells, str(len(results.runs[name]))))
    return Table(title, ("", "train accuracy", "test accuracy", "test loss", "n"), rows, about)


def grid(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
