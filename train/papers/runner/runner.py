"""`reproduce`: do all runs of a paper, or those that are not done yet, and write its report."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ....backends import Backend, get_backend
from ....backends.host import limit_threads
from ....backends.select import available
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
        What is run: `paper.options(...)`.
    path
        The folder: new, or that of the same experiment, which then goes on.
    backend
        Where our layers run; its name goes to other processes, so it is one that a name describes.
    jobs
        How many processes run side by side; runs whose seconds are compared have the machine to themselves.
    console
        Where progress is shown; nowhere if None.

    Raises
    ------
    DataError
        If the folder holds another experiment.
    KeyboardInterrupt
        After Ctrl-C; what was done is kept.

    """
    _one_thread()
    folder = ReportFolder(path, paper, options, backend.spec, backend.default_dtype)
    runs = paper.runs(options)
    done = {run.key: outcome for run in runs if (outcome := folder.load(run)) is not None}
    waiting = [run for run in runs if run.key not in done and not run.lacks]
    # Closed whatever happens: an interrupt while a file is written must end the processes, too.
    outcomes = contextlib.closing(_performed(waiting, backend, jobs))
    with _progress(console, paper.name, len(done), waiting) as advance, outcomes as found:
        for run, outcome in found:
            folder.save(run, outcome)
            done[run.key] = outcome
            advance(run)
    results = Results((run, done[run.key]) for run in runs if run.key in done)
    lacking = sorted({run.lacks for run in runs if run.lacks})
    return write(paper, options, folder, results, backend, lacking)


def _performed(runs: list[Run], backend: Backend, jobs: int) -> Generator[tuple[Run, Outcome], None, None]:
    """Yield runs with their outcomes: side by side those that may, then one by one the timed ones."""
    spec, dtype = backend.spec, backend.default_dtype
    beside = [run for run in runs if not run.timed]
    alone = [run for run in runs if run.timed]
    if jobs > 1 and len(beside) > 1:
        yield from _side_by_side(beside, spec, dtype, min(jobs, len(beside)))
    else:
        alone = beside + alone
    for run in alone:
        yield run, perform(run, spec, dtype)


def _side_by_side(runs: list[Run], spec: str, dtype: str, jobs: int) -> Iterator[tuple[Run, Outcome]]:
    # Spawned: torch's threads do not survive a fork. The longest first, so that none is left over alone.
    context = multiprocessing.get_context("spawn")
    longest = sorted(runs, key=lambda run: -run.plan.steps)
    before = set(multiprocessing.active_children())
    with ProcessPoolExecutor(jobs, context, initializer=_worker) as pool:
        try:
            futures = {pool.submit(perform, run, spec, dtype): run for run in longest}
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            # The pool sees them end, gives up what waits, and is waited for as the block is left.
            for process in set(multiprocessing.active_children()) - before:
                process.terminate()
            raise


def _worker() -> None:
    """Prepare a process: one thread, no word of its own on Ctrl-C, and an end when its parent has one."""
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _one_thread()


def _one_thread() -> None:
    """Pin every library to one thread: loaded first, for what comes later brings threads of its own."""
    for name in available():
        get_backend(name)
    limit_threads(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextlib.contextmanager
def _progress(console: Console | None, name: str, done: int, waiting: list[Run]) -> Iterator[Any]:
    """Show how far it is, by steps, and the time left."""
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
    """Return a guess at how long a run takes, in steps of our layers with small batches."""
    slower = {"layers": 1.0, "graph": 3.0, "torch": 3.0}[run.plan.engine]
    return run.plan.steps * slower * (1.0 + run.plan.batch_size / 100.0) + run.plan.epochs / run.plan.every
