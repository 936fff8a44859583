"""Random steps as native programs, beside the interpreter.

A program runs in guarded memory: its arrays end where a page begins that may not be touched, and its
workspace is full of poison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from native import Place, same_bits
from random_steps import NUMBERS, RandomStep

from lamina.backends import get_backend
from lamina.backends.decorators.jit.bound import Bound
from lamina.backends.decorators.jit.compiler import Native, native
from lamina.backends.decorators.jit.decorator import JitBackend
from lamina.backends.decorators.jit.machine import Machine
from lamina.backends.decorators.jit.program import interpret
from lamina.backends.host import Host
from lamina.backends.ops import Op
from lamina.backends.wrapper import Wrapper

STEPS = 3
_ROUNDED = ("sum", "matmul", "tanh", "exp", "log", "sqrt", "divide", "sigmoid", "pow")


class Shaken(Wrapper):
    """A backend whose results are off by one or two last digits, as those of another right one may be."""

    name = "shaken"

    def around(self, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        result = super().around(op, args, kwargs)
        if op.name in _ROUNDED and result.dtype.kind == "f":
            noise = np.random.default_rng(result.size).choice([-2, -1, 1, 2], result.shape)
            last = np.spacing(np.where(np.isfinite(result), result, 0))
            result = np.asarray(result + noise * last, result.dtype)
        return result


class NativeStep:
    """A random step, its program, and the data of a few steps."""

    def __init__(self, seed: int, length: int, *, dtype: str = "float64", width: int = 5) -> None:
        inner = get_backend("numpy", dtype=dtype)
        self.b: Any = JitBackend(inner)  # type: ignore[abstract]  # made by funnelled
        self.step = RandomStep(self.b, seed, length, sums=True, dtype=dtype, width=width)
        self.start = self.step.state()
        self.traced = self.b.trace(self.step, self.step.inputs, tuple(NUMBERS))
        source = np.random.default_rng(seed)
        rows = [source.permutation(len(self.step.data[0])) for _ in range(STEPS)]
        self.data = [np.concatenate([x[i] for i in rows]) for x in self.step.data]
        self.order = source.permutation(len(self.data[0]))
        self.numbers = {name: x * np.array([1.0, 0.5, 2.0]) for name, x in NUMBERS.items()}

    def interpreted(self, *, ordered: bool, shaken: bool = False) -> list[Host]:
        """Return the results of all steps, and the cells after them, op by op."""
        b: Any = self.b.inner
        if shaken:
            b = Shaken(b)  # type: ignore[abstract]  # made by funnelled
        self.step.restore(self.start)
        data = [x[self.order] for x in self.data] if ordered else self.data
        results = []
        with np.errstate(all="ignore"), b.session():
            for k in range(STEPS):
                batch = [x[k * 7 : k * 7 + 7] for x in data]
                numbers = {name: float(values[k]) for name, values in self.numbers.items()}
                found = interpret(self.traced.program, b, batch, numbers=numbers, cells=self.traced.cells)
                results.append([np.array(x) for x in found])
        return [*map(np.stack, zip(*results, strict=True)), *self.step.state()]

    def native(self, machine: Machine, *, ordered: bool) -> list[Host]:
        """Return the same of the native program, whatever its workspace held before."""
        code = native(self.traced.program, ordered=ordered, machine=machine)
        found, others = (run_guarded(self, code, poison, ordered=ordered) for poison in (np.nan, 1e30))
        for one, other in zip(found, others, strict=True):
            same_bits(one, other)
        return found


def run_guarded(step: NativeStep, code: Native, poison: float, *, ordered: bool) -> list[Host]:
    """Run all steps in guarded memory; return the results and the cells."""
    step.step.restore(step.start)
    outputs = [Place(np.zeros((STEPS, *m.shape), m.dtype)) for m in code.table.outputs]
    data = [Place(x) for x in step.data]
    cells = {name: Place(flat) for name, flat in step.traced.cells.items()}
    bound = Bound(
        code,
        [place.array for place in data],
        Place(step.order).array if ordered else None,
        step.numbers,
        [place.array for place in outputs],
        {name: place.array for name, place in cells.items()},
        STEPS,
    )
    workspace = bound.workspace
    workspace[: len(workspace) // 4 * 4].view(np.float32)[:] = poison
    assert bound.run()
    for x, place in zip(step.data, data, strict=True):
        same_bits(place.result(), x)
    for name, place in cells.items():
        step.traced.cells[name][...] = place.result()
    return [*(place.result() for place in outputs), *step.step.state()]


def close(one: Host, other: Host, bar: float) -> bool:
    """Whether arrays are equal to a bar, relative to their largest number."""
    size = np.abs(other[np.isfinite(other)]).max(initial=1.0)
    return np.allclose(one, other, rtol=bar, atol=bar * float(size), equal_nan=True)
