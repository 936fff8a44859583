"""The flags of a recipe: made from the fields of `Recipe`, where each option is declared."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any, get_type_hints

import typer

from ..runs.defaults import defaults_text
from ..runs.recipe import OPTIONS, Recipe
from .numbers import INTEGER, NUMBER

_HINTS = get_type_hints(Recipe)


def recipe_flags(names: Iterable[str] = OPTIONS) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add flags for these fields of `Recipe` to a command.

    The command takes `options`: a dict of the values that differ from the fields' defaults; also of those
    that the command line gives, if the command takes its `context`.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        parameters = dict(inspect.signature(command, eval_str=True).parameters)
        del parameters["options"]
        flags = {name: _flag(name) for name in names}

        @functools.wraps(command)
        def run(**values: Any) -> None:
            texts = {name: values.pop(name) for name in flags}
            options = {name: _parsed(name, value) for name, value in texts.items()}
            context = values.get("context")
            changed = {
                name: v for name, v in options.items() if v != OPTIONS[name].default or given(context, name)
            }
            command(options=changed, **values)

        shown: Any = run
        needed = {n: p for n, p in parameters.items() if p.default is p.empty}
        every = {**needed, **flags, **parameters}  # Python's order: first those without a default
        shown.__signature__ = inspect.Signature(list(every.values()))  # typer reads this
        return run

    return decorate


def given(context: typer.Context | None, name: str) -> bool:
    """Return whether the command line gives an argument or a flag."""
    source = None if context is None else context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _flag(name: str) -> inspect.Parameter:
    option = OPTIONS[name]
    flag = f"{option.flag}/--no-{option.flag[2:]}" if _HINTS[name] == bool | None else option.flag
    kind = str | None if option.parse is not None else _HINTS[name]
    number = INTEGER if kind in (int, int | None) else NUMBER if kind == float | None else {}
    info = typer.Option(
        flag, help=_help(name), rich_help_panel=option.panel, envvar=option.environment, **number
    )
    annotation: Any = Annotated[kind, info]
    place = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter(name, place, default=option.default, annotation=annotation)


def _help(name: str) -> str:
    """Return an option's help: the sentence, its choices and its defaults."""
    option = OPTIONS[name]
    text = f"{option.help} {', '.join(option.choices)}".rstrip()
    by_data = "" if option.default is not None or _HINTS[name] == bool | None else defaults_text(name)
    if text.startswith("dense: "):
        by_data = by_data.removeprefix("dense: ")
    default = "; ".join(filter(None, [option.unset, by_data]))
    return f"{text} (default: {default})." if default else f"{text}."


def _parsed(name: str, value: Any) -> Any:
    parse = OPTIONS[name].parse
    return value if parse is None or value is None else parse(value)
