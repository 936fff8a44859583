"""Steps of a model, for eager code and for programs: the same Python on the same cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lamina.backends import Backend
from lamina.backends.decorators.jit.decorator import JitBackend
from lamina.backends.decorators.jit.generate import sink
from lamina.backends.decorators.jit.passes.cells import cells
from lamina.backends.decorators.jit.passes.lower import lower
from lamina.backends.decorators.jit.passes.simplify import simplify
from lamina.backends.decorators.jit.passes.views import views
from lamina.backends.decorators.jit.program import Pass, apply, interpret
from lamina.backends.decorators.jit.trace import Traced
from lamina.backends.host import Host
from lamina.backends.meta import Meta
from lamina.layers import Loss, Module, named_scopes
from lamina.layers.proofs.subject import bring, cotangent, host
from lamina.train.optimizers import Optimizer

EXACT: tuple[Pass, ...] = (lower, cells, simplify, views)
"""The passes that keep every bit."""
PASSES: tuple[Pass, ...] = (lower, cells, simplify, sink, simplify, views)
"""Every pass, in order."""


def jit_around(backend: Backend) -> Any:
    """Return a `jit` of the test's own around a raw backend."""
    if backend.raw.device != "cpu":
        pytest.skip("jit runs on the CPU")
    return JitBackend(backend.raw)  # type: ignore[abstract]  # made by funnelled


class Steps:
    """A module or a loss, and an optimizer: one step of it, run eagerly or as a program."""

    def __init__(self, subject: Module | Loss, optimizer: Optimizer | None, inputs: Sequence[Host]) -> None:
        self.subject, self.optimizer, self.backend = subject, optimizer, subject.backend
        self.tensors = [bring(self.backend, x) for x in inputs]
        if isinstance(subject, Module):
            copy = subject(*self.tensors)
            self.tensors.append(bring(self.backend, cotangent(self.backend.shape(copy))))
        self.seen: list[Host] = []

    def __call__(self, batch: tuple[Any, ...], numbers: Any) -> tuple[Any, ...]:
        """Take one step."""
        subject, optimizer = self.subject, self.optimizer
        if not isinstance(subject, Module):
            value = subject(*batch)
            reduced = subject.reduction != "none"
            gradient = subject.backward() if reduced else subject.backward(value)
            return value, gradient
        with named_scopes(subject):
            if optimizer is not None:
                optimizer.zero_grad()
            results = [subject(batch[0])]
            if (gradient := subject.backward(batch[1])) is not None:
                results.append(gradient)
            if optimizer is not None:
                optimizer.finish_gradients()
                optimizer.update(numbers)
        return tuple(results)

    def scalars(self, step: int) -> dict[str, float]:
        """Return the numbers of a step."""
        return {} if self.optimizer is None else self.optimizer.scalars(step)

    def eager(self, steps: int) -> list[Host]:
        """Run steps eagerly; return all results, and all cells after each."""
        return self._run(steps, lambda numbers: self(tuple(self.tensors), numbers))

    def compiled(self, steps: int, *passes: Pass) -> list[Host]:
        """Run steps as one program, through passes."""
        traced = self.trace()
        program = apply(traced.program, passes)
        b: Any = self.backend

        def step(numbers: dict[str, float]) -> tuple[Any, ...]:
            with b.inner.session():
                return interpret(program, b.inner, self.tensors, numbers=numbers, cells=traced.cells)

        return self._run(steps, step)

    def trace(self) -> Traced:
        """Return the step's program."""
        b: Any = self.backend
        metas = [Meta(tuple(b.shape(x)), b.dtype(x)) for x in self.tensors]
        return b.trace(self, metas, tuple(self.scalars(1)))  # type: ignore[no-any-return]

    def _run(self, steps: int, step: Callable[[dict[str, float]], tuple[Any, ...]]) -> list[Host]:
        seen = []
        for k in range(1, steps + 1):
            results = step(self.scalars(k))
            seen += [host(self.backend, x) for x in results]
            seen += self._state()
        return seen

    def _state(self) -> list[Host]:
        """Return parameters, buffers, gradients, and the optimizer's cells."""
        if not isinstance(self.subject, Module):
            return []
        b, state = self.backend, list(self.subject.state_dict().values())
        state += [host(b, p._grad) for p in self.subject.parameters()]
        if self.optimizer is not None:
            state += [x for group in self.optimizer.groups for x in group.host_cells().values()]
        return state
