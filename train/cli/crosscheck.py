"""The flags for the crosscheck in a command's backend, and its report."""

from __future__ import annotations

from typing import Annotated

import typer

from ...backends import Backend, OptionError
from ...backends.decorators.crosscheck import CrosscheckBackend, crosscheck_of
from .app import say
from .numbers import NUMBER

_PANEL = "With --backend 'crosscheck(numpy)+torch'"
Tolerance = Annotated[
    float | None,
    typer.Option(help="Factor on all tolerances (default: 1).", rich_help_panel=_PANEL, **NUMBER),
]
KeepGoing = Annotated[
    bool,
    typer.Option(
        "--keep-going",
        help="Count and report divergences; do not stop.",
        rich_help_panel=_PANEL,
    ),
]


def chosen_crosscheck(
    backend: Backend, tolerance: float | None, keep_going: bool
) -> CrosscheckBackend | None:
    """Return the crosscheck of a backend, with its options set; None if the backend has none.

    Raises
    ------
    OptionError
        If an option is set without a crosscheck, or out of range.

    """
    crosscheck = crosscheck_of(backend)
    if crosscheck is None:
        for flag, is_set in (("--tolerance", tolerance is not None), ("--keep-going", keep_going)):
            if is_set:
                raise OptionError(
                    f"{flag}: expected a backend with crosscheck, such as 'crosscheck(numpy)+torch', "
                    f"got {backend.spec!r}"
                )
        return None
    crosscheck.reset()  # a process has one instance of each backend
    crosscheck.tolerance = 1.0 if tolerance is None else tolerance
    crosscheck.keep_going = keep_going
    return crosscheck


def show_crosscheck(crosscheck: CrosscheckBackend) -> None:
    """Print the report of a crosscheck: in full with --keep-going, else one line."""
    report = crosscheck.report()
    style = "" if report.passed else "red"
    for line in str(report).splitlines()[: None if crosscheck.keep_going else 1]:
        say((line, style))
