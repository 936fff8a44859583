"""Early stopping, the best weights and the progress bar, in a fit with scripted losses."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from lamina.backends import OptionError, get_backend
from lamina.layers import Linear, manual_seed
from lamina.layers.losses import MSELoss
from lamina.train import (
    SGD,
    BestWeights,
    Callback,
    EarlyStopping,
    ProgressBar,
    Trainer,
    larger_is_better,
    smaller_is_better,
)
from lamina.train.loop.callbacks import Row
from lamina.train.loop.metrics import mean_squared_error, r2

X = np.linspace(-1, 1, 12).reshape(6, 2)
Y = X[:, :1]


def trainer_with(*callbacks: Callback, lr: float = 0.1) -> Trainer:
    b = get_backend("numpy", dtype="float64")
    manual_seed(0)
    model = Linear(2, 1, backend=b)
    return Trainer(model, MSELoss(backend=b), SGD(model.parameters(), lr=lr), callbacks=callbacks)


class Script(Callback):
    """Replaces the training loss, for the callbacks after it."""

    def __init__(self, *losses: float) -> None:
        self.losses = iter(losses)

    def on_epoch_end(self, trainer: Trainer, row: Row) -> bool:
        row["train_loss"] = next(self.losses)
        return False


@pytest.mark.parametrize(
    ("losses", "options", "epochs"),
    [
        ((5, 4, 3, 2, 1), {}, 5),
        ((5, 4, 4, 4, 1), {}, 4),
        ((5, 4, 4.5, 3, 3, 3), {}, 6),
        ((5, 4.9, 4.8, 1), {"min_delta": 0.5}, 3),
        ((1, 2, 3, 2, 2), {"mode": "max"}, 5),
        ((5, 5, 5), {"patience": 1}, 2),
    ],
)
def test_early_stopping(losses: tuple[float, ...], options: dict[str, Any], epochs: int) -> None:
    stopping = EarlyStopping("train_loss", **{"patience": 2, **options})
    trainer = trainer_with(Script(*losses), stopping)
    trainer.fit((X, Y), epochs=len(losses))
    assert trainer.epoch == epochs
    assert bool(trainer.stopped) == (stopping.waited >= stopping.patience)
    if trainer.stopped:
        assert trainer.stopped == f"train_loss did not improve for {stopping.patience} epochs"


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_the_worst(mode: Any, value: float) -> None:
    stopping = EarlyStopping("train_loss", 2, mode=mode)
    row = {"train_loss": value}
    assert not stopping.improved(row)
    assert stopping.improved({"train_loss": 3.0})
    assert not stopping.improved(row)
    assert stopping.improved({"train_loss": 2.0 if mode == "min" else 4.0})


def test_an_exploded_model_is_never_the_best() -> None:
    best = BestWeights("train_loss")
    trainer = trainer_with(best, lr=1e38)
    trainer.fit((X, Y), epochs=5, batch_size=1)
    assert trainer.exploded
    assert (best.state, best.epoch) == (None, 0)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_the_best_training_loss_is_that_of_the_kept_weights(seed: int, batch_size: int) -> None:
    """The learning rate is too large, so the losses before the steps are far from those after them."""
    best = BestWeights("train_loss")
    trainer = trainer_with(best, lr=1.9)
    trainer.seed = seed
    history = trainer.fit((X, Y), epochs=6, batch_size=batch_size)
    kept = trainer.evaluate((X, Y))["loss"]
    assert kept == pytest.approx(history.column("train_loss").min(), rel=1e-12)
    assert kept == pytest.approx(best.best, rel=1e-12)
    assert history.best("train_loss", "min")["epoch"] == best.epoch


def test_a_refused_fit_puts_no_other_weights_back() -> None:
    best = BestWeights("train_loss")
    trainer_with(best).fit((X, Y), epochs=2)
    other = trainer_with(best)
    before = other.model.state_dict()
    best.monitor = "validation_loss"
    with pytest.raises(OptionError, match="expected monitor to be a column of this fit"):
        other.fit((X, Y), epochs=1)
    for name, value in other.model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_best_weights_are_restored_after_early_stopping() -> None:
    best, states = BestWeights("train_loss"), []

    class Records(Callback):
        def on_epoch_end(self, trainer: Trainer, row: Row) -> bool:
            states.append(trainer.model.state_dict())
            return False

    script = Script(3, 1, 2, 2, 0)
    trainer = trainer_with(script, Records(), EarlyStopping("train_loss", 2), best)
    trainer.fit((X, Y), epochs=5)
    assert (trainer.epoch, best.epoch) == (4, 2)
    for name, value in trainer.model.state_dict().items():
        np.testing.assert_array_equal(value, states[1][name])
        assert not np.array_equal(value, states[3][name])


def test_best_weights_after_an_interrupt_and_in_a_second_fit() -> None:
    class Stops(Callback):
        def on_step(self, trainer: Trainer, step: int) -> None:
            if trainer.epoch == 2:
                raise KeyboardInterrupt

    best, stops = BestWeights("train_loss"), Stops()
    trainer = trainer_with(best, stops)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit((X, Y), epochs=5)
    assert best.epoch == 2
    assert best.state is not None
    np.testing.assert_array_equal(trainer.model.state_dict()["weight"], best.state["weight"])
    trainer.callbacks.remove(stops)
    trainer.fit((X, Y), epochs=1)
    assert best.epoch == 3


def test_the_mode_follows_the_name() -> None:
    assert EarlyStopping("validation_accuracy").mode == "max"
    assert EarlyStopping("validation_loss").mode == "min"
    assert EarlyStopping("validation_accuracy", mode="min").mode == "min"
    assert EarlyStopping("validation_inaccuracy").mode is None


def error(outputs: Any, targets: Any) -> float:
    return float(np.abs(outputs - targets).max())


@pytest.mark.parametrize(
    ("metric", "mode", "expected"),
    [
        (r2, None, "max"),
        (mean_squared_error, None, "min"),
        (r2, "min", "min"),
        (error, "max", "max"),
        (larger_is_better(error), None, "max"),
        (smaller_is_better(error), None, "min"),
        (smaller_is_better(r2), None, "min"),
    ],
)
@pytest.mark.parametrize("kind", [EarlyStopping, BestWeights])
def test_a_metric_or_the_callback_states_what_is_better(
    kind: Any, metric: Any, mode: Any, expected: str
) -> None:
    callback = kind("train_own", mode=mode)
    trainer = trainer_with(callback)
    trainer.metrics = {"own": metric}
    trainer.fit((X, Y), epochs=3)
    assert callback.mode == expected
    values = trainer.history.column("train_own")
    assert callback.best == (values.min() if expected == "min" else values.max())


def test_callbacks_run_in_order_and_end_in_reverse() -> None:
    calls: list[str] = []

    class Records(Callback):
        def __init__(self, name: str) -> None:
            self.name = name

        def on_fit_start(self, trainer: Trainer, epochs: int, steps: int) -> None:
            calls.append(f"{self.name} start {epochs} {steps}")

        def on_epoch_end(self, trainer: Trainer, row: Row) -> bool:
            calls.append(f"{self.name} epoch {row['epoch']:.0f}")
            return self.name == "a"

        def on_fit_end(self, trainer: Trainer) -> None:
            calls.append(f"{self.name} end")

    trainer_with(Records("a"), Records("b")).fit((X, Y), epochs=3, batch_size=4)
    assert calls == ["a start 3 2", "b start 3 2", "a epoch 1", "b epoch 1", "b end", "a end"]


def test_the_progress_bar_fits_a_narrow_terminal() -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=80, force_terminal=True, color_system=None)
    trainer = trainer_with(ProgressBar(console))
    trainer.fit((X, Y), (X, Y), epochs=1200, batch_size=6)
    last = [line for line in screen.getvalue().replace("\r", "\n").splitlines() if "1200/1200" in line]
    assert last, screen.getvalue()[-500:]
    assert "validation" in last[-1]
