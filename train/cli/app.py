"""The command line's frame: the app, options that every command has, errors without a traceback."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from ...backends import LaminaError
from ...backends.select import set_command_line

app = typer.Typer(
    name="lamina",
    help="Train small networks on any backend; every layer proven, every step timed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)
console = Console()
errors = Console(stderr=True)

BackendOption = Annotated[
    str | None,
    typer.Option("--backend", help="numpy, torch, torch:cuda, or a stack such as strict+numpy."),
]
DtypeOption = Annotated[str | None, typer.Option("--dtype", help="float32 or float64.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]

Command = TypeVar("Command", bound=Callable[..., Any])


def command(function: Command) -> Command:
    """Register a command whose LaminaErrors end it with exit code 2 and a message, JSON under --json."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        set_command_line(kwargs.get("backend"), kwargs.get("dtype"))
        try:
            return function(*args, **kwargs)
        except LaminaError as error:
            fail(str(error), as_json=bool(kwargs.get("as_json")))
        except BrokenPipeError:
            # The reader of our output has gone (lamina ... | head): nobody is left to tell.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            errors.print("Interrupted.")
            raise typer.Exit(130) from None
        finally:
            set_command_line()

    app.command()(run)
    return function


def fail(message: str, *, as_json: bool) -> None:
    """Say what is wrong and end with exit code 2."""
    if as_json:
        print_json({"error": message})
    else:
        errors.print(f"[bold red]Error:[/] {_escaped(message)}", highlight=False, soft_wrap=True)
    raise typer.Exit(2)


def print_json(value: dict[str, Any]) -> None:
    """Print one strict JSON object: what is not a finite number becomes null."""
    print(json.dumps(_finite(value)))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    if isinstance(value, float) and value - value != 0.0:
        return None
    return value


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
