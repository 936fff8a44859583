"""The options of a command for the crosscheck in its backend, and what that found."""

from __future__ import annotations

from typing import Annotated

import typer

from ...backends import Backend, OptionError
from ...backends.decorators.crosscheck import CrosscheckBackend, crosscheck_of
from .app import say

_PANEL = "With --backend 'crosscheck(numpy)+torch'"
Tolerance = Annotated[
    float | None, typer.Option(help="A factor on every bar (default: 1).", rich_help_panel=_PANEL)
]
KeepGoing = Annotated[
    bool,
    typer.Option(
        "--keep-going", help="Do not stop at a divergence: count, and report.", rich_help_panel=_PANEL
    ),
]


def chosen_crosscheck(
    backend: Backend, tolerance: float | None, keep_going: bool
) -> CrosscheckBackend | None:
    """Return the crosscheck of a backend, its options set; None if it has none.

    Raises
    ------
    OptionError
        If an option was given and there is no crosscheck that it is for, or it has no such value.

    """
    found = crosscheck_of(backend)
    if found is None:
        for option, given in (("--tolerance", tolerance is not None), ("--keep-going", keep_going)):
            if given:
                raise OptionError(
                    f"{option} is for crosscheck: name one, as --backend 'crosscheck(numpy)+torch'"
                )
        return None
    found.reset()  # in one process the backend of a name is one instance
    found.tolerance = 1.0 if tolerance is None else tolerance
    found.keep_going = keep_going
    return found


def show_crosscheck(found: CrosscheckBackend) -> None:
    """Print what was compared: in full where it went on after divergences, else in a line."""
    report = found.report()
    style = "" if report.passed else "red"
    for line in str(report).splitlines()[: None if found.keep_going else 1]:
        say((line, style))
