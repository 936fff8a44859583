"""Print the ratios of runs of the benchmarks: torch.nn's time divided by ours, for the same work.

`python bench/table.py FILE.json ... [--markdown] [--only TEXT] [--plot ratios.png]`, a file for each backend
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as TextTable

REFERENCE = "torch.nn"
LEGEND = (
    f"Ratio: {REFERENCE}'s median time divided by ours, same work, same run; higher is better, 1.0 is level. "
    "In brackets: by the fastest rounds. MiB: the peak memory of a call, with its results."
)


class TableError(Exception):
    """The file holds no run of the benchmarks."""


@dataclass(frozen=True)
class Time:
    """Seconds a call, over all rounds."""

    median: float
    fastest: float
    peak: int | None = None
    """Bytes that a call takes at its peak, if measured."""

    def __str__(self) -> str:
        memory = "" if self.peak is None else f", {self.peak / 2**20:.0f} MiB"
        return duration(self.median) + memory

    def ratio(self, other: Time) -> tuple[float, float]:
        """Return the other's time divided by this one's: by medians, and by the fastest rounds."""
        return other.median / self.median, other.fastest / self.fastest


@dataclass(frozen=True)
class Race:
    """The times of a backend and of torch.nn for the same work, taken in turns."""

    ours: Time
    theirs: Time
    reference: str
    """The name of torch.nn on the backend's device."""


@dataclass(frozen=True)
class Table:
    """Races by their work and by the name of the run; a run is one backend on one machine."""

    machine: str
    groups: dict[str, dict[str, Race]]

    @property
    def references(self) -> list[str]:
        """The names of torch.nn, one for each device."""
        return list(dict.fromkeys(r.reference for races in self.groups.values() for r in races.values()))

    @property
    def ours(self) -> list[str]:
        """The names of the runs."""
        return list(dict.fromkeys(name for races in self.groups.values() for name in races))

    def only(self, text: str) -> Table:
        """Return the groups with `text` in their names."""
        return Table(self.machine, {g: races for g, races in self.groups.items() if text in g})


def combine(paths: Sequence[Path]) -> Table:
    """Read files into one table; a backend that occurs in several is named after its file, too."""
    runs = [(path, *read(path)) for path in paths]
    backends = [backend for _, backend, _, _ in runs]
    groups: dict[str, dict[str, Race]] = {}
    for path, backend, _, races in runs:
        name = backend if backends.count(backend) == 1 else f"{backend} ({path.stem})"
        for group, race in races.items():
            groups.setdefault(group, {})[name] = race
    return Table("; ".join(dict.fromkeys(machine for _, _, machine, _ in runs)), groups)


def read(path: Path) -> tuple[str, str, dict[str, Race]]:
    """Return backend, machine and races of a file of pytest-benchmark; TableError if it is not one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TableError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise TableError(f"{path} is not a JSON file: {error}") from error
    if not (isinstance(content, dict) and isinstance(content.get("benchmarks"), list)):
        raise TableError(f"{path} was not written by pytest-benchmark: it has no list of benchmarks")
    races: dict[str, Race] = {}
    backend = ""
    for row in content["benchmarks"]:
        try:
            info, stats = row["extra_info"], row["stats"]
            ours = _time(stats["median"], stats["min"], info.get("peak_bytes"))
            theirs = _time(info["reference_median"], info["reference_min"], info.get("reference_peak_bytes"))
            races[str(row["group"])] = Race(ours, theirs, str(info["reference"]))
            backend = str(info["backend"])
        except (KeyError, TypeError, ValueError):
            name = row.get("name", row) if isinstance(row, dict) else row
            raise TableError(
                f"{path}: {name!r} is not one of Lamina's races: it lacks a backend, a reference or times"
            ) from None
    return backend, _machine(content.get("machine_info")), races


def _time(median: Any, fastest: Any, peak: Any) -> Time:
    time = Time(float(median), float(fastest), None if peak is None else int(peak))
    if not 0.0 < time.fastest <= time.median:
        raise ValueError
    return time


def _machine(info: Any) -> str:
    known = info.get("lamina") if isinstance(info, dict) else None
    if not isinstance(known, dict):
        return "an unknown machine"
    return ", ".join(f"{str(name).replace('_', ' ')} {value}" for name, value in known.items())


def duration(seconds: float) -> str:
    """Return three digits and a unit: 12.3 µs."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return (
                f"{seconds / size:.3g} {unit}" if seconds < 999.5 * size else f"{seconds / size:.0f} {unit}"
            )
    return f"{seconds / 1e-9:.3g} ns"


def header(run: Table) -> list[str]:
    """Return the titles of the columns."""
    return ["work", *run.references, *(title for name in run.ours for title in (name, f"{name}: ratio"))]


def rows(run: Table) -> list[list[str]]:
    """Return a row of cells for each group, in the order of the run.

    The time of torch.nn is that of the first run; a ratio is of times of one run.
    """
    table = []
    for group, races in run.groups.items():
        theirs: dict[str, str] = {}
        for race in races.values():
            theirs.setdefault(race.reference, str(race.theirs))
        row = [group, *(theirs.get(reference, "") for reference in run.references)]
        for name in run.ours:
            mine = races.get(name)
            row.append(str(mine.ours) if mine else "")
            row.append("{:.2f} ({:.2f})".format(*mine.ours.ratio(mine.theirs)) if mine else "")
        table.append(row)
    return table


def markdown(run: Table) -> str:
    """Return the table in Markdown."""
    titles = header(run)
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows(run)]
    table = "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)
    return f"{LEGEND}\n\n{run.machine}\n\n{table}"


def show(run: Table, console: Console) -> None:
    """Print the table to a terminal."""
    table = TextTable(caption=escape(f"{LEGEND}\n{run.machine}"), caption_justify="left")
    for i, title in enumerate(header(run)):
        table.add_column(escape(title), justify="right" if i else "left", no_wrap=i > 0)
    section = ""
    for row in rows(run):
        start = row[0].partition(":")[0]
        if section and start != section:
            table.add_section()
        section = start
        cells = [escape(cell) for cell in row]
        for i, title in enumerate(header(run)):
            if title.endswith(": ratio") and cells[i]:
                cells[i] = f"[{'green' if float(row[i].split()[0]) >= 1.0 else 'red'}]{cells[i]}[/]"
        table.add_row(*cells)
    console.print(table)


def plot(run: Table, path: Path) -> None:
    """Save a picture of the ratios: a bar for each backend and group, and a line at 1.0."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups, ours = list(run.groups), run.ours
    figure = Figure(figsize=(9.0, 1.6 + 0.22 * len(groups) * (len(ours) + 0.6)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    thick = 0.8 / max(len(ours), 1)
    for i, name in enumerate(ours):
        places, widths = [], []
        for j, races in enumerate(run.groups.values()):
            if name in races:
                places.append(j - 0.4 + (i + 0.5) * thick)
                widths.append(races[name].ours.ratio(races[name].theirs)[0])
        # Bars start at 1.0: on a logarithmic axis twice and half as fast are equally long.
        bars = axes.barh(places, [w - 1.0 for w in widths], thick, left=1.0, label=name)
        texts = [f"{w:.2f}" for w in widths]
        for bar, width, text in zip(bars, widths, texts, strict=True):
            y, inside = bar.get_y() + thick / 2, width < 1.0
            offset = (-3 if inside else 3, 0)
            side = "right" if inside else "left"
            axes.annotate(
                text, (width, y), offset, textcoords="offset points", ha=side, va="center", fontsize=7
            )
    axes.axvline(1.0, color="black", linewidth=1.0)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.margins(x=0.12)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.9), max(high, 1.1))  # else the frame may hide the line at 1.0
    axes.set_yticks(range(len(groups)), groups, fontsize=8)
    axes.set_ylim(len(groups) - 0.4, -0.6)
    axes.set_xlabel(f"{REFERENCE}'s time divided by ours (higher is better, 1.0 is level)")
    axes.set_title("Same work, same run, medians")
    figure.text(0.01, -0.01, run.machine, fontsize=6, va="top")
    if ours:
        figure.legend(
            *axes.get_legend_handles_labels(), loc="outside lower right", ncols=len(ours), fontsize=8
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, bbox_inches="tight")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="table.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="what pytest bench --benchmark-json=FILE wrote"
    )
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help='only work with TEXT in its name, as "step:"'
    )
    parser.add_argument("--plot", type=Path, metavar="PNG", help="save a picture too")
    chosen = parser.parse_args(arguments)
    try:
        run = combine(chosen.files).only(chosen.only)
        if not run.groups:
            files = ", ".join(map(str, chosen.files))
            raise TableError(
                f"{files}: no work named {chosen.only!r}" if chosen.only else f"{files}: no benchmarks"
            )
        if chosen.markdown:
            print(markdown(run))
        else:
            # A file or a pipe has no width of its own, and a table cut short is of no use there.
            console = Console()
            show(run, console if console.is_terminal else Console(width=160))
        if chosen.plot:
            plot(run, chosen.plot)
            print(f"saved {chosen.plot}", file=sys.stderr)
    except (TableError, OSError) as error:
        print(f"table.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
