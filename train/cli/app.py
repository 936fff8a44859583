"""The frame of the command line: the app, the flags of every command, errors without a traceback."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from ... import __version__
from ...backends import LaminaError
from ...backends.select import set_command_line
from ...backends.written import noted
from ..files import to_json, visible
from ..loop.signals import INTERRUPTED, STOPS, code_of, handled, raise_stop

EXPLODED = 3
"""The exit code of a training that became NaN or infinite; the last finite network is saved."""


class Commands(TyperGroup):
    """The group of all commands; with --json it prints errors of usage as JSON too."""

    def main(self, args: Any = None, *rest: Any, **options: Any) -> Any:
        """Run, and end the process with the exit code."""
        words = list(sys.argv[1:] if args is None else args)
        if "--json" not in words or not options.get("standalone_mode", True):
            return super().main(words, *rest, **options)
        options["standalone_mode"] = False
        try:
            code = super().main(words, *rest, **options)
        except typer.Abort:  # Ctrl-C before the command
            print_json({"error": "Interrupted; nothing was written."})
            code = INTERRUPTED
        except Exception as error:
            if not hasattr(error, "format_message"):  # not typer's: a defect of Lamina
                raise
            print_json({"error": error.format_message()})
            code = getattr(error, "exit_code", 2)
        sys.exit(code if isinstance(code, int) else 0)


app = typer.Typer(
    name="lamina",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)
console = Console()
errors = Console(stderr=True)

BackendOption = Annotated[
    str | None,
    typer.Option(
        "--backend",
        help="numpy, torch, torch:cuda, or a stack such as jit+numpy or strict+numpy (default: "
        "LAMINA_BACKEND, else jit+numpy if llvmlite is installed, else torch if it is, else numpy).",
    ),
]
DtypeOption = Annotated[
    str | None, typer.Option("--dtype", help="float32 or float64 (default: LAMINA_DTYPE, else float32).")
]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]

Command = TypeVar("Command", bound=Callable[..., Any])


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"lamina {__version__}")
        raise typer.Exit


@app.callback()
def lamina(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Train small networks on any backend, prove their layers and measure their speed."""


def command(function: Command) -> Command:
    """Register a command; a LaminaError ends it with exit code 2 and a message, as JSON with --json."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        as_json = bool(kwargs.get("as_json"))
        set_command_line(kwargs.get("backend"), kwargs.get("dtype"))
        with noted() as notes, handled(raise_stop):
            try:
                return function(*args, **kwargs)
            except STOPS as stop:
                with last_words():
                    notes.close()
                    fail(_interrupted(notes.still_there()), as_json=as_json, code=code_of(stop))
            except Exception as error:
                _explain(error, as_json)
                raise
            finally:
                set_command_line()

    app.command()(run)
    return function


def _explain(error: Exception, as_json: bool) -> None:
    """End with a message for an error that is the user's to mend; return for a defect of Lamina."""
    if isinstance(error, LaminaError):
        fail(str(error), as_json=as_json)
    if isinstance(error, (MemoryError, RuntimeError)) and _out_of_memory(error):
        fail(
            f"There is not enough memory; use a smaller network or fewer samples. ({error})", as_json=as_json
        )
    if isinstance(error, OSError) and error.filename is not None:
        fail(f"'{error.filename}' cannot be used: {error.strerror or error}.", as_json=as_json)
    if isinstance(error, OSError):
        # Standard output cannot be written; no error if its reader has ended (lamina ... | head).
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if not isinstance(error, BrokenPipeError):
            errors.print(f"Error: cannot write the output: {error.strerror}", highlight=False)
        raise typer.Exit(1) from None


def _interrupted(files: list[Path]) -> str:
    if not files:
        return "Interrupted; nothing was written."
    return f"Interrupted; these files were written: {', '.join(map(str, files))}."


def last_words() -> AbstractContextManager[None]:
    """Ignore signals inside a `with`: the last words are being printed."""
    return handled(lambda number: None)


def fail(message: str, *, as_json: bool, code: int = 2) -> NoReturn:
    """Print an error and end with an exit code."""
    if as_json:
        print_json({"error": message})
    else:
        text = Text.assemble(("Error: ", "bold red"), visible(message, lines=True))
        errors.print(text, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def print_json(value: dict[str, Any]) -> None:
    """Print one strict JSON object; NaN and infinity become null."""
    print(to_json(value), flush=True)


def say_lines(text: str, style: str = "") -> None:
    """Print text of several lines, without markup."""
    console.print(Text(visible(text, lines=True)), style=style, highlight=False)


def say(*parts: str | tuple[str, str], style: str = "") -> None:
    """Print a line of texts and (text, style) pairs, without markup: brackets stay brackets."""
    shown = (visible(part) if isinstance(part, str) else (visible(part[0]), part[1]) for part in parts)
    console.print(Text.assemble(*shown), style=style, highlight=False, soft_wrap=True)


def show_table(
    heads: dict[str, str], rows: Sequence[tuple[str, ...]], *, total: tuple[str, ...] = ()
) -> None:
    """Print a table: columns {head: "left" or "right"}, rows of texts, and a last row of totals."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for head, justify in heads.items():
        table.add_column(Text(visible(head)), justify=justify)  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    if total:
        table.add_row(*(Text(visible(cell)) for cell in total), style="bold")
    console.print(table)


@contextmanager
def stops_deferred(note: str) -> Iterator[list[int]]:
    """Delay the first signal to the end of the `with` and print the note; the list then holds its number."""
    caught: list[int] = []

    def wait(number: int) -> None:
        if caught:
            raise_stop(number)
        caught.append(number)
        errors.print(note, highlight=False)

    with handled(wait):
        yield caught


def _out_of_memory(error: BaseException) -> bool:
    """Return whether numpy or torch ran out of memory."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text
