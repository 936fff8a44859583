"""Make the tables of compiled steps in docs/speed.md: of test_compiled.py and test_compiled_images.py.

`python bench/speed.py FILE.json... [--write docs/speed.md] [--plot docs/pictures/speed.png]`
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import image_table
from image_table import both, table
from table import TableError, Time, duration

JIT = "jit+numpy"
PREFIX = "compiled step: "
BEGIN, END = "<!-- from bench/speed.py -->", "<!-- to here -->"
IMAGES = "<!-- images, from bench/speed.py -->"
LEGEND = (
    "Times are medians of a step, in brackets the fastest; `x` is another's time divided by ours. *Peak* is "
    "the most that the core reached in multiply-adds in the same minutes; *of the peak* is that of the "
    "fastest step, and counts its products alone. *Compile* is trace, passes and LLVM at the first batch; "
    "*cached* takes the code from the cache."
)


@dataclass(frozen=True)
class Row:
    """One network."""

    work: str
    widths: tuple[int, ...]
    operations: int
    """Multiplications and additions of a step."""
    times: dict[str, Time]
    """By contender."""
    peak: float
    """Operations a second, the most."""
    cold: float
    cached: float
    """Seconds of a compilation."""
    missing: dict[str, str]
    """Why a contender did not take part."""

    @property
    def square(self) -> bool:
        """Whether all layers are equal: a network of the picture."""
        return len(set(self.widths)) == 1

    def rate(self, name: str) -> float:
        """Return a contender's operations a second, by medians."""
        return self.operations / self.times[name].median

    def beside(self, name: str) -> str:
        """Return a contender's time, and how often ours goes into it."""
        if name not in self.times:
            return ""
        time, ours = self.times[name], self.times[JIT]
        return f"{both(time)}, {time.median / ours.median:.3g}x"


@dataclass(frozen=True)
class Run:
    """All networks of a file, and the machine."""

    machine: str
    rows: tuple[Row, ...]

    @property
    def names(self) -> list[str]:
        """The contenders beside ours."""
        return [n for n in dict.fromkeys(n for row in self.rows for n in row.times) if n != JIT]


def read(path: Path) -> tuple[Run | None, image_table.Images | None]:
    """Return the networks and the images in a file; TableError if it has neither."""
    content = _content(path)
    compiled, images = (
        [b for b in content["benchmarks"] if str(b.get("group")).startswith(prefix)]
        for prefix in (PREFIX, image_table.PREFIX)
    )
    if not compiled and not images:
        raise TableError(f"{path} has no compiled steps; run pytest bench/test_compiled.py")
    rows = []
    for benchmark in compiled:
        try:
            rows.append(_row(benchmark["group"].removeprefix(PREFIX), benchmark["extra_info"]))
        except (KeyError, TypeError, ValueError) as error:
            raise TableError(f"{path}: {benchmark['group']!r} is incomplete: {error!r}") from None
    date = str(content.get("datetime", ""))
    return (
        Run(_machine(compiled, date), tuple(rows)) if rows else None,
        image_table.images(images, _machine(images, date), path) if images else None,
    )


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TableError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise TableError(f"{path} is not a JSON file: {error}") from error
    benchmarks = content.get("benchmarks") if isinstance(content, dict) else None
    if not isinstance(benchmarks, list):
        raise TableError(f"{path} was not written by pytest-benchmark: it has no list of benchmarks")
    found: dict[str, Any] = content
    return found


def _row(work: str, info: dict[str, Any]) -> Row:
    times = {name: Time(float(t["median"]), float(t["min"])) for name, t in info["contenders"].items()}
    if JIT not in times or not all(0.0 < t.fastest <= t.median for t in times.values()):
        raise ValueError(f"expected positive times, {JIT}'s too")
    return Row(
        work,
        tuple(info["work"]["widths"]),
        int(info["operations"]),
        times,
        float(info["peak"]["max"]),
        float(info["compile"]["cold"]),
        float(info["compile"]["cached"]),
        dict(info["missing"]),
    )


def _machine(benchmarks: Sequence[dict[str, Any]], date: str) -> str:
    """Return the machine, the versions and how busy the machine was."""
    infos = [benchmark["extra_info"] for benchmark in benchmarks]
    known = next((info["versions"] for info in infos if info.get("versions")), {})
    versions = ", ".join(f"{name} {version}" for name, version in known.items())
    loads = [float(info["load"]) for info in infos if "load" in info]
    load = f", load {min(loads):.1f} to {max(loads):.1f}" if loads else ""
    return f"{infos[0].get('cpu', 'an unknown machine')}, one core, {versions}{load}, {date[:10]}"


# -- text ----------------------------------------------------------------------------------------------


def markdown(run: Run) -> str:
    """Return the tables in Markdown."""
    parts = [f"{run.machine}.", LEGEND]
    if table := [row for row in run.rows if not row.square]:
        parts.append(_networks(run, table))
    if grid := [row for row in run.rows if row.square]:
        parts.append(_squares(run, grid))
    missing = {f"{name}: {why}" for row in run.rows for name, why in row.missing.items()}
    if missing:
        parts.append("Not measured: " + "; ".join(sorted(missing)) + ".")
    return "\n\n".join(parts)


def _networks(run: Run, rows: Sequence[Row]) -> str:
    titles = ["step", JIT, "of the peak", "peak", *run.names, "compile, cached"]
    lines = []
    for row in rows:
        share = f"{row.operations / row.times[JIT].fastest / row.peak:.0%}"
        compiled = f"{duration(row.cold)}, {duration(row.cached)}"
        others = [row.beside(name) for name in run.names]
        lines.append(
            [row.work, both(row.times[JIT]), share, f"{row.peak / 1e9:.0f} GFLOP/s", *others, compiled]
        )
    return table(titles, lines)


def _squares(run: Run, rows: Sequence[Row]) -> str:
    names = [JIT, *(name for name in run.names if any(name in row.times for row in rows))]
    titles = ["GFLOP/s", "peak", *names, "compile, cached"]
    lines = []
    for row in rows:
        rates = [f"{row.rate(name) / 1e9:.3g}" if name in row.times else "" for name in names]
        compiled = f"{duration(row.cold)}, {duration(row.cached)}"
        lines.append([row.work, f"{row.peak / 1e9:.0f}", *rates, compiled])
    return table(titles, lines)


def write(text: str, path: Path, mark: str) -> None:
    """Put the text between a mark and the next END of a page."""
    page = path.read_text(encoding="utf-8")
    before, begin, rest = page.partition(mark)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise TableError(f"{path}: expected the marks {mark} and {END}")
    path.write_text(f"{before}{mark}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def plot(run: Run, path: Path) -> None:
    """Save a picture of the networks of equal layers: GFLOP/s by depth and by width."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [row for row in run.rows if row.square]
    if not rows:
        raise TableError("expected networks of equal layers for the picture, got none")
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    depths = [len(row.widths) - 1 for row in rows]
    width = max((row.widths[0] for row in rows), key=[row.widths[0] for row in rows].count)
    depth = max(depths, key=depths.count)
    by_depth = sorted((len(r.widths) - 1, i) for i, r in enumerate(rows) if r.widths[0] == width)
    by_width = sorted((r.widths[0], i) for i, r in enumerate(rows) if len(r.widths) - 1 == depth)
    pictures = ((left, by_depth, f"layers of {width}"), (right, by_width, f"width of {depth} layers"))
    for axes, places, title in pictures:
        xs, chosen = [x for x, _ in places], [rows[i] for _, i in places]
        axes.plot(xs, [r.peak / 1e9 for r in chosen], color="gray", linestyle="--", label="peak")
        for name in (JIT, *run.names):
            points = [(x, r.rate(name) / 1e9) for x, r in zip(xs, chosen, strict=True) if name in r.times]
            axes.plot(*zip(*points, strict=True), marker="o", label=name)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel(title)
    left.set_ylabel("GFLOP/s of a training step")
    figure.legend(*left.get_legend_handles_labels(), loc="outside right center", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, metadata={"Software": None})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="speed.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "files",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="what test_compiled.py or test_compiled_images.py --benchmark-json wrote",
    )
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help=f"a page to update, behind its marks {BEGIN} and {IMAGES}"
    )
    parser.add_argument("--plot", type=Path, metavar="PNG", help="save a picture of GFLOP/s too")
    chosen = parser.parse_args(arguments)
    try:
        for file in chosen.files:
            run, images = read(file)
            texts = [(BEGIN, markdown(run))] if run else []
            texts += [(IMAGES, image_table.markdown(images))] if images else []
            for mark, text in texts:
                if chosen.write:
                    write(text, chosen.write, mark)
                else:
                    print(text)
            if chosen.plot and run:
                plot(run, chosen.plot)
    except (TableError, OSError) as error:
        print(f"speed.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
