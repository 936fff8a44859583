"""The numbers of many steps at once have the bits of one step's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lamina.backends import OptionError, get_backend
from lamina.backends.steps import one_minus_power, steps_after
from lamina.layers import Constant, Parameter
from lamina.train import SGD, Adam, Optimizer
from lamina.train.optimizers.proofs import OPTIMIZER_CASES


def parameters() -> list[Parameter]:
    return [Parameter((n,), Constant(1.0), get_backend("numpy")) for n in (2, 3)]


def singly(optimizer: Optimizer, count: int) -> dict[str, list[float]]:
    rows = [optimizer.scalars(step) for step in range(optimizer.steps + 1, optimizer.steps + count + 1)]
    return {name: [row[name] for row in rows] for name in rows[0]}


@pytest.mark.parametrize("done", [0, 1, 350, 4000, 40_000])
def test_every_optimizer(done: int) -> None:
    for case in OPTIMIZER_CASES:
        optimizer = case.make(parameters())
        optimizer.steps, optimizer.lr_factor = done, 0.3
        found = optimizer.next_scalars(200)
        for name, values in found.items():
            assert (values.dtype, values.shape) == (np.float64, (200,)), (case.name, name)
        assert {name: values.tolist() for name, values in found.items()} == singly(optimizer, 200), case.name


def test_groups_have_their_own() -> None:
    first, second = parameters()
    optimizer = Adam([{"params": first, "betas": (0.5, 0.9)}, {"params": second, "lr": 0.2}])
    found = optimizer.next_scalars(7)
    assert {name: values.tolist() for name, values in found.items()} == singly(optimizer, 7)
    assert set(found) == {f"{i}.{name}" for i in (0, 1) for name in ("lr", "correction1", "correction2")}


def test_no_steps() -> None:
    assert {len(v) for v in Adam(parameters()).next_scalars(0).values()} == {0}


@pytest.mark.parametrize("base", [0.0, 0.5, 0.9, 0.999, 1.0 - 2.0**-20])
def test_powers_across_tables(base: float) -> None:
    for start in (0, 4090, 8191, 37_000, 3 * 4096 - 5):
        found = one_minus_power(base, np.arange(start, start + 9000))
        assert found.tolist() == [1.0 - base**step for step in range(start, start + 9000)]


def test_a_table_is_not_the_callers() -> None:
    found = one_minus_power(0.9, steps_after(0, 3))
    found[:] = 7.0
    assert one_minus_power(0.9, steps_after(0, 3)).tolist() == [1.0 - 0.9, 1.0 - 0.9**2, 1.0 - 0.9**3]


class Branches(SGD):
    def group_scalars(self, group: Any, step: Any) -> dict[str, Any]:
        return {"lr": self.rate(group) if step < 10 else 0.0}


class Wide(SGD):
    def group_scalars(self, group: Any, step: Any) -> dict[str, Any]:
        return {"lr": np.ones(3) if np.ndim(step) else 1.0}


@pytest.mark.parametrize("kind", [Branches, Wide])
def test_numbers_of_one_step_alone_are_an_error(kind: Any) -> None:
    optimizer = kind(parameters())
    message = rf"{kind.__name__}: expected group_scalars to take an array of steps \(S,\), too, .*arithmetic"
    with pytest.raises(OptionError, match=message):
        optimizer.next_scalars(5)
    assert optimizer.steps == 0
