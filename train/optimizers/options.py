"""`Options`: the options of a parameter group, checked when they are set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from typing_extensions import override

from ...backends import OptionError, StateError
from ...backends.errors import did_you_mean
from ...backends.options import flag, held, number, shown


class Rules:
    """The rules that an optimizer's class defines for its options."""

    @classmethod
    def check(cls, options: Mapping[str, Any]) -> None:
        """Raise OptionError if options contradict each other; each alone is in its range."""

    @classmethod
    def initial_cells(cls, options: Mapping[str, Any]) -> dict[str, float]:
        """Return the cells that a group with these options owns: {name: initial value}."""
        return {}


class Options(MutableMapping[str, Any]):
    """A group's options, as Python's own numbers.

    Options may change at any time: a schedule, a callback or the user assigns them, and the next step uses
    them. Only an option that decides which cells the group owns is fixed: momentum from 0 to 0.9, say.
    """

    def __init__(self, rules: type[Rules], defaults: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        self._rules = rules
        self._values = dict(defaults)
        self._values = self.replaced({**defaults, **own})

    def replaced(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return all options with these changes. Raises OptionError if one is unknown or out of range."""
        owner, values = self._rules.__name__, dict(self._values)
        for name, value in changes.items():
            if name not in values:
                raise OptionError(
                    f"{owner}: expected the options {', '.join(values)}, got {shown(name)}."
                    + did_you_mean(name, values)
                )
            values[name] = _CHECKS[name](owner, name, value) if name in _CHECKS else value
        self._rules.check(values)
        return values

    def initial_cells(self) -> dict[str, float]:
        """Return the cells that the group owns: {name: initial value}."""
        return self._rules.initial_cells(self._values)

    @override
    def update(self, other: Any = (), /, **changes: Any) -> None:
        """Set several options at once, or none if one is refused."""
        values = self.replaced(dict(other, **changes))
        fixed = [name for name in values if self._needs_other_cells(name, values[name])]
        if fixed:
            raise StateError(
                f"{self._rules.__name__}: expected {', '.join(fixed)} to stay as the optimizer was made, got "
                f"{', '.join(f'{name}={values[name]!r}' for name in fixed)}; make a new optimizer"
            )
        self._values = values

    def _needs_other_cells(self, name: str, value: Any) -> bool:
        return self._rules.initial_cells({**self._values, name: value}) != self.initial_cells()

    def restore(self, values: Mapping[str, Any]) -> None:
        """Set all options to a saved state's, whatever the cells' initial values were."""
        self._values = self.replaced(values)

    @override
    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    @override
    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    @override
    def __delitem__(self, name: str) -> None:
        owner = self._rules.__name__
        raise OptionError(f"{owner}: expected the option {shown(name)} to stay, got its removal")

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    @override
    def __len__(self) -> int:
        return len(self._values)

    @override
    def __repr__(self) -> str:
        return repr(self._values)


def _any_number(owner: str, option: str, value: Any) -> float:
    return held(owner, option, number(owner, option, value))


def _not_negative(owner: str, option: str, value: Any) -> float:
    return held(owner, option, number(owner, option, value, least=0.0))


def _fraction(owner: str, option: str, value: Any) -> float:
    return number(owner, option, value, least=0.0, below=1.0)


def _two_fractions(owner: str, option: str, value: Any) -> tuple[float, float]:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise OptionError(f"{owner}: expected {option} to be two numbers, got {shown(value)}")
    return _fraction(owner, f"{option}[0]", value[0]), _fraction(owner, f"{option}[1]", value[1])


_CHECKS: dict[str, Callable[[str, str, Any], Any]] = {
    "lr": _not_negative,
    "momentum": _not_negative,
    "dampening": _any_number,
    "weight_decay": _not_negative,
    "lr_decay": _not_negative,
    "eps": _not_negative,
    "initial_accumulator_value": _not_negative,
    "alpha": _fraction,
    "betas": _two_fractions,
    "nesterov": flag,
    "centered": flag,
    "eps_inside_root": flag,
}
"""(owner, option, value) -> value, by option: an option has one range in all optimizers."""
