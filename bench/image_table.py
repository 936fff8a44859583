"""The tables of compiled images in docs/speed.md, from a run of bench/test_compiled_images.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from table import TableError, Time, duration

JIT, REFERENCE, CACHED = "jit+numpy", "torch.nn", "cached"
PREFIX = "compiled: "
LEGEND = (
    "Times are medians of a step, in brackets the fastest; `x` is another's time divided by ours. The first "
    "step and the memory were measured in a process for each: *first* is the first step's time and its peak "
    "memory above the libraries, the data and the weights, with tracing and compilation; *step* is the peak "
    "memory of a later step. Ours are the first time, and with the code from the cache."
)


@dataclass(frozen=True)
class Layer:
    """A layer's forward and backward pass."""

    work: str
    ours: Time
    theirs: Time


@dataclass(frozen=True)
class Network:
    """A training step."""

    work: str
    times: Mapping[str, Time]
    """By contender."""
    processes: Mapping[str, Mapping[str, float]]
    """By contender: the seconds and the bytes of the first step, and the bytes of a later one."""


@dataclass(frozen=True)
class Images:
    """The rows of a run."""

    machine: str
    layers: Sequence[Layer]
    networks: Sequence[Network]


def images(benchmarks: Sequence[Mapping[str, Any]], machine: str, source: object) -> Images:
    """Return the rows of a run; TableError, which names the source, if one is incomplete."""
    layers, networks = [], []
    for benchmark in benchmarks:
        group, info = str(benchmark["group"]).removeprefix(PREFIX), benchmark["extra_info"]
        try:
            if "contenders" in info:
                times = {name: _time(t["median"], t["min"]) for name, t in info["contenders"].items()}
                if JIT not in times:
                    raise ValueError(f"expected the times of {JIT}")
                networks.append(Network(group, times, dict(info.get("processes", {}))))
            else:
                stats = benchmark["stats"]
                ours = _time(stats["median"], stats["min"])
                theirs = _time(info["reference_median"], info["reference_min"])
                layers.append(Layer(group.removesuffix(", both"), ours, theirs))
        except (KeyError, TypeError, ValueError) as error:
            raise TableError(f"{source}: {group!r} is incomplete: {error!r}") from None
    return Images(machine, layers, networks)


def _time(median: float, fastest: float) -> Time:
    if not 0.0 < fastest <= median:
        raise ValueError(f"expected positive times, got {median} and {fastest}")
    return Time(float(median), float(fastest))


def markdown(run: Images) -> str:
    """Return the tables in Markdown."""
    parts = [f"{run.machine}."]
    if run.networks:
        parts += [LEGEND, _networks(run.networks)]
    if run.layers:
        parts += ["Forward and backward of a layer; *ratio* is torch.nn's time divided by ours:"]
        parts += [_layers(run.layers)]
    return "\n\n".join(parts)


def _networks(rows: Sequence[Network]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row.times))
    lines = []
    for row in rows:
        ours = row.times[JIT].median
        for name in (n for n in names if n in row.times):
            time = row.times[name]
            ratio = "" if name == JIT else f"{time.median / ours:.3g}x"
            first, step = _process(row.processes, name)
            lines.append([row.work if name == JIT else "", name, both(time), ratio, *first, step])
    return table(["step", "", "time", "", "first step", "its memory", "memory of a step"], lines)


def _process(processes: Mapping[str, Mapping[str, float]], name: str) -> tuple[tuple[str, str], str]:
    """Return the first step's time and memory, and a later step's memory, as cells."""
    found = [processes[key] for key in (name, CACHED if name == JIT else "") if key in processes]
    if not found:
        return ("", ""), ""
    first = ", ".join(duration(one["first"]) for one in found)
    return (first, ", ".join(mebibytes(one["first_peak"]) for one in found)), mebibytes(found[0]["peak"])


def _layers(rows: Sequence[Layer]) -> str:
    lines = [
        [
            row.work,
            duration(row.theirs.median),
            duration(row.ours.median),
            f"{row.theirs.median / row.ours.median:.2f} ({row.theirs.fastest / row.ours.fastest:.2f})",
        ]
        for row in rows
    ]
    return table(["layer", REFERENCE, JIT, "ratio"], lines)


def mebibytes(size: float) -> str:
    """Return bytes as MiB."""
    return f"{size / 2**20:.3g} MiB"


def both(time: Time) -> str:
    """Return median and minimum in one unit: 1.55 µs (1.43)."""
    number, unit = duration(time.median).split()
    scale = float(number) / time.median
    return f"{number} {unit} ({time.fastest * scale:.3g})"


def table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    head = [titles, ["---", *["---:"] * (len(titles) - 1)]]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (*head, *lines))
