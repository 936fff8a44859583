"""`lamina profile`: the time of a step by layer and by op, beside the limits of the machine."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ...backends import Backend, StateError, get_backend, use_backend
from ...backends.decorators.profile import Event, ProfileBackend
from ...backends.decorators.report import Report, Table, duration, si
from ...backends.options import integer
from ...backends.select import with_decorator
from ...backends.wrapper import stack
from ...layers import Module, named_scopes
from ..files import atomic_write, to_json
from ..pictures import attempt
from ..profiling import Roof, Work, chrome_trace, draw_roofline, measure_roof
from .app import BackendOption, DtypeOption, JsonOption, command, print_json, say
from .folders import run_folder
from .numbers import INTEGER
from .options import recipe_flags
from .source import NETWORK_FIELDS, NetworkSource, find_network

_WARM_UP = 3
Steps = Annotated[int, typer.Option(help="Steps to measure, after a few to warm up.", **INTEGER)]
ForwardOnly = Annotated[
    bool,
    typer.Option("--forward-only", help="Measure the forward pass alone, as in prediction."),
]
BatchSize = Annotated[
    int | None,
    typer.Option(help="Samples in a step (default: as in training, else 32).", **INTEGER),
]
Out = Annotated[
    str | None,
    typer.Option("--out", help="Folder for tables, trace and picture (default: runs/profile-K)."),
]


@dataclass(frozen=True)
class _Result:
    """The measurements: the ops, the steps (seconds each) and the machine."""

    report: Report
    timeline: list[Event]
    steps: list[float]
    roof: Roof
    heading: str
    kinds: dict[str, str]
    """The classes of the layers, by path."""

    @property
    def step(self) -> float:
        """The median duration of a step."""
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
    """Measure the time, FLOPs, bytes and memory of each layer and each op in a step.

    Prints tables; writes them, a roofline picture and a trace for ui.perfetto.dev into a folder.
    """
    integer("--steps", "", steps)
    if batch_size is not None:
        integer("--batch-size", "", batch_size)
    with use_backend(_profiled(get_backend())), run_folder(out, "profile") as folder:
        network = find_network(source, options)
        if network.experiment is not None:
            work = Work.of_experiment(network.experiment, batch_size)
            name = f"{source} {network.experiment.recipe.model}"
        else:
            assert network.predictor is not None
            work = Work.of_predictor(network.predictor, batch_size)
            name = source
        result = _measure(work, name, steps, forward_only=forward_only)
        record = _record(result, work)
        if not as_json:
            _show(result)
        files, not_drawn = _save(result, record, folder)
    if as_json:
        places = {"folder": str(folder), "files": [str(path) for path in files]}
        print_json({**record, **places, **({"not_drawn": not_drawn} if not_drawn else {})})
        return
    if not_drawn:
        say(not_drawn, style="yellow")
    say("saved in ", (f"{folder}{os.sep}", "bold"), ": " + ", ".join(path.name for path in files))
    say("open trace.json in https://ui.perfetto.dev", style="dim")


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
        except StateError as error:  # an ONNX operator without a backward pass
            raise StateError(f"{error}; --forward-only measures a prediction") from error
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
    """Return the measurements for JSON; the counts and seconds of rows are sums over all steps."""
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


def _save(result: _Result, record: dict[str, Any], folder: Path) -> tuple[list[Path], str]:
    """Write the files; return them, and the reason if the picture cannot be drawn."""
    files = [folder / name for name in ("profile.json", "trace.json", "roofline.png")]
    atomic_write(files[0], (to_json(record, indent=2) + "\n").encode())
    atomic_write(files[1], to_json(chrome_trace(result.timeline, result.heading)).encode())
    not_drawn = attempt(
        files[2].name, lambda: draw_roofline(result.report, result.roof, files[2], title=result.heading)
    )
    return (files[:2] if not_drawn else files), not_drawn


def _show(result: _Result) -> None:
    """Print the tables, for one step."""
    report, steps, roof = result.report, len(result.steps), result.roof
    say((result.heading, "bold"), f"; mean of {steps} steps:")
    for table in (report.layer_table(per=steps, kinds=result.kinds), report.op_table(per=steps)):
        say("")
        _print(table)
    say("")
    total = report.total
    say(
        (f"{duration(result.step)} a step", "bold"),
        " in the median",
        f"; ops {duration(total.seconds / steps)} in the mean: {si(total.flops / steps)}FLOP at "
        f"{si(total.flops_per_second)}FLOP/s; a matrix product reaches {si(roof.flops_per_second)}FLOP/s",
    )


def _print(table: Table) -> None:
    head, *lines = str(table).splitlines()
    say(head, style="bold")
    for line in lines:
        say(line)
