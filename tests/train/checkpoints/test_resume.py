"""A resumed training ends with the bits of one that was never stopped; a refusal changes nothing."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from resumed import (
    BATCH,
    DATA,
    EPOCHS,
    STEPS,
    Average,
    Saver,
    Steps,
    bits,
    differing,
    fit,
    network,
    trainer_for,
)

from lamina.backends import Backend, DataError, OptionError, StateError, get_backend
from lamina.layers import Dropout, Linear, Sequential
from lamina.layers.losses import CrossEntropyLoss
from lamina.train import (
    SGD,
    Adam,
    BestWeights,
    CheckpointWarning,
    CosineAnnealingLR,
    EarlyStopping,
    Trainer,
)
from lamina.train.files import read_sealed, write_sealed
from lamina.train.loop.state import SEAL

MOMENTS = (1, STEPS - 1, STEPS, 2 * STEPS, 50, 63, EPOCHS * STEPS - 1, EPOCHS * STEPS)


@pytest.fixture(params=["eager", "jit"])
def spec(request: pytest.FixtureRequest, backend: Backend) -> str:
    if request.param == "jit":
        pytest.importorskip("llvmlite", reason="jit needs llvmlite")
        if "+" in backend.spec or backend.device != "cpu":
            pytest.skip("jit is innermost, and of the CPU")
        return f"jit+{backend.spec}"
    return backend.spec


def test_a_resumed_fit_ends_with_the_same_bits(spec: str, tmp_path: Path) -> None:
    whole = bits(fit(trainer_for(spec)))
    assert len(whole) > 20
    for at in MOMENTS:
        path = tmp_path / f"{at}.safetensors"
        saving = bits(fit(trainer_for(spec, Saver(path, at))))
        assert differing(whole, saving) == []  # the pauses change nothing
        resumed = trainer_for(spec, seed=99)
        assert resumed.resume(path) == path
        assert resumed.epoch == at // STEPS
        assert differing(whole, bits(fit(resumed))) == [], at


@pytest.mark.parametrize("options", [{"shuffle": False}, {"drop_last": True}])
def test_other_fits_are_resumed_too(options: dict[str, Any], spec: str, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    whole = bits(fit(trainer_for(spec, Saver(path, 33, 11)), **options))
    resumed = trainer_for(spec, seed=99)
    resumed.resume(path)
    assert differing(whole, bits(fit(resumed, **options))) == []


def test_a_fit_with_a_listener_is_resumed(spec: str, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    whole = bits(fit(trainer_for(spec, Saver(path, 33), Steps())))
    resumed = trainer_for(spec, Steps(), seed=99)
    resumed.resume(path)
    assert differing(whole, bits(fit(resumed))) == []


def test_a_checkpoint_of_one_backend_goes_on_on_another(backend64: Backend, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    whole = fit(trainer_for(backend64, Saver(path, 33)))
    for spec in ("numpy", "jit+numpy"):
        resumed = trainer_for(get_backend(spec, dtype="float64"), seed=99)
        resumed.resume(path)
        fit(resumed)
        for name, value in whole.model.state_dict().items():
            # Adam turns the rounding of the bias before a batch norm, whose gradient is 0, into steps.
            np.testing.assert_allclose(resumed.model.state_dict()[name], value, rtol=1e-9, atol=1e-9)
        losses = whole.history.column("train_loss")
        np.testing.assert_allclose(resumed.history.column("train_loss"), losses, rtol=1e-12)


def test_a_checkpoint_may_be_saved_in_each_method_of_a_callback(tmp_path: Path) -> None:
    class Late(Saver):
        def on_pause(self, trainer: Any) -> None:
            pass

        def on_step(self, trainer: Any, step: int) -> None:
            super().on_pause(trainer)

    for at in (20, 21, 22):
        path = tmp_path / f"{at}.safetensors"
        whole = bits(fit(trainer_for("numpy", Late(path, at))))
        resumed = trainer_for("numpy", Steps(), seed=99)
        resumed.resume(path)
        assert differing(whole, bits(fit(resumed))) == [], at


def test_a_trainer_is_saved_between_fits(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    first = fit(trainer_for("numpy"), 2)
    first.save(path, {"note": "half"})
    whole = bits(fit(first, 3))
    resumed = trainer_for("numpy", seed=99)
    resumed.resume(path)
    assert resumed.epoch == 2
    assert differing(whole, bits(fit(resumed, 3))) == []
    assert read_sealed("", path, SEAL).description["description"] == {"note": "half"}


def test_a_finished_fit_trains_nothing_more_but_for_more_epochs(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    whole = fit(trainer_for("numpy", Saver(path, EPOCHS * STEPS)))
    resumed = trainer_for("numpy", seed=99)
    resumed.resume(path)
    steps = resumed.optimizer.steps
    fit(resumed)
    assert (resumed.epoch, resumed.optimizer.steps) == (EPOCHS, steps)
    resumed.resume(path)
    fit(resumed, EPOCHS + 2)
    assert resumed.epoch == EPOCHS + 2
    assert [row["epoch"] for row in whole.history] == [1, 2, 3, 4, 5, 6]


def test_a_fit_that_stopped_early_stays_stopped(tmp_path: Path) -> None:
    def stopping(*more: Any) -> Trainer:
        b = get_backend("numpy")
        model = network(b)
        impatient = EarlyStopping("train_loss", 1, min_delta=1e9)
        return Trainer(
            model, CrossEntropyLoss(backend=b), SGD(model.parameters(), lr=0.0), callbacks=[impatient, *more]
        )

    path = tmp_path / "c.safetensors"
    first = fit(stopping(Saver(path, 2 * STEPS)), 5)
    assert first.epoch == 2
    resumed = stopping()
    resumed.resume(path)
    fit(resumed, 5)
    assert (resumed.epoch, resumed.stopped) == (2, first.stopped)
    assert "did not improve" in resumed.stopped


def test_the_seconds_of_an_epoch_add_up(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    fit(trainer_for("numpy", Saver(path, 5)))
    resumed = trainer_for("numpy")
    resumed.resume(path)
    position = resumed.saved_position()
    assert position is not None
    assert position.seconds > 0
    fit(resumed)
    assert resumed.history[0]["seconds"] > position.seconds


# -- what is refused --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "c.safetensors"
    fit(trainer_for("numpy", Saver(path, 33)))
    return path


def refused(trainer: Trainer, path: Path, *says: str) -> None:
    before = bits(trainer), trainer.seed, trainer.stopped
    with pytest.raises(DataError) as caught:
        trainer.resume(path)
    message = str(caught.value)
    for text in (str(path), *says):
        assert text in message
    assert (bits(trainer), trainer.seed, trainer.stopped) == before
    assert trainer.saved_position() is None


def other(model: Any = None, optimizer: Any = Adam, callbacks: Any = None, **options: Any) -> Trainer:
    b = get_backend("numpy")
    model = network(b, seed=5) if model is None else model
    if callbacks is None:
        callbacks = [EarlyStopping(patience=4), BestWeights(), Average()]
    options = {"schedule": CosineAnnealingLR(6), **options}
    loss = CrossEntropyLoss(backend=b)
    return Trainer(model, loss, optimizer(model.parameters(), lr=0.1), callbacks=callbacks, **options)


def test_a_checkpoint_of_another_training_says_what_differs(saved: Path) -> None:
    b = get_backend("numpy")
    refused(
        other(network(b, hidden=17)),
        saved,
        "expected layer '0': Linear(7 -> 17), got layer '0': Linear(7 -> 16)",
    )
    deeper = Sequential(*network(b), Linear(2, 2, backend=b))
    refused(other(deeper), saved, "expected layer '5': Linear(2 -> 2), got no more layers")
    shorter = Sequential(*list(network(b))[:4])
    refused(other(shorter), saved, "expected no more layers, got layer '4': Linear(16 -> 2)")
    p = Sequential(*[Dropout(0.4, backend=b) if isinstance(x, Dropout) else x for x in network(b)])
    refused(other(p), saved, "expected layer '3': Dropout(p=0.4), got layer '3': Dropout(p=0.3)")
    refused(other(optimizer=SGD), saved, "expected the optimizer to be SGD, got 'Adam'")
    refused(other(schedule=None), saved, "expected the schedule to be None, got 'CosineAnnealingLR'")
    refused(other(callbacks=[]), saved, "the states of the callbacks none, got 'EarlyStopping, ")
    b64 = get_backend("numpy", dtype="float64")
    model = network(b64)
    wide = Trainer(
        model,
        CrossEntropyLoss(backend=b64),
        Adam(model.parameters()),
        schedule=CosineAnnealingLR(6),
        callbacks=[EarlyStopping(patience=4), BestWeights(), Average()],
    )
    refused(wide, saved, "expected '0.weight' to be ((16, 7), 'float64'), got ((16, 7), 'float32')")


def test_a_layer_of_two_groups_is_not_one(saved: Path) -> None:
    trainer = other()
    halves = [
        {"params": list(trainer.model.parameters())[:2]},
        {"params": list(trainer.model.parameters())[2:]},
    ]
    trainer.optimizer = Adam(halves)
    refused(trainer, saved, "expected the state of 2 groups, got 1")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"batch_size": 11}, "batch_size of 10, as in the fit that was resumed, got 11"),
        ({"shuffle": False}, "shuffle of True"),
        ({"drop_last": True}, "drop_last of False"),
        ({"train": (DATA[0][0][:-5], DATA[0][1][:-5])}, "training samples of 205"),
        ({"validation": None}, "validation samples of 50"),
        ({"epochs": 0}, "epochs"),
    ],
)
def test_the_fit_that_goes_on_is_the_saved_one(saved: Path, changes: dict[str, Any], says: str) -> None:
    trainer = other()
    trainer.resume(saved)
    before = bits(trainer)
    arguments = {"train": DATA[0], "validation": DATA[1], "batch_size": BATCH, "epochs": EPOCHS}
    with pytest.raises(OptionError, match=says):
        trainer.fit(**(arguments | changes))
    assert bits(trainer) == before
    fit(trainer)  # it still goes on
    assert trainer.epoch == EPOCHS


def test_other_data_are_refused(saved: Path) -> None:
    trainer = other()
    trainer.resume(saved)
    changed = DATA[0][0].copy()
    changed[7, 3] += 1
    with pytest.raises(DataError, match="expected the data of the fit that was resumed"):
        trainer.fit((changed, DATA[0][1]), DATA[1], batch_size=BATCH, epochs=EPOCHS)


def test_fewer_epochs_than_are_done_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    fit(trainer_for("numpy", Saver(path, 3 * STEPS)))
    trainer = trainer_for("numpy")
    trainer.resume(path)
    with pytest.raises(OptionError, match=r"epochs of at least 3, which the fit .* has done, got 2"):
        fit(trainer, 2)


def test_no_fit_is_resumed_inside_another(saved: Path) -> None:
    class Inside(Saver):
        def on_pause(self, trainer: Any) -> None:
            trainer.resume(saved)

    with pytest.raises(StateError, match="expected no fit to run"):
        fit(trainer_for("numpy", Inside(saved, 1)))


def test_another_lamina_resumes_and_says_that_bits_may_differ(saved: Path, tmp_path: Path) -> None:
    arrays, description = read_sealed("", saved, SEAL)
    path = tmp_path / "old.safetensors"
    write_sealed(path, SEAL, arrays, {**description, "lamina": "0.0.7"})
    trainer = other()
    with pytest.warns(CheckpointWarning, match=r"written by Lamina 0\.0\.7, .*bits .* may differ"):
        trainer.resume(path)
    fit(trainer)
    assert trainer.epoch == EPOCHS


def test_the_newest_whole_file_of_a_folder_is_taken(saved: Path, tmp_path: Path) -> None:
    names = ["000008-epoch-1-step-12.safetensors", "000009-epoch-1-step-13.safetensors"]
    for name in names:
        (tmp_path / name).write_bytes(saved.read_bytes())
    (tmp_path / "000010-note.txt").write_text("no checkpoint")
    with warnings.catch_warnings():
        assert other().resume(tmp_path).name == names[1]
    (tmp_path / names[1]).write_bytes(saved.read_bytes()[:-1])
    with pytest.warns(CheckpointWarning, match="damaged.*The checkpoint before it is taken"):
        assert other().resume(tmp_path).name == names[0]
    (tmp_path / names[0]).write_bytes(b"")
    with pytest.warns(CheckpointWarning):
        refused(other(), tmp_path, names[0])
    for name in names:
        (tmp_path / name).unlink()
    refused(other(), tmp_path, "expected a folder with checkpoints, got one without")


def test_a_description_is_plain_json(saved: Path) -> None:
    description = read_sealed("", saved, SEAL).description
    assert json.loads(json.dumps(description)) == description
    assert {"lamina", "backend", "dtype", "parts", "modules", "state", "description"} == set(description)
