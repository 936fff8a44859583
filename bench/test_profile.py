"""What `profile` adds to a training step, on a network whose ops are worth timing: the aim is 5 % at most."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import pytest

from lamina.backends import get_backend
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


@pytest.mark.parametrize("name", ["numpy", "torch"])
def test_what_profile_adds(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "torch":
        pytest.importorskip("torch")
    steps = {"bare": training_step(name), "profiled": training_step(f"profile+{name}")}
    seconds: dict[str, list[float]] = {who: [] for who in steps}
    for i in range(ROUNDS + 5):
        for who in sorted(steps, reverse=bool(i % 2)):
            # The thread's own time: what else the machine does is not in it.
            start = time.thread_time()
            steps[who]()
            seconds[who].append(time.thread_time() - start)
    pairs = zip(seconds["bare"][5:], seconds["profiled"][5:], strict=True)
    ratio = statistics.median(profiled / bare for bare, profiled in pairs)
    with capsys.disabled():
        bare = 1e3 * statistics.median(seconds["bare"][5:])
        print(f"\nprofile+{name}: a step of {bare:.1f} ms takes {ratio - 1:+.1%}")
