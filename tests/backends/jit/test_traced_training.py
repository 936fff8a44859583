"""Steps of every layer, loss and optimizer: the program has the results and the cells of eager code."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from rows import each, of_each_class
from steps import PASSES, Steps, jit_around

from lamina.backends import Backend
from lamina.backends.host import Host
from lamina.layers import (
    BatchNorm1d,
    CrossEntropyLoss,
    Dropout,
    L2Penalty,
    Linear,
    ReLU,
    Sequential,
    Tanh,
)
from lamina.layers.proofs import LAYER_CASES, LOSS_CASES
from lamina.layers.random import seeded
from lamina.train import Callback, ExponentialLR, Trainer
from lamina.train.optimizers import SGD, AdamW
from lamina.train.optimizers.proofs import OPTIMIZER_CASES


def equal(actual: list[Host], expected: list[Host]) -> None:
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def layer_steps(case: Any, b: Backend) -> Steps:
    layer = case.build(b)
    parameters = layer.parameters()
    return Steps(layer, SGD(parameters, lr=0.05, momentum=0.9) if list(parameters) else None, case.inputs())


FIRST = of_each_class(LAYER_CASES)


@each(LAYER_CASES)
def test_layers(case: Any, backend64: Backend) -> None:
    """On torch one row of each class: the programs are those of numpy."""
    b = jit_around(backend64)
    if b.inner.name != "numpy" and case not in FIRST:
        return
    expected = layer_steps(case, b).eager(3)
    naive = case.name.startswith("Naive")  # hundreds of instructions, which the passes need not see
    equal(layer_steps(case, b).compiled(3, *(() if naive else PASSES)), expected)


@each(LOSS_CASES)
def test_losses(case: Any, backend64: Backend) -> None:
    b = jit_around(backend64)
    loss = case.build(b)
    loss.validate = False  # a trainer checks the values of all targets before it trains
    steps = Steps(loss, None, case.inputs())
    for passes in ((), PASSES):
        equal(steps.compiled(1, *passes), steps.eager(1))


@each(OPTIMIZER_CASES)
def test_optimizers(case: Any, backend64: Backend) -> None:
    """Twelve steps: Adam's corrections and Adagrad's rates change in each."""
    b = jit_around(backend64)

    def made() -> Steps:
        with seeded(3):
            model = Sequential(Linear(3, 4, backend=b), Tanh(backend=b), Linear(4, 2, backend=b))
        x = np.random.default_rng(0).standard_normal((5, 3))
        return Steps(model, case.make(model.parameters()), [x])

    expected = made().eager(12)
    for passes in ((), PASSES):
        equal(made().compiled(12, *passes), expected)


class Changes(Callback):
    """Changes options in the middle of a fit."""

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> bool:
        dropout: Any = trainer.model[3]  # type: ignore[index]
        group = trainer.optimizer.groups[0]
        if trainer.epoch == 2:
            dropout.p = 0.5
        if trainer.epoch == 3:
            group.options["weight_decay"] = 0.2
            group.options["lr"] *= 2.0
        return False


def fitted(b: Any) -> list[Any]:
    """Return the history, the state and the predictions of a fit in which much changes."""
    source = np.random.default_rng(0)
    x, labels = source.standard_normal((50, 6)), source.integers(0, 3, 50)
    with seeded(1):
        model = Sequential(
            Linear(6, 8, backend=b),
            BatchNorm1d(8, momentum=None, backend=b),
            ReLU(backend=b),
            Dropout(0.2, backend=b),
            Linear(8, 3, backend=b),
            backend=b,
        )
    trainer = Trainer(
        model,
        CrossEntropyLoss(backend=b),
        AdamW(model.parameters(), lr=0.02),
        schedule=ExponentialLR(0.9),
        callbacks=[Changes()],
        penalty=L2Penalty(model.parameters(), 0.01),
        clip_norm=1.0,
    )
    history = trainer.fit((x[:37], labels[:37]), (x[37:], labels[37:]), epochs=5, batch_size=8)
    columns = [history.column(name) for name in trainer.columns if name != "seconds"]
    return [*map(np.asarray, columns), *model.state_dict().values(), trainer.predict(x)]


def test_a_fit_in_which_options_change(backend64: Backend) -> None:
    """25 steps: rates that decay, masks, counters, corrections, and tails of 5 rows."""
    for one, other in zip(fitted(jit_around(backend64)), fitted(backend64.raw), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def test_two_threads_fit_at_once(backend64: Backend) -> None:
    b, found = jit_around(backend64), list[list[Any]]()
    threads = [threading.Thread(target=lambda: found.append(fitted(b))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other, alone in zip(*found, fitted(b), strict=True):
        assert np.array_equal(one, alone, equal_nan=True)
        assert np.array_equal(other, alone, equal_nan=True)
