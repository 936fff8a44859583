"""`reproduce`: does all runs of a paper that are not done yet, and writes its report."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ....backends import Backend, get_backend
from ....backends.errors import EagerWarning
from ....backends.host import limit_threads
from ....backends.options import integer
from ...files import workplace
from ...models import Jin
from .folder import ReportFolder
from .paper import Options, Paper, Results
from .report import Report, write
from .training import Outcome, Run, perform


def reproduce(
    paper: Paper,
    options: Options,
    path: Path,
    backend: Backend,
    *,
    jobs: int = 1,
    console: Console | None = None,
) -> Report:
    """Do a paper's experiments and write the report into a folder.

    Parameters
    ----------
    paper, options
        The paper, and its `paper.options(...)`.
    path
        The folder: a new one, or that of the same experiment, which resumes.
    backend
        Where our layers run; worker processes make it again from its name.
    jobs
        The number of processes; timed runs have the machine to themselves.
    console
        Shows progress; None shows nothing.

    Raises
    ------
    DataError
        If the folder holds another experiment.
    OutputError
        If another process works in it.
    KeyboardInterrupt
        After Ctrl-C; finished runs are kept.

    """
    jobs = integer("reproduce", "jobs", jobs)
    with workplace("--out", path):
        folder = ReportFolder(path, paper, options, backend.spec, backend.default_dtype)
        return _reproduce(folder, paper, options, backend, jobs, console)


def _reproduce(
    folder: ReportFolder, paper: Paper, options: Options, backend: Backend, jobs: int, console: Console | None
) -> Report:
    runs = paper.runs(options)
    done = {run.key: outcome for run in runs if (outcome := folder.load(run)) is not None}
    missing = {run.key: what for run in runs if (what := run.missing(backend))}
    waiting = [run for run in runs if run.key not in done and run.key not in missing]
    _one_thread((backend.spec,))
    # closing: an interrupt while a file is written must end the processes too.
    outcomes = contextlib.closing(_outcomes(waiting, backend, jobs))
    with _progress(console, paper.name, len(done), waiting) as advance, outcomes as pairs:
        for run, outcome in pairs:
            folder.save(run, outcome)
            done[run.key] = outcome
            advance(run)
    results = Results((run, done[run.key]) for run in runs if run.key in done)
    return write(paper, options, folder, results, backend, sorted(set(missing.values())))


def _outcomes(runs: list[Run], backend: Backend, jobs: int) -> Generator[tuple[Run, Outcome], None, None]:
    """Yield runs with their outcomes: first untimed runs side by side, then timed runs one by one.

    With several jobs, this process runs nothing: it needs no memory for the libraries of the runs.
    """
    spec, dtype = backend.spec, backend.default_dtype
    untimed = sorted((run for run in runs if not run.timed), key=_cost, reverse=True)
    timed = [run for run in runs if run.timed]
    if jobs > 1:
        for some, beside in ((untimed, jobs), (timed, 1)):
            if some:
                yield from _in_processes(some, spec, dtype, min(beside, len(some)))
        return
    _one_thread(_libraries(runs, spec))
    for run in untimed + timed:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EagerWarning)  # the report says it
            outcome = perform(run, spec, dtype)
        yield run, outcome


def _in_processes(runs: list[Run], spec: str, dtype: str, jobs: int) -> Iterator[tuple[Run, Outcome]]:
    """Start the runs in their order, the longest first, so that none ends alone; yield those that end."""
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    before = set(multiprocessing.active_children())
    libraries = _libraries(runs, spec)
    with ProcessPoolExecutor(jobs, context, initializer=_worker, initargs=(libraries,)) as pool:
        try:
            futures = {pool.submit(perform, run, spec, dtype): run for run in runs}
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            # The pool then drops the waiting runs and ends with the block.
            for process in set(multiprocessing.active_children()) - before:
                process.terminate()
            raise


def _worker(libraries: tuple[str, ...]) -> None:
    """Prepare a worker: one thread, silent on Ctrl-C, and it ends with its parent."""
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    warnings.simplefilter("ignore", EagerWarning)  # the report says it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _one_thread(libraries)


def _libraries(runs: Sequence[Run], spec: str) -> tuple[str, ...]:
    """Return the backends whose libraries the runs use."""
    return (spec, "torch") if any(run.plan.engine == "torch" for run in runs) else (spec,)


def _one_thread(libraries: Sequence[str]) -> None:
    """Load libraries and pin them to one thread; one that is loaded later would bring its own threads."""
    for name in libraries:
        get_backend(name)
    limit_threads(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextlib.contextmanager
def _progress(console: Console | None, name: str, done: int, waiting: list[Run]) -> Iterator[Any]:
    """Show progress in steps and the time left."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[runs]}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=console,
        disable=console is None,
    )
    count, total = done, done + len(waiting)
    with bar:
        task = bar.add_task(name, total=sum(_cost(run) for run in waiting), runs=f"{count} of {total} runs")

        def advance(run: Run) -> None:
            nonlocal count
            count += 1
            bar.update(task, advance=_cost(run), runs=f"{count} of {total} runs")

        yield advance


def _cost(run: Run) -> float:
    """Estimate a run's microseconds on one core, with compiled layers."""
    plan = run.plan
    step = _STEPS[plan.engine] + 0.05 * plan.batch_size
    if isinstance(plan.network, Jin):
        step = 200_000 if plan.network.naive else 200
    return plan.steps * step + 100.0 * (plan.epochs + plan.epochs / plan.every)


_STEPS = {"layers": 1.0, "compiled": 1.0, "eager": 40.0, "graph": 100.0, "torch": 150.0}
"""Microseconds of a step of a few samples."""
