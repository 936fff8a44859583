"""The program of a training step: as traced, as compiled, and its kernels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ...backends import OptionError, Tensor
from ...backends.decorators.jit.decorator import JitBackend
from ...backends.errors import TraceError
from ...backends.meta import Meta
from ...layers import mode, named_scopes, without_input_gradient
from ...layers.call import checked_targets
from .work import Work


class StepProgram(NamedTuple):
    """The texts of a step's program."""

    traced: str
    """As the step's Python code called the ops."""
    compiled: str
    """After the passes, with primitives, values and views alone."""
    kernels: tuple[str, ...]
    """For each kernel, the ops that it computes."""


def step_program(work: Work) -> StepProgram:
    """Return the program of a training step on the work's batch, whose backend is a `JitBackend`.

    Raises OptionError if the step would not be compiled.
    """
    from ...backends.decorators.jit import generate, machine  # here: they are much to import
    from ...backends.decorators.jit.passes.fuse import fuse
    from ...backends.decorators.jit.program import apply, check, show

    b, optimizer = work.model.backend, work.optimizer
    assert isinstance(b, JitBackend)
    inputs = [Meta(b.shape(x), b.dtype(x)) for x in work.samples.parts]
    names = () if optimizer is None else tuple(optimizer.scalars(1))
    try:
        with mode(training=True), checked_targets(), without_input_gradient(work.model):
            traced = b.trace(lambda batch, numbers: _step(work, batch, numbers), inputs, names).program
        program = apply(check(traced), generate.PASSES)
        generate.generate([traced], machine.host(), ordered=True)  # raises for an op without a rule
    except TraceError as error:
        raise OptionError(
            f"--program: expected a step that compiles, got one that runs eagerly: {error}"
        ) from error
    groups = fuse(program, generate.RULES)
    kernels = (" + ".join(call.op for call in group.calls) for group in groups)
    return StepProgram(show(traced), show(program), tuple(kernels))


def _step(work: Work, batch: tuple[Tensor, ...], numbers: Mapping[str, float]) -> tuple[Tensor, ...]:
    x, *rest = batch
    with named_scopes(work.model):
        work.model.zero_grad() if work.optimizer is None else work.optimizer.zero_grad()
        fraction = work.loss.fraction(work.model(x), *rest)
        work.model.backward(work.loss.backward())
        if work.optimizer is not None:
            work.optimizer.update(numbers)
    return fraction
