"""`option`: declares a field of a recipe, with its help, its values and its flag on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ...backends.errors import OptionError
from ...backends.options import choice, flag, held, integer, number, shown


@dataclass(frozen=True)
class Option:
    """One option of a run."""

    default: Any
    help: str
    panel: str
    """The heading under which `--help` lists it."""
    unset: str = ""
    """The meaning of the default None; `defaults.py` may add values by data set."""
    choices: tuple[str, ...] = ()
    check: Callable[[str, Any], Any] | None = None
    """Takes the flag and a value; returns the value, or raises OptionError."""
    parse: Callable[[str], Any] | None = None
    """Turns the command line's text into a tuple."""
    environment: str | None = None
    """The variable that the command line reads if the flag is absent."""
    flag: str = ""
    """By default the field's name: --batch-size."""

    def checked(self, value: Any) -> Any:
        """Return a value, each number as Python's own; OptionError names the flag."""
        if value is None and self.default is None:
            return None
        if self.parse is None:
            return self._checked(value)
        if not isinstance(value, (tuple, list)):
            raise OptionError(f"{self.flag}: expected a tuple of values, got {shown(value)}")
        return tuple(map(self._checked, value))

    def _checked(self, value: Any) -> Any:
        if self.choices:
            choice(self.flag, "", value, self.choices)
        return value if self.check is None else self.check(self.flag, value)


def option(default: Any, help: str, panel: str, *, choices: Iterable[str] = (), **more: Any) -> Any:  # noqa: A002
    """Declare an option as a field of a dataclass; see `Option` for the arguments."""
    metadata = {"option": Option(default, help, panel, choices=tuple(choices), **more)}
    return field(default=default, metadata=metadata)


def options_of(kind: Any) -> dict[str, Option]:
    """Return the options of a dataclass by field."""
    options = {f.name: f.metadata["option"] for f in fields(kind) if "option" in f.metadata}
    return {
        name: replace(one, flag=one.flag or f"--{name.replace('_', '-')}") for name, one in options.items()
    }


def whole(**bounds: Any) -> Callable[[str, Any], int]:
    """Return the check of an integer within bounds, as `integer` has them."""
    return lambda flag, value: integer(flag, "", value, **bounds)


def yes_or_no(option: str, value: Any) -> bool:
    """Check a flag."""
    return flag(option, "", value)


def real(**bounds: Any) -> Callable[[str, Any], float]:
    """Return the check of a number within bounds, as `number` has them."""
    return lambda flag, value: held(flag, "", number(flag, "", value, **bounds))
