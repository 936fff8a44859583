"""The state of a call: mode, inference, and an input gradient that nothing needs. Each thread has its own."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token, copy_context
from typing import Any, Generic, ParamSpec, TypeVar

from ..backends.options import flag

T = TypeVar("T")
P = ParamSpec("P")
INFERENCE: ContextVar[bool] = ContextVar("lamina_inference", default=False)
TRAINING: ContextVar[bool | None] = ContextVar("lamina_training", default=None)
"""The mode of the call; each module's default holds if it is None."""
WITHOUT_INPUT_GRADIENT: ContextVar[Any] = ContextVar("lamina_without_input_gradient", default=None)
"""The module whose input gradient nothing needs."""
CHECKED_TARGETS: ContextVar[bool] = ContextVar("lamina_checked_targets", default=False)
"""Whether the caller has checked the values of all targets."""
REHEARSAL: ContextVar[bool] = ContextVar("lamina_rehearsal", default=False)
"""Whether the call only shows that its data fit."""


def in_own_context(call: Callable[P, T]) -> Callable[P, T]:
    """Run a call in a copy of the context, so that nothing set in it outlives it.

    Each setting is undone at the end of its `with`, but an interrupt may come between the two.
    """

    @functools.wraps(call)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return copy_context().run(call, *args, **kwargs)

    return run


class Setting(Generic[T]):
    """A value of a context variable, inside a `with`."""

    __slots__ = ("token", "value", "variable")

    def __init__(self, variable: ContextVar[T], value: T) -> None:
        self.variable, self.value = variable, value

    def __enter__(self) -> None:
        self.token: Token[T] = self.variable.set(self.value)

    def __exit__(self, *error: object) -> None:
        self.variable.reset(self.token)


def inference() -> AbstractContextManager[None]:
    """Run forward passes that keep nothing for `backward`, inside a `with`."""
    return Setting(INFERENCE, True)


def mode(*, training: bool) -> AbstractContextManager[None]:
    """Run every module in training or evaluation, inside a `with`, whatever `train()` and `eval()` set."""
    known = training is True or training is False  # a check that costs nothing
    return Setting(TRAINING, training if known else flag("mode", "training", training))


def without_input_gradient(module: Any) -> AbstractContextManager[None]:
    """Let `module.backward` compute no gradient of its input and return None, inside a `with`.

    Modules inside it are not affected: a container decides for its own layers.
    """
    return Setting(WITHOUT_INPUT_GRADIENT, module)


def checked_targets(checked: bool = True) -> AbstractContextManager[None]:
    """Let losses skip the check of values, inside a `with`: the caller checks those of the whole data set.

    With False, nothing changes.
    """
    return Setting(CHECKED_TARGETS, checked or CHECKED_TARGETS.get())


def rehearsal() -> AbstractContextManager[None]:
    """Run forward passes that change no cell and no counter, inside a `with`: they show that data fit."""
    return Setting(REHEARSAL, True)


class Kept(threading.local):
    """What a forward pass kept for its backward pass; each thread has its own, a copy has nothing."""

    values: tuple[Any, ...] | None = None
    constant: tuple[Any, ...] | None = None
    """A loss's last number of samples: (backend, number, dtype, tensor)."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Kept, ()


def run_all(actions: Iterable[Callable[[], object]]) -> None:
    """Run every action; an interrupt (Ctrl-C) between them is raised after the last one.

    An action that was interrupted runs again.
    """
    left, interrupts = list(actions)[::-1], 0
    stop: KeyboardInterrupt | None = None
    while left:
        try:
            while left:
                left[-1]()
                left.pop()
        except KeyboardInterrupt as interrupt:
            stop, interrupts = interrupt, interrupts + 1
            if interrupts > _PATIENCE:
                raise
    if stop is not None:
        raise stop


_PATIENCE = 100


class InstanceMethod:
    """A method put on one module; copies of the module start without it."""
