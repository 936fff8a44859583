"""A NaN or infinity in a training: steps that are skipped leave no trace, and the first one is located."""

from __future__ import annotations

import copy
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from resumed import BATCH, DATA, X, Y, bits, differing, fit, trainer_for

from lamina.backends import Backend, get_backend
from lamina.layers import L2Penalty, Linear, Module, ReLU, Sequential, manual_seed
from lamina.layers.losses import CrossEntropyLoss, MSELoss
from lamina.train import SGD, Adam, BestWeights, Callback, Checkpoints, RMSprop, Trainer, larger_is_better

BAD = X.copy()
BAD[57, 3], BAD[123, 0], BAD[201, 1] = np.nan, np.inf, -np.inf
GOOD = [i for i in range(len(X)) if i // BATCH not in (5, 12, 20)]


@pytest.fixture(params=["eager", "jit"])
def spec(request: pytest.FixtureRequest, backend: Backend) -> str:
    if request.param == "jit":
        pytest.importorskip("llvmlite", reason="jit needs llvmlite")
        if backend.device != "cpu":
            pytest.skip("jit is of the CPU")
        return f"jit+{backend.spec}"
    return backend.spec


class Listener(Callback):
    def __init__(self) -> None:
        self.heard = 0

    def on_step(self, trainer: Any, step: int) -> None:
        self.heard += 1


def fit_on(trainer: Trainer, x: Any, y: Any, **options: Any) -> Trainer:
    trainer.fit((x, y), DATA[1], epochs=3, batch_size=BATCH, shuffle=False, **options)
    return trainer


def without_counts(trainer: Trainer) -> dict[str, Any]:
    """Return the bits of a training, without the column that counts skipped steps."""
    for row in trainer.history._rows:
        row.pop("skipped_steps", None)
    return bits(trainer)


def test_a_skipped_batch_leaves_no_trace(spec: str) -> None:
    skipping = fit_on(trainer_for(spec, skip_nonfinite=True), BAD, Y)
    assert skipping.skipped == 9
    assert [row["skipped_steps"] for row in skipping.history] == [3, 3, 3]
    assert skipping.columns[-2:] == ("skipped_steps", "seconds")
    assert not skipping.exploded
    without = fit_on(trainer_for(spec, skip_nonfinite=True), X[GOOD], Y[GOOD])
    assert without.skipped == 0
    assert differing(without_counts(skipping), without_counts(without)) == []
    if not spec.startswith("jit"):  # the guard changes which ops a compiled step fuses, so its rounding
        assert differing(bits(without), bits(fit_on(trainer_for(spec), X[GOOD], Y[GOOD]))) == []


def test_a_step_is_skipped_for_its_gradient_alone(spec: str) -> None:
    """The root has no slope at 0: the loss is finite, its gradient is not."""

    def trained(x: Any, **options: Any) -> Trainer:
        manual_seed(0)
        b = get_backend(spec)
        model = Sequential(Linear(2, 3, bias=False, backend=b), Root(b))
        optimizer = RMSprop(model.parameters(), lr=0.01, momentum=0.5)
        penalty = L2Penalty(model.parameters(), 1e-3)
        trainer = Trainer(model, MSELoss(backend=b), optimizer, penalty=penalty, clip_norm=1.0, **options)
        trainer.fit((x, np.ones((len(x), 3))), epochs=2, batch_size=2, shuffle=False)
        return trainer

    x = np.random.default_rng(0).normal(size=(8, 2))
    with_zeros = np.concatenate([x[:4], np.zeros((2, 2)), x[4:]])
    ours, theirs = (trained(rows, skip_nonfinite=True) for rows in (with_zeros, x))
    assert (ours.skipped, theirs.skipped) == (2, 0)
    assert differing(without_counts(ours), without_counts(theirs)) == []
    traced = trained(with_zeros, trace_nonfinite=True)
    place = "the backward pass of layer '1' (Root())"
    assert traced.nonfinite == f"NaN first appeared in {place}, in step 3 of epoch 1"


class Root(Module):
    """y = √|x|."""

    def forward(self, x: Any) -> Any:
        b = self.backend
        y = b.sqrt(b.abs(x))
        self.keep(b.sign(x), y)
        return y

    def backward(self, grad_output: Any) -> Any:
        b, (sign, y) = self.backend, self.kept()
        return b.multiply(grad_output, b.divide(b.multiply(sign, 0.5), y))


def test_skips_in_a_fit_with_a_listener_a_metric_and_a_monitored_training_loss(spec: str) -> None:
    def trained(x: Any, y: Any) -> tuple[Trainer, Listener]:
        listener = Listener()
        largest = larger_is_better(lambda outputs, targets: float(outputs.max()))
        metrics = {"largest": largest}
        trainer = trainer_for(spec, listener, BestWeights("train_loss"), skip_nonfinite=True, metrics=metrics)
        return fit_on(trainer, x, y), listener

    (ours, heard), (theirs, fewer) = trained(BAD, Y), trained(X[GOOD], Y[GOOD])
    assert (heard.heard, fewer.heard) == (3 * 21, 3 * 18)
    assert math.isfinite(ours.history[0]["train_largest"])
    assert differing(without_counts(ours), without_counts(theirs)) == []


def test_a_training_with_skips_is_resumed(spec: str, tmp_path: Path) -> None:
    class Save(Callback):
        pause_steps = 1

        def on_pause(self, trainer: Any) -> None:
            if trainer.position.total(trainer.epoch) == 34:
                trainer.save(tmp_path / "c")

    whole = fit_on(trainer_for(spec, Save(), skip_nonfinite=True), BAD, Y)
    resumed = trainer_for(spec, skip_nonfinite=True, seed=99)
    resumed.resume(tmp_path / "c")
    assert differing(bits(whole), bits(fit_on(resumed, BAD, Y))) == []
    assert resumed.skipped == 9


def test_a_fit_without_a_step_that_can_be_taken_says_so(spec: str) -> None:
    trainer = fit_on(trainer_for(spec, skip_nonfinite=True), np.full_like(X, np.nan), Y)
    assert trainer.exploded
    assert trainer.skipped == 21
    assert trainer.optimizer.steps == 0
    assert trainer.stopped.startswith("all steps of epoch 1 were skipped; the data have NaN")
    assert math.isnan(trainer.history[0]["train_loss"])
    assert math.isnan(trainer.history[0]["train_accuracy"])


def test_copies_and_later_fits_skip_too(spec: str) -> None:
    trainer = fit_on(trainer_for(spec, skip_nonfinite=True), BAD, Y)
    copied = [copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer)), trainer]
    ends = [bits(fit_on(one, BAD, Y)) for one in copied]
    assert [one.skipped for one in copied] == [18, 18, 18]
    assert differing(ends[0], ends[2]) == differing(ends[1], ends[2]) == []


def test_both_at_once_trace_the_first_skip_and_change_nothing(spec: str) -> None:
    one = fit_on(trainer_for(spec, skip_nonfinite=True, trace_nonfinite=True), BAD, Y)
    assert one.nonfinite == "NaN first appeared in the inputs, in step 6 of epoch 1"
    assert differing(bits(one), bits(fit_on(trainer_for(spec, skip_nonfinite=True), BAD, Y))) == []


def exploding(spec: str, optimizer: Any = SGD, lr: float = 0.01, **options: Any) -> Trainer:
    manual_seed(0)
    b = get_backend(spec)
    model = Sequential(Linear(7, 4, backend=b), ReLU(b), Linear(4, 2, backend=b))
    return Trainer(model, CrossEntropyLoss(backend=b), optimizer(model.parameters(), lr=lr), **options)


def test_the_layer_and_the_pass_are_named(spec: str) -> None:
    trainer = exploding(spec, lr=1e22, trace_nonfinite=True)
    trainer.fit((X, Y), epochs=2, batch_size=BATCH)
    assert trainer.exploded
    assert trainer.nonfinite == (
        "infinity first appeared in the forward pass of layer '2' (Linear(4 -> 2)), in step 2 of epoch 1"
    )
    assert trainer.stopped == (
        f"the training loss became nan in epoch 1; {trainer.nonfinite}; "
        "the data are finite; try a smaller learning rate than 1e+22"
    )


def test_an_update_that_breaks_a_parameter_is_named(spec: str) -> None:
    trainer = exploding(spec, lr=3e38, trace_nonfinite=True)
    trainer.fit((X * 1e3, Y), epochs=1, batch_size=len(X))
    assert trainer.nonfinite == "infinity first appeared in '0.weight' after the update, in step 1 of epoch 1"


def test_a_finite_training_is_traced_without_a_trace(spec: str) -> None:
    trainer, plain = fit(trainer_for(spec, trace_nonfinite=True)), fit(trainer_for(spec))
    assert trainer.nonfinite == ""
    assert differing(bits(trainer), bits(plain)) == []
    own = [
        [name for name, module in t.model.named_modules() if "forward" in vars(module)]
        for t in (trainer, plain)
    ]
    assert own[0] == own[1]


def test_a_repetition_that_stays_finite_says_so() -> None:
    class Fault(Module):
        """The first pass has an infinity; no other has one, as with a race."""

        passes = 0

        def forward(self, x: Any) -> Any:
            self.keep()
            if self.training:
                Fault.passes += 1
            return self.backend.multiply(x, math.inf) if Fault.passes == 2 else x  # 1 is the rehearsal

        def backward(self, grad_output: Any) -> Any:
            return grad_output

    b = get_backend("numpy")
    manual_seed(0)
    model = Sequential(Linear(7, 2, backend=b), Fault(b))
    trainer = Trainer(
        model, CrossEntropyLoss(backend=b), Adam(model.parameters(), lr=0.01), trace_nonfinite=True
    )
    trainer.fit((X, Y), epochs=1, batch_size=len(X))
    assert "repeated op by op from its start, the epoch stayed finite" in trainer.stopped


def test_an_epoch_that_was_resumed_is_repeated_from_there(spec: str, tmp_path: Path) -> None:
    class Save(Callback):
        pause_steps = 3

        def on_pause(self, trainer: Any) -> None:
            if trainer.position.total(trainer.epoch) == 3:
                trainer.save(tmp_path / "c")

    fit_on(trainer_for(spec, Save(), trace_nonfinite=True), BAD, Y)
    resumed = trainer_for(spec, trace_nonfinite=True)
    resumed.resume(tmp_path / "c")
    fit_on(resumed, BAD, Y)
    assert resumed.nonfinite == "NaN first appeared in the inputs, in step 6 of epoch 1"


def test_checkpoints_of_a_skipping_training_are_whole(spec: str, tmp_path: Path) -> None:
    fit_on(trainer_for(spec, Checkpoints(tmp_path / "c", "5steps"), skip_nonfinite=True), BAD, Y)
    resumed = trainer_for(spec, Checkpoints(tmp_path / "c", "5steps"), skip_nonfinite=True)
    resumed.resume(tmp_path / "c")
    assert resumed.skipped == 9
