"""The time that `profile` adds to a training step of a large network: it should be 5 % at most."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import numpy as np
import pytest
from race import in_turns

from lamina.backends import Backend, get_backend
from lamina.backends.select import with_decorator
from lamina.layers import CrossEntropyLoss, Linear, ReLU, Sequential, without_input_gradient
from lamina.train.optimizers import SGD

ROUNDS = 100


def training_step(name: str) -> Callable[[], None]:
    b = get_backend(name)
    layers = [Linear(784, 1024, backend=b), ReLU(backend=b), Linear(1024, 1024, backend=b), ReLU(backend=b)]
    model = Sequential(*layers, Linear(1024, 10, backend=b))
    criterion, optimizer = CrossEntropyLoss(backend=b), SGD(model.parameters(), lr=1e-4)
    criterion.validate = False  # as in the training loop
    rng = np.random.default_rng(0)
    x, y = b.from_host(rng.standard_normal((256, 784))), b.from_host(rng.integers(0, 10, 256))

    def step() -> None:
        with b.session():
            optimizer.zero_grad()
            criterion(model(x), y)
            with without_input_gradient(model):
                model.backward(criterion.backward())
            optimizer.step()

    return step


def test_what_profile_adds(bench_backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    name, profiled = bench_backend.spec, with_decorator(bench_backend.spec, "profile")
    steps = {"bare": training_step(name), "profiled": training_step(profiled)}
    seconds = in_turns(steps, ROUNDS)
    pairs = zip(seconds["bare"], seconds["profiled"], strict=True)
    ratio = statistics.median(seen / bare for bare, seen in pairs)
    with capsys.disabled():
        bare = 1e3 * statistics.median(seconds["bare"])
        print(f"\n{profiled}: a step of {bare:.1f} ms takes {ratio - 1:+.1%}")
