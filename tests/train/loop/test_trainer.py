"""The training loop: learning, unchanged state, and data and options that are refused before training."""

from __future__ import annotations

import contextlib
import copy
import itertools
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from trainers import LABELS, X, model_of, trainer_of, weights

from lamina.backends import (
    Backend,
    DataError,
    StateError,
    get_backend,
)
from lamina.layers import Linear, ReLU, Sequential
from lamina.layers.call import CHECKED_TARGETS, INFERENCE, REHEARSAL, TRAINING, Setting
from lamina.layers.losses import CrossEntropyLoss, MSELoss
from lamina.train import SGD, Adam, Callback, CosineAnnealingLR, RMSprop, Trainer
from lamina.train.data import order
from lamina.train.loop.samples import fitting_batch
from lamina.train.optimizers import Optimizer

# -- learning ------------------------------------------------------------------------------------------


def test_it_learns_and_records_a_history(backend: Backend) -> None:
    trainer = trainer_of(backend)
    history = trainer.fit((X, LABELS), (X[:20], LABELS[:20]), epochs=40, batch_size=16)
    assert history is trainer.history
    assert history.names == (
        "epoch",
        "learning_rate",
        "train_loss",
        "train_accuracy",
        "validation_loss",
        "validation_accuracy",
        "seconds",
    )
    assert history.column("train_loss")[-1] < 0.2 < history.column("train_loss")[0]
    scores = trainer.evaluate((X, LABELS))
    assert scores["accuracy"] >= 0.96
    predicted = trainer.predict(X, batch_size=7)
    assert predicted.shape == (50, 2)
    assert np.mean(predicted.argmax(axis=1) == LABELS) == pytest.approx(scores["accuracy"])


def test_the_first_epoch_by_hand(backend64: Backend) -> None:
    """The bare loop over the documented order of the rows gives the same bits."""
    b = backend64
    trainer = trainer_of(b, seed=3)
    trainer.fit((X, LABELS), epochs=1, batch_size=16)
    model, criterion = model_of(b), CrossEntropyLoss(backend=b)
    optimizer = Adam(model.parameters(), lr=0.01)
    rows = order(50, seed=3, epoch=0)
    total = 0.0
    for first in range(0, 50, 16):
        batch = rows[first : first + 16]
        optimizer.zero_grad()
        loss = criterion(model(b.from_host(X[batch])), b.from_host(LABELS[batch]))
        model.backward(criterion.backward())
        optimizer.step()
        total += b.item(loss) * len(batch)
    own = np.concatenate([value.ravel() for value in model.state_dict().values()])
    np.testing.assert_array_equal(weights(trainer), own)
    assert trainer.history[0]["train_loss"] == pytest.approx(total / 50, rel=1e-12)


def test_two_fits_are_one_longer_fit() -> None:
    once, twice = trainer_of(get_backend("numpy")), trainer_of(get_backend("numpy"))
    once.fit((X, LABELS), epochs=4, batch_size=16)
    twice.fit((X, LABELS), epochs=1, batch_size=16)
    twice.fit((X, LABELS), epochs=3, batch_size=16)
    np.testing.assert_array_equal(weights(once), weights(twice))
    np.testing.assert_array_equal(once.history.column("train_loss"), twice.history.column("train_loss"))
    np.testing.assert_array_equal(twice.history.column("epoch"), [1, 2, 3, 4])


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda trainer: pickle.loads(pickle.dumps(trainer))])
def test_a_copy_continues_with_the_same_bits(backend: Backend, twin_of: Callable[[Trainer], Trainer]) -> None:
    trainer = trainer_of(backend, schedule=CosineAnnealingLR(4))
    trainer.fit((X, LABELS), epochs=2, batch_size=16)
    twin = twin_of(trainer)
    for each in (trainer, twin):
        each.fit((X, LABELS), epochs=2, batch_size=16)
    np.testing.assert_array_equal(weights(trainer), weights(twin))
    np.testing.assert_array_equal(*(t.history.column("train_loss") for t in (trainer, twin)))


AVERAGING = [Adam, partial(SGD, momentum=0.9), partial(RMSprop, momentum=0.5, centered=True)]


@pytest.mark.parametrize("make", AVERAGING)
def test_moments_without_gradients_end_at_zero(backend: Backend, make: Callable[..., Optimizer]) -> None:
    """Of a dead ReLU; as denormal numbers they would stay, and slow down every step."""
    model = Sequential(Linear(3, 4, backend=backend), ReLU(backend), Linear(4, 2, backend=backend))
    trainer = Trainer(model, CrossEntropyLoss(backend=backend), make(model.parameters(), lr=1e-3))
    trainer.fit((X, LABELS), epochs=1, batch_size=10)
    model[0].load_state_dict({"weight": np.zeros((4, 3)), "bias": np.full(4, -1.0)})
    group = trainer.optimizer.groups[0]
    tiny = np.finfo(np.float32).tiny
    for name in trainer.optimizer.averages:
        backend.assign(group.cells[name], backend.full(backend.shape(group.cells[name]), float(tiny)))
    trainer.fit((X, LABELS), epochs=1, batch_size=10)
    for name in trainer.optimizer.averages:
        left = np.abs(group.host_cells()[name])
        assert (left[:16] == 0).all()  # of the first layer, which gets no gradients
        assert (left[16:] >= tiny).any()
        assert not ((left > 0) & (left < tiny)).any()


def test_a_schedule_sets_the_rate_of_each_epoch() -> None:
    schedule = CosineAnnealingLR(4)
    trainer = trainer_of(get_backend("numpy"), schedule=schedule)
    trainer.fit((X, LABELS), epochs=4)
    want = [0.01 * schedule(t) for t in range(4)]
    np.testing.assert_allclose(trainer.history.column("learning_rate"), want, rtol=1e-15)


def test_shuffling_can_be_off_and_batches_are_counted() -> None:
    class Steps(Callback):
        def __init__(self) -> None:
            self.steps: list[int] = []
            self.announced = 0

        def on_fit_start(self, trainer: Trainer, epochs: int, steps: int) -> None:
            self.announced = steps

        def on_step(self, trainer: Trainer, step: int) -> None:
            self.steps.append(step)

    for drop_last, batch_size, steps in ((False, 16, 4), (True, 16, 3), (False, 500, 1), (True, 50, 1)):
        seen = Steps()
        trainer = trainer_of(get_backend("numpy"), callbacks=[seen])
        trainer.fit((X, LABELS), epochs=1, batch_size=batch_size, drop_last=drop_last, shuffle=False)
        assert seen.steps == list(range(1, steps + 1))
        assert seen.announced == steps


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "int64", "uint8", "uint16"])
def test_labels_of_any_integer_dtype(kind: str) -> None:
    trainer = trainer_of(get_backend("numpy"))
    trainer.fit((X, LABELS.astype(kind)), epochs=1)
    assert "train_accuracy" in trainer.history.names


@pytest.mark.parametrize("option", ["clip_norm", "clip_value"])
def test_clipping_bounds_the_step(option: str) -> None:
    b = get_backend("numpy", dtype="float64")
    model = model_of(b)
    trainer = Trainer(model, CrossEntropyLoss(backend=b), SGD(model.parameters(), lr=1.0), **{option: 1e-3})  # type: ignore[arg-type]
    before = weights(trainer)
    trainer.fit((X, LABELS), epochs=1, batch_size=50)
    step = weights(trainer) - before
    size = np.linalg.norm(step) if option == "clip_norm" else np.abs(step).max()
    assert 0 < size <= 1e-3 * (1 + 1e-9)


# -- unchanged state ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [True, False])
def test_a_fit_changes_no_mode(mode: bool) -> None:
    class Fails(Callback):
        def on_step(self, trainer: Trainer, step: int) -> None:
            raise RuntimeError("stop here")

    trainer = trainer_of(get_backend("numpy"), callbacks=[Fails()])
    model = trainer.model
    model.train(mode)
    with pytest.raises(RuntimeError, match="stop here"):
        trainer.fit((X, LABELS), epochs=1)
    trainer.callbacks.clear()
    for call in (
        lambda: trainer.fit((X, LABELS), epochs=1),
        lambda: trainer.predict(X),
        lambda: trainer.evaluate((X, LABELS)),
    ):
        call()
        assert [m.training for _, m in model.named_modules()] == [mode] * 4


def test_evaluation_changes_no_weights_and_keeps_nothing_for_backward(backend: Backend) -> None:
    trainer = trainer_of(backend)
    before = weights(trainer)
    x, y = backend.from_host(X), backend.from_host(LABELS)
    trainer.loss(trainer.model(x), y)
    trainer.evaluate((X[:5], LABELS[:5]))
    np.testing.assert_array_equal(weights(trainer), before)
    with pytest.raises(StateError, match="backward needs"):  # not the gradient of other data
        trainer.loss.backward()


def test_every_callback_ends_even_if_one_fails() -> None:
    ended: list[str] = []

    class Ends(Callback):
        def __init__(self, name: str, fails: bool) -> None:
            self.name, self.fails = name, fails

        def on_fit_end(self, trainer: Trainer) -> None:
            ended.append(self.name)
            if self.fails:
                raise RuntimeError(self.name)

    trainer = trainer_of(
        get_backend("numpy"), callbacks=[Ends("a", False), Ends("b", True), Ends("c", False)]
    )
    with pytest.raises(RuntimeError, match="b"):
        trainer.fit((X, LABELS), epochs=1)
    assert ended == ["c", "b", "a"]


def test_an_interrupt_keeps_the_epochs_so_far() -> None:
    class Stops(Callback):
        def on_step(self, trainer: Trainer, step: int) -> None:
            if trainer.epoch == 2 and step == 2:
                raise KeyboardInterrupt

    trainer, whole = trainer_of(get_backend("numpy"), callbacks=[Stops()]), trainer_of(get_backend("numpy"))
    with pytest.raises(KeyboardInterrupt):
        trainer.fit((X, LABELS), epochs=5, batch_size=16)
    whole.fit((X, LABELS), epochs=2, batch_size=16)
    assert len(trainer.history) == trainer.epoch == 2
    np.testing.assert_array_equal(trainer.history.column("train_loss"), whole.history.column("train_loss"))
    assert not np.array_equal(weights(trainer), weights(whole))


@pytest.mark.parametrize("at", range(0, 16, 3))
def test_an_interrupt_at_the_end_of_a_block_leaves_no_setting_behind(
    at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, ended, ends = trainer_of(get_backend("numpy")), Setting.__exit__, itertools.count()

    def interrupted(setting: Setting[Any], *error: object) -> None:
        if next(ends) == at:
            raise KeyboardInterrupt
        ended(setting, *error)

    monkeypatch.setattr(Setting, "__exit__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit((X, LABELS), (X, LABELS), epochs=3, batch_size=25)
    assert (TRAINING.get(), INFERENCE.get(), CHECKED_TARGETS.get(), REHEARSAL.get()) == (None, *3 * [False])
    assert len(trainer.history) == trainer.epoch <= 3


# -- faults of the data --------------------------------------------------------------------------------------


def test_batches_are_as_large_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, sizes = trainer_of(get_backend("numpy")), set[int]()
    forward = Linear.forward

    def watched(layer: Linear, x: Any) -> Any:
        sizes.add(layer.backend.shape(x)[0])
        return forward(layer, x)

    monkeypatch.setattr(Linear, "forward", watched)
    trainer.fit((X, LABELS), (X, LABELS), epochs=1, batch_size=4)
    assert sizes == {4, 2}
    sizes.clear()
    many = np.zeros((1200, 3))
    for call in (lambda: trainer.predict(many), lambda: trainer.evaluate((many, np.zeros(1200, int)))):
        call()
        assert sizes == {1024, 176}
    assert [fitting_batch((9, *shape)) for shape in ((), (2,), (3, 32, 32), (3, 512, 512))] == [
        1024,
        1024,
        85,
        1,
    ]


def test_a_nan_loss_stops_with_advice(backend: Backend) -> None:
    trainer = trainer_of(backend, MSELoss(backend=backend), 1)
    y = X[:, :1].copy()
    y[0] = np.nan
    trainer.fit((X, y), epochs=5)
    assert len(trainer.history) == 1
    assert trainer.exploded
    assert trainer.stopped == (
        "the training loss became nan in epoch 1; the data have NaN or infinity in the targets of 1 rows; "
        "the first is row 0 (from 0); remove these samples, or replace the values"
    )


def test_an_explosion_is_the_learning_rates_fault_if_the_data_are_finite() -> None:
    b = get_backend("numpy")
    model = model_of(b, 1)
    trainer = Trainer(model, MSELoss(backend=b), SGD(model.parameters(), lr=1e30))
    trainer.fit((X, X[:, :1]), epochs=5)
    assert trainer.exploded
    assert "in epoch 1; the data are finite; try a smaller learning rate than 1e+30" in trainer.stopped


@pytest.mark.parametrize("fails", [False, True])
def test_a_fit_checks_targets_once(monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    class Fails(Callback):
        def on_step(self, trainer: Trainer, step: int) -> None:
            if fails:
                raise RuntimeError

    trainer = trainer_of(get_backend("numpy"), callbacks=[Fails()])
    calls: list[int] = []
    check = trainer.loss.check_targets
    monkeypatch.setattr(trainer.loss, "check_targets", lambda *args: calls.append(1) or check(*args))
    with pytest.raises(RuntimeError) if fails else contextlib.nullcontext():
        trainer.fit((X, LABELS), epochs=3, batch_size=5)
    assert len(calls) == 1  # the whole data set
    with pytest.raises(DataError, match="class numbers from 0 to 1, got 2"):
        trainer.loss(trainer.model(trainer.backend.from_host(X)), trainer.backend.from_host(LABELS + 1))
