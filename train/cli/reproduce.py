"""`lamina reproduce`: a paper's tables and figures, reported beside reproduced."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ...backends import Backend, OptionError, get_backend
from ...backends.errors import did_you_mean
from ..papers.runner import Options, Paper, Report
from ..papers.runner import reproduce as run_paper
from ..papers.runner.report import figure, index, span
from ..papers.table import PAPERS
from .app import (
    INTERRUPTED,
    BackendOption,
    DtypeOption,
    JsonOption,
    command,
    errors,
    print_json,
    say,
    show_table,
)

Name = Annotated[str, typer.Argument(metavar="PAPER", help=f"{', '.join(PAPERS)}, or all.")]
Quick = Annotated[bool, typer.Option("--quick", help="Fewer and shorter runs: all papers in five minutes.")]
Full = Annotated[bool, typer.Option("--full", help="felisaz: all 700 runs of its grid (hours).")]
Choose = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="Choose what the paper leaves open; may be given again."
    ),
]
ShowOptions = Annotated[bool, typer.Option("--options", help="List what the paper leaves open, and end.")]
Out = Annotated[
    Path | None,
    typer.Option(help="The report's folder (default: reproduced/PAPER); a run cut short goes on."),
]
FirstSeed = Annotated[int, typer.Option("--seed", help="Of the first run; the k-th has seed + k.", min=0)]
Jobs = Annotated[int | None, typer.Option(help="Runs side by side (default: one for each core).", min=1)]


@command
def reproduce(
    paper: Name,
    quick: Quick = False,
    full: Full = False,
    choose: Choose = None,
    show_options: ShowOptions = False,
    out: Out = None,
    seed: FirstSeed = 0,
    jobs: Jobs = None,
    backend: BackendOption = None,
    dtype: DtypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a paper's experiments and set what it reports beside what comes out."""
    names = (*PAPERS, "all")
    if paper not in names:
        raise OptionError(
            f"unknown paper {paper!r}; there are {', '.join(names)}.{did_you_mean(paper, names)}"
        )
    if quick and full:
        raise OptionError("--quick and --full exclude each other")
    chosen = list(PAPERS.values()) if paper == "all" else [PAPERS[paper]]
    if show_options:
        _list_options(chosen, as_json)
        return
    given = _given(choose or [])
    if paper == "all" and given:
        raise OptionError("--set goes with one paper; `lamina reproduce all` takes each one's defaults")
    scale = "quick" if quick else "full" if full else "standard"
    plans = [(one, one.options(given, scale=scale, seed=seed)) for one in chosen]  # type: ignore[arg-type]
    folder = out or Path(
        "reproduced" + ("-quick" if quick else "-full" if full else ""), *(paper,) * (paper != "all")
    )
    b = get_backend(backend)
    reports = _run(plans, folder, paper == "all", b, jobs or _cores(), as_json)
    if as_json:
        print_json({"folder": str(folder), "papers": [report.to_dict() for report in reports]})


def _run(
    plans: Sequence[tuple[Paper, Options]], folder: Path, several: bool, b: Backend, jobs: int, quiet: bool
) -> list[Report]:
    """Run papers one after the other; after Ctrl-C say how to go on."""
    reports: list[Report] = []
    start = time.monotonic()
    try:
        for paper, options in plans:
            path = folder / paper.name if several else folder
            report = run_paper(paper, options, path, b, jobs=jobs, console=None if quiet else errors)
            reports.append(report)
            if not quiet:
                _show(report)
    except KeyboardInterrupt:
        text = f"Interrupted; what was done is kept in '{folder}', and the same command goes on from there."
        if quiet:
            print_json({"error": text})
        else:
            errors.print(text, style="yellow", highlight=False)
        raise typer.Exit(INTERRUPTED) from None
    if several:
        index(reports, folder)
    if not quiet:
        name = "README.md" if several else "report.md"
        say("wrote ", (str(folder / name), "bold"), f" in {time.monotonic() - start:.0f} s", style="dim")
    return reports


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _given(choices: list[str]) -> dict[str, str]:
    found = {}
    for text in choices:
        name, equals, value = text.partition("=")
        if not equals:
            raise OptionError(f"--set: expected NAME=VALUE, such as centre=origin, got {text!r}")
        found[name.strip()] = value.strip()
    return found


def _list_options(papers: list[Paper], as_json: bool) -> None:
    """Print what papers leave open."""
    if as_json:
        print_json(
            {p.name: {c.name: {"values": c.values, "about": c.about} for c in p.choices} for p in papers}
        )
        return
    rows = [
        (p.name, c.name, c.values[0], ", ".join(c.values[1:]), c.about) for p in papers for c in p.choices
    ]
    show_table(dict.fromkeys(("paper", "--set", "default", "or", "about"), "left"), rows)


def _show(report: Report) -> None:
    """Print a report's table, why a verdict is what it is, and where the rest is."""
    say((report.paper.title, "bold"))
    heads = {"": "left"} | dict.fromkeys(
        ("reported", "reproduced", "95 % interval", "n", "baseline"), "right"
    )
    rows: list[tuple[str, ...]] = []
    reasons: dict[str, list[str]] = {}
    for line in report.lines:
        row, found = line.row, line.found
        reported = "-" if row.reported is None else figure(row.reported, row.form, row.std)
        ours = "-" if found is None else figure(found.centre, row.form, found.std)
        interval = "" if found is None else span(found, row.form)
        n = str(found.n) if found is not None else "0"
        baseline = "" if line.baseline is None else figure(line.baseline, "percent")
        said, _, reason = line.verdict.partition(": ")
        if reason:
            reasons.setdefault(f"{said}: {reason}", []).append(row.label)
        rows.append((row.label, reported, ours, interval, n, baseline, said))
    show_table({**heads, "verdict": "left"}, rows)
    for reason, names in reasons.items():
        say(f"{'; '.join(names)}: {reason}", style="dim")
    say(f"{len(report.pictures)} pictures and report.md in ", (str(report.folder), "bold"))
