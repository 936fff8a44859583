"""`lamina reproduce`: the experiments of a paper, with its numbers beside ours."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ...backends import Backend, OptionError, get_backend
from ...backends.errors import did_you_mean
from ...backends.options import integer
from ..loop.signals import STOPS, code_of
from ..papers.runner import Options, Paper, Report
from ..papers.runner import reproduce as run_paper
from ..papers.runner.report import index
from ..papers.table import PAPERS
from .app import (
    BackendOption,
    DtypeOption,
    JsonOption,
    command,
    errors,
    print_json,
    say,
    show_table,
)
from .numbers import INTEGER

Name = Annotated[str, typer.Argument(metavar="PAPER", help=f"{', '.join(PAPERS)}, or all.")]
Choose = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Choose a detail that the paper leaves open (see --options); may be repeated.",
    ),
]
ShowOptions = Annotated[bool, typer.Option("--options", help="List the details that the paper leaves open.")]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder of the report (default: reproduced/PAPER); an interrupted one resumes."),
]
FirstSeed = Annotated[
    int, typer.Option("--seed", help="Seed of the first run; run k has this seed plus k.", **INTEGER)
]
Jobs = Annotated[int | None, typer.Option(help="Runs at the same time (default: one per core).", **INTEGER)]


@command
def reproduce(
    paper: Name,
    choose: Choose = None,
    show_options: ShowOptions = False,
    out: Out = None,
    seed: FirstSeed = 0,
    jobs: Jobs = None,
    backend: BackendOption = None,
    dtype: DtypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Repeat the experiments of a paper, in full, and report its numbers beside ours."""
    names = (*PAPERS, "all")
    if paper not in names:
        raise OptionError(
            f"expected a paper ({', '.join(names)}), got {paper!r}.{did_you_mean(paper, names)}"
        )
    integer("--seed", "", seed, least=0)
    jobs = _cores() if jobs is None else integer("--jobs", "", jobs)
    chosen = list(PAPERS.values()) if paper == "all" else [PAPERS[paper]]
    if show_options:
        _list_options(chosen, as_json)
        return
    choices = _choices(choose or [])
    if paper == "all" and choices:
        raise OptionError("--set: expected one paper, got all, which uses the defaults of each")
    plans = [(one, one.options(choices, seed=seed)) for one in chosen]
    folder = out or Path("reproduced", *(paper,) * (paper != "all"))
    b = get_backend()
    reports = _run(plans, folder, paper == "all", b, jobs, as_json)
    if as_json:
        print_json({"folder": str(folder), "papers": [report.to_dict() for report in reports]})


def _run(
    plans: Sequence[tuple[Paper, Options]], folder: Path, several: bool, b: Backend, jobs: int, quiet: bool
) -> list[Report]:
    """Run papers one after the other; after Ctrl-C print how to resume."""
    reports: list[Report] = []
    start = time.monotonic()
    try:
        for paper, options in plans:
            path = folder / paper.name if several else folder
            report = run_paper(paper, options, path, b, jobs=jobs, console=None if quiet else errors)
            reports.append(report)
            if not quiet:
                _show(report)
    except STOPS as stop:
        text = f"Interrupted; the finished runs are in '{folder}'. The same command resumes from there."
        if quiet:
            print_json({"error": text})
        else:
            errors.print(text, style="yellow", highlight=False)
        raise typer.Exit(code_of(stop)) from None
    if several:
        index(reports, folder)
    if not quiet:
        name = "README.md" if several else "report.md"
        say("wrote ", (str(folder / name), "bold"), f" in {time.monotonic() - start:.0f} s", style="dim")
    return reports


def _cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _choices(texts: list[str]) -> dict[str, str]:
    choices = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise OptionError(f"--set: expected NAME=VALUE, such as centre=origin, got {text!r}")
        choices[name.strip()] = value.strip()
    return choices


def _list_options(papers: list[Paper], as_json: bool) -> None:
    """Print the details that papers leave open."""
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
    """Print the table of a report, the reasons of its verdicts, and its folder."""
    say((report.paper.title, "bold"))
    heads = {"": "left"} | dict.fromkeys(
        ("reported", "reproduced", "95 % interval", "n", "baseline"), "right"
    )
    rows: list[tuple[str, ...]] = []
    reasons: dict[str, list[str]] = {}
    for line in report.lines:
        label, _, reported, ours, interval, n, baseline = line.cells()
        said, _, reason = line.verdict.partition(": ")
        if reason:
            reasons.setdefault(f"{said}: {reason}", []).append(label)
        rows.append((label, reported, ours, interval, n, baseline, said))
    show_table({**heads, "verdict": "left"}, rows)
    for reason, names in reasons.items():
        say(f"{'; '.join(names)}: {reason}", style="dim")
    if report.eager:
        say(f"Not compiled: {report.eager}", style="dim")
    say(f"{len(report.pictures)} pictures and report.md in ", (str(report.folder), "bold"))
