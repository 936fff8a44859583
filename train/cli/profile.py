"""`lamina profile`: where the time of a step goes, by layer and by op, and what the machine would allow."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ...backends import Backend, OptionError, StateError, get_backend, use_backend
from ...backends.decorators.profile import Event, ProfileBackend
from ...backends.decorators.report import Report, Table, duration, si
from ...backends.select import with_decorator
from ...backends.wrapper import stack
from ...layers import Module, named_scopes
from ..files import atomic_write, to_json
from ..profiling import Roof, Work, chrome_trace, draw_roofline, measure_roof
from .app import BackendOption, DtypeOption, JsonOption, command, print_json, say
from .folders import run_folder
from .options import recipe_flags
from .source import NETWORK_FIELDS, NetworkSource, find_network

_WARM_UP = 3
Steps = Annotated[int, typer.Option(help="How many steps are measured, after a few to warm up.")]
ForwardOnly = Annotated[
    bool, typer.Option("--forward-only", help="Predict only: no loss, no backward pass, no optimizer.")
]
BatchSize = Annotated[
    int | None,
    typer.Option(help="Samples in a step (default: what the network is trained with, else 32)."),
]
Out = Annotated[
    str | None, typer.Option("--out", help="Folder for tables, trace and picture (default: runs/profile-K).")
]


@dataclass(frozen=True)
class _Result:
    """What was measured: the ops, the steps as a whole (seconds each), the machine."""

    report: Report
    timeline: list[Event]
    steps: list[float]
    roof: Roof
    heading: str
    kinds: dict[str, str]
    """The classes of the layers, by path."""

    @property
    def step(self) -> float:
        """How long a step takes: the median."""
        return sorted(self.steps)[len(self.steps) // 2]


@command
@recipe_flags((*NETWORK_FIELDS, "optimizer"))
def profile(
    options: dict[str, Any],
    source: NetworkSource = "digits",
    batch_size: BatchSize = None,
    steps: Steps = 10,
    forward_only: ForwardOnly = False,
    out: Out = None,
    backend: BackendOption = None,
    dtype: DtypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the steps of a network: time, FLOPs, bytes and memory of each layer and each op.

    Tables are printed; a roofline picture and a trace for ui.perfetto.dev are kept in a folder.
    """
    for option, value in (("--steps", steps), ("--batch-size", batch_size)):
        if value is not None and value < 1:
            raise OptionError(f"{option}: expected a whole number of at least 1, got {value}")
    with use_backend(_profiled(get_backend())), run_folder(out, "profile") as folder:
        found = find_network(source, options)
        if found.experiment is not None:
            work = Work.of_experiment(found.experiment, batch_size)
        else:
            assert found.predictor is not None
            work = Work.of_predictor(found.predictor, batch_size)
        name = source if found.experiment is None else f"{source} {found.experiment.recipe.model}"
        result = _measure(work, name, steps, forward_only=forward_only)
        record = _record(result, work)
        files = _save(result, record, folder)
    if as_json:
        print_json({**record, "folder": str(folder), "files": [str(path) for path in files]})
    else:
        _show(result, folder, files)


def _profiled(backend: Backend) -> Backend:
    """Return the stack with `profile` in it."""
    return get_backend(with_decorator(backend.spec, "profile"), dtype=backend.default_dtype)


def _measure(work: Work, name: str, steps: int, *, forward_only: bool) -> _Result:
    backend = work.model.backend
    parts = list(stack(backend))
    counter = next(part for part in parts if isinstance(part, ProfileBackend))
    work.prepare(forward_only=forward_only)
    run = work.forward if forward_only else work.step
    took = []
    with named_scopes(work.model):
        try:
            for _ in range(_WARM_UP):
                run()
        except StateError as error:  # an operator of an ONNX file that is no layer of ours
            raise StateError(f"{error}; --forward-only profiles that much") from error
        counter.timeline = timeline = []
        counter.reset()
        for i in range(steps):
            start = time.perf_counter_ns()
            run()
            backend.synchronize()
            end = time.perf_counter_ns()
            took.append((end - start) * 1e-9)
            timeline.append(Event("step", f"step {i + 1}", start, end))
    report, counter.timeline = counter.report(), None
    what = "forward only" if forward_only else "training step"
    heading = f"{name}, {what}, batch of {work.samples.size}, {backend.spec} {backend.default_dtype}"
    return _Result(report, timeline, took, measure_roof(parts[-1]), heading, _kinds(work.model))


def _kinds(model: Module) -> dict[str, str]:
    """Return the class of each layer by its path; containers have none."""
    return {
        path: type(module).__name__
        for path, module in model.named_modules()
        if path and next(module.named_children(), None) is None
    }


def _record(result: _Result, work: Work) -> dict[str, Any]:
    """Return everything as JSON can hold it; counts and seconds of rows are those of all steps together."""
    report, roof = result.report, result.roof
    return {
        "what": result.heading,
        "backend": report.spec,
        "dtype": report.dtype,
        "batch_size": work.samples.size,
        "steps": len(result.steps),
        "seconds_per_step": result.step,
        "flops_per_step": report.total.flops / len(result.steps),
        "peak_bytes": report.total.peak,
        "roof": {"flops_per_second": roof.flops_per_second, "bytes_per_second": roof.bytes_per_second},
        "total": report.total.to_dict(),
        "layers": [row.to_dict() for row in report.by_layer()],
        "ops": [row.to_dict() for row in report.by_op()],
        "rows": [row.to_dict() for row in report.rows],
    }


def _save(result: _Result, record: dict[str, Any], folder: Path) -> list[Path]:
    files = [folder / name for name in ("profile.json", "trace.json", "roofline.png")]
    atomic_write(files[0], (to_json(record, indent=2) + "\n").encode())
    atomic_write(files[1], to_json(chrome_trace(result.timeline, result.heading)).encode())
    draw_roofline(result.report, result.roof, files[2], title=result.heading)
    return files


def _show(result: _Result, folder: Path, files: list[Path]) -> None:
    """Print the tables, for one step, and what to do with the files."""
    report, steps, roof = result.report, len(result.steps), result.roof
    say((result.heading, "bold"), f"; of {steps} steps, for one:")
    for table in (report.layer_table(per=steps, kinds=result.kinds), report.op_table(per=steps)):
        say("")
        _print(table)
    say("")
    total = report.total
    say(
        (f"{duration(result.step)} a step", "bold"),
        f", {duration(total.seconds / steps)} of them in ops: {si(total.flops / steps)}FLOP, "
        f"{si(total.flops_per_second)}FLOP/s of the {si(roof.flops_per_second)}FLOP/s that a matrix product "
        f"reaches here",
    )
    say("kept in ", (f"{folder}{os.sep}", "bold"), ": " + ", ".join(path.name for path in files))
    say("trace.json opens in https://ui.perfetto.dev", style="dim")


def _print(table: Table) -> None:
    head, *lines = str(table).splitlines()
    say(head, style="bold")
    for line in lines:
        say(line)
