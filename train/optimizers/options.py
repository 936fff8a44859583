"""`Options`: the options of a parameter group, checked when they are set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Self

from typing_extensions import override

from ...backends import OptionError, StateError
from ...backends.errors import did_you_mean
from ...backends.options import flag, number, shown


class Rules:
    """The rules that an optimizer's class defines for its options."""

    averages: tuple[str, ...] = ()
    """The cells that average gradients: without gradients they decay to 0, and no step divides by them."""

    @classmethod
    def check(cls, options: Mapping[str, Any]) -> None:
        """Raise OptionError if options contradict each other; each alone is in its range."""

    @classmethod
    def initial_cells(cls, options: Mapping[str, Any]) -> dict[str, float]:
        """Return the cells that a group with these options owns: {name: initial value}."""
        return {}


class Options(dict[str, Any]):
    """A group's options, as Python's own numbers.

    Options may change at any time: a schedule, a callback or the user assigns them, and the next step uses
    them. Only an option that decides which cells the group owns is fixed: momentum from 0 to 0.9, say.
    """

    def __init__(self, rules: type[Rules], defaults: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        super().__init__(defaults)
        self._rules = rules
        self.restore({**defaults, **own})

    def __reduce__(self) -> tuple[Any, ...]:
        return Options, (self._rules, dict(self), {})

    def replaced(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return all options with these changes. Raises OptionError if one is unknown or out of range."""
        owner, values = self._rules.__name__, dict(self)
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
        return self._rules.initial_cells(self)

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
        super().update(values)

    def _needs_other_cells(self, name: str, value: Any) -> bool:
        return self._rules.initial_cells({**self, name: value}) != self.initial_cells()

    def restore(self, values: Mapping[str, Any]) -> None:
        """Set all options to a saved state's, whatever the cells' initial values were."""
        super().update(self.replaced(values))

    @override
    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    @override
    def __ior__(self, other: Any) -> Self:  # type: ignore[override]  # dict's has overloads
        self.update(other)
        return self

    @override
    def setdefault(self, name: str, default: Any = None, /) -> Any:
        if name not in self:
            self[name] = default  # raises: it is unknown
        return self[name]

    def _refuse_removal(self, *names: Any) -> NoReturn:
        which = f"the option {names[0]!r}" if names else "an option"
        raise OptionError(f"{self._rules.__name__}: expected all options to stay, got {which} to remove")

    __delitem__ = pop = popitem = clear = _refuse_removal


def _any_number(owner: str, option: str, value: Any) -> float:
    return number(owner, option, value)


def _not_negative(owner: str, option: str, value: Any) -> float:
    return number(owner, option, value, least=0.0)


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
