"""A training step by the graph of operators, beside one by hand-written backward passes."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from race import in_turns

from lamina.backends import Backend, get_backend
from lamina.backends.select import with_decorator
from lamina.layers import (
    CrossEntropyLoss,
    Linear,
    Loss,
    MSELoss,
    ReLU,
    Sequential,
    without_input_gradient,
)
from lamina.train.optimizers import SGD

# Widths, batch, loss, rounds. The graph should take at most 5 and 1.3 times as long as the hand-written step.
TASKS: list[tuple[tuple[int, ...], int, type[Loss], int]] = [
    ((2, 25, 25, 25, 2), 5, MSELoss, 400),
    ((784, 1024, 1024, 10), 256, CrossEntropyLoss, 25),
]


def training_step(name: str, widths: tuple[int, ...], batch: int, kind: type[Loss]) -> Callable[[], None]:
    b = get_backend(name)
    pairs = [(Linear(i, o, backend=b), ReLU(backend=b)) for i, o in pairwise(widths)]
    model = Sequential(*[layer for pair in pairs for layer in pair][:-1])
    criterion, optimizer = kind(backend=b), SGD(model.parameters(), lr=1e-4)
    criterion.validate = False  # as in the training loop
    rng = np.random.default_rng(0)
    labels = kind is CrossEntropyLoss
    target = rng.integers(0, widths[-1], batch) if labels else rng.standard_normal((batch, widths[-1]))
    x, y = b.from_host(rng.standard_normal((batch, widths[0]))), b.from_host(target)

    def step() -> None:
        with b.session():
            optimizer.zero_grad()
            loss: Any = criterion(model(x), y)
            if "autodiff" in name:
                loss.backward()
            else:
                with without_input_gradient(model):
                    model.backward(criterion.backward())
            optimizer.step()

    return step


@pytest.mark.parametrize("task", TASKS, ids=lambda task: "-".join(map(str, task[0])))
def test_the_graph_s_step(bench_backend: Backend, task: Any, capsys: pytest.CaptureFixture[str]) -> None:
    *what, rounds = task
    name, recorded = bench_backend.spec, with_decorator(bench_backend.spec, "autodiff")
    steps = {"by hand": training_step(name, *what), "graph": training_step(recorded, *what)}
    hand, graph = map(statistics.median, in_turns(steps, rounds).values())
    with capsys.disabled():
        ratio = f"{graph / hand:.2f} times"
        print(f"\n{name}: {1e3 * hand:.3f} ms by hand, {1e3 * graph:.3f} ms by the graph: {ratio}")
