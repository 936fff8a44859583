"""`Checkpoints`: when it saves, what it keeps, and what happens if it cannot."""

from __future__ import annotations

import errno
import math
import os
import shutil
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
from resumed import BATCH, DATA, EPOCHS, STEPS, bits, differing, fit, trainer_for

from lamina.backends import DataError, OptionError
from lamina.train import Callback, Checkpoints, CheckpointWarning
from lamina.train.files import OutputError, claimed
from lamina.train.loop import checkpoints
from lamina.train.loop.checkpoints import interval


def names(folder: Path) -> list[str]:
    return sorted(path.name.removesuffix(".safetensors") for path in folder.iterdir())


class Waits(Callback):
    """Wait after each pause, so that the thread has written."""

    pause_steps = 1

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints

    def on_pause(self, trainer: Any) -> None:
        self.checkpoints._wait()


def saving(folder: Path, every: str, *more: Callback, **options: Any) -> Any:
    saves = Checkpoints(folder, every, **options)
    return trainer_for("numpy", saves, Waits(saves), *more)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("10s", (10, "s")),
        ("0.5 s", (0.5, "s")),
        ("1epoch", (1, "epoch")),
        ("5epochs", (5, "epoch")),
        ("1000steps", (1000, "step")),
        (" 2 steps ", (2, "step")),
    ],
)
def test_intervals(text: str, wanted: tuple[float, str]) -> None:
    assert interval("x", text) == wanted


@pytest.mark.parametrize(
    "text", ["", "10", "s", "0s", "-1s", "1.5epochs", "0steps", "1h", "nans", "1e3s", 5, None]
)
def test_other_intervals_are_refused(text: Any, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="Checkpoints: every: expected 10s, 5epochs or 1000steps"):
        Checkpoints(tmp_path, text)


@pytest.mark.parametrize(
    ("every", "wanted"),
    [
        ("2epochs", ["epoch-2-step-0", "epoch-4-step-0", "epoch-6-step-0"]),
        ("4epochs", ["epoch-4-step-0", "epoch-6-step-0"]),
        (
            "30steps",
            ["epoch-1-step-9", "epoch-2-step-18", "epoch-4-step-6", "epoch-5-step-15", "epoch-6-step-0"],
        ),
        ("60s", ["epoch-6-step-0"]),
    ],
)
def test_files_are_written_when_they_are_due(every: str, wanted: list[str], tmp_path: Path) -> None:
    whole = bits(fit(trainer_for("numpy")))
    trained = bits(fit(saving(tmp_path, every, keep=9)))
    assert differing(whole, trained) == []
    assert [name[7:] for name in names(tmp_path)] == wanted
    assert names(tmp_path)[0].startswith("000001-")


def test_time_is_looked_at_between_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(10**6))
    monkeypatch.setattr(
        checkpoints.time, "monotonic", lambda: 10.0 * next(ticks)
    )  # each look takes ten seconds
    monkeypatch.setattr(checkpoints.time, "time", lambda: -5.0)  # the clock of the wall jumps back
    fit(saving(tmp_path, "60s", keep=99))
    assert len(names(tmp_path)) > 3
    assert any(not name.endswith("step-0") for name in names(tmp_path))


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    class Scripted(Callback):
        """Give the history the scores of a script; NaN is worst."""

        scores = (math.nan, 3.0, 1.0, 2.0, 1.0, math.nan)

        def on_epoch_end(self, trainer: Any, row: Any) -> bool:
            trainer.history._rows[-1]["validation_loss"] = self.scores[trainer.epoch - 1]
            return False

    fit(saving(tmp_path, "1epoch", Scripted(), keep=2, best="validation_loss"))
    assert [name[7:14] for name in names(tmp_path)] == ["epoch-3", "epoch-5", "epoch-6"]


def test_a_training_goes_on_from_the_folder_into_the_folder(tmp_path: Path) -> None:
    class Dies(Callback):
        def on_step(self, trainer: Any, step: int) -> None:
            if trainer.position.total(trainer.epoch) == 70:
                raise ArithmeticError

    class Lives(Callback):
        def on_step(self, trainer: Any, step: int) -> None:
            pass

    whole = bits(fit(trainer_for("numpy", Lives())))
    folder = tmp_path / "new" / "checkpoints"
    with pytest.raises(ArithmeticError):
        fit(saving(folder, "16steps", Dies()))
    before = names(folder)
    assert before == ["000003-epoch-2-step-6", "000004-epoch-3-step-1"]
    (folder / ".lamina-0123456789abcdef.tmp").write_bytes(b"half a file of a process that was killed")
    resumed = saving(folder, "16steps", Lives())
    resumed.resume(folder)
    assert differing(whole, bits(fit(resumed))) == []
    assert names(folder) == ["000007-epoch-5-step-7", "000008-epoch-6-step-0"]


def test_a_script_that_resumes_if_it_can_may_run_again_and_again(tmp_path: Path) -> None:
    def script() -> Any:
        trainer = saving(tmp_path, "1epoch")
        if any(tmp_path.iterdir()):
            trainer.resume(tmp_path)
        return bits(fit(trainer))

    first = script()
    assert [differing(first, script()) for _ in range(2)] == [[], []]


def test_a_second_fit_uses_the_folder_again(tmp_path: Path) -> None:
    trainer = saving(tmp_path, "1epoch")
    fit(trainer, 2)
    fit(trainer, 2)
    assert names(tmp_path) == ["000003-epoch-3-step-0", "000004-epoch-4-step-0"]


def test_checkpoints_of_another_training_are_not_mixed_with_new_ones(tmp_path: Path) -> None:
    fit(saving(tmp_path, "1epoch"), 1)
    before = names(tmp_path)
    with pytest.raises(OutputError, match=r"without checkpoints.*resume it with trainer\.resume"):
        fit(saving(tmp_path, "1epoch"), 1)
    assert names(tmp_path) == before


def test_a_folder_has_one_training_at_a_time(tmp_path: Path) -> None:
    with claimed(tmp_path), pytest.raises(OutputError, match="in use by another run"):
        fit(saving(tmp_path, "1epoch"), 1)
    trainer = saving(tmp_path, "1epoch")
    with pytest.raises(OptionError, match="expected monitor"):
        fit(saving(tmp_path, "1epoch", best="nothing"), 1)
    fit(trainer, 1)  # the refused one has released it


@pytest.mark.parametrize("where", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_refused_before_the_training(where: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    trainer = saving(tmp_path / where, "1epoch")
    with pytest.raises(OutputError, match=f"Checkpoints: .*'{tmp_path / where}'"):
        fit(trainer)
    assert trainer.epoch == 0


class Unwritable(Callback):
    """A state that no file can hold, from the second epoch on."""

    def __init__(self, after: int) -> None:
        self.after, self.epochs = after, 0

    def on_epoch_end(self, trainer: Any, row: Any) -> bool:
        self.epochs += 1
        return False

    def state_dict(self) -> dict[str, Any]:
        return {"x": threading.Lock()} if self.epochs >= self.after else {}


def test_a_state_that_no_file_can_hold_is_refused_before_the_training(tmp_path: Path) -> None:
    trainer = saving(tmp_path, "1epoch", Unwritable(0))
    with pytest.raises(OptionError, match=r"Unwritable\.x: expected dicts, lists"):
        fit(trainer)
    assert trainer.epoch == 0


def test_a_state_that_no_file_can_hold_later_ends_no_training(tmp_path: Path) -> None:
    trainer = saving(tmp_path, "1epoch", Unwritable(3))
    with pytest.warns(
        CheckpointWarning, match=r"callbacks\.3\.1\.x: expected dicts.*The training goes on"
    ) as caught:
        fit(trainer)
    assert (len(caught), trainer.epoch) == (1, EPOCHS)
    assert names(tmp_path) == ["000001-epoch-1-step-0", "000002-epoch-2-step-0"]


class Breaks(Callback):
    """Break the disk after two epochs."""

    def __init__(self, how: Any) -> None:
        self.how = how

    def on_epoch_end(self, trainer: Any, row: Any) -> bool:
        if trainer.epoch == 3:
            self.how()
        return False


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_training_goes_on_if_a_disk_fails_and_says_so_once(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    whole = bits(fit(trainer_for("numpy")))
    trainer = saving(tmp_path, "1epoch", Breaks(lambda: monkeypatch.setattr(os, "fsync", full)))
    with pytest.warns(CheckpointWarning, match=f"{os.strerror(code)}.*The training goes on") as caught:
        trained = bits(fit(trainer))
    assert len(caught) == 1
    assert differing(whole, trained) == []
    assert names(tmp_path) == ["000001-epoch-1-step-0", "000002-epoch-2-step-0"]
    monkeypatch.undo()
    resumed = trainer_for("numpy", seed=9)
    resumed.resume(tmp_path)
    assert differing(whole, bits(fit(resumed))) == []


def test_training_goes_on_if_the_folder_vanishes_and_says_so_once(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    trainer = saving(folder, "1epoch", Breaks(lambda: shutil.rmtree(folder)))
    whole = bits(fit(trainer_for("numpy")))
    with pytest.warns(CheckpointWarning, match="the folder does not exist") as caught:
        trained = bits(fit(trainer))
    assert differing(whole, trained) == []
    assert len(caught) == 1
    assert not folder.exists()


def test_a_disk_that_works_again_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [False]

    def sometimes(descriptor: int) -> None:
        if broken[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class Script(Callback):
        def on_epoch_end(self, trainer: Any, row: Any) -> bool:
            broken[0] = trainer.epoch in (2, 3)
            return False

    monkeypatch.setattr(os, "fsync", sometimes)
    with pytest.warns(CheckpointWarning) as caught:
        fit(saving(tmp_path, "1epoch", Script(), keep=9))
    assert [name[7:14] for name in names(tmp_path)] == ["epoch-1", "epoch-4", "epoch-5", "epoch-6"]
    assert len(caught) == 1


def test_a_slow_disk_does_not_stop_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, began = threading.Event(), threading.Event()

    def slow(descriptor: int) -> None:
        began.set()
        assert release.wait(30)

    class Last(Callback):
        def on_epoch_end(self, trainer: Any, row: Any) -> bool:
            if trainer.epoch == 1:
                assert not began.is_set()
            if trainer.epoch == EPOCHS - 1:  # four epochs went by while one file was being written
                assert began.wait(30)
                assert not list(tmp_path.glob("*.safetensors"))
                release.set()
            return False

    monkeypatch.setattr(os, "fsync", slow)
    fit(trainer_for("numpy", Checkpoints(tmp_path, "1epoch", keep=9), Last()))
    # What was due meanwhile is written as one file, as soon as that is possible.
    assert names(tmp_path)[0] == "000001-epoch-1-step-0"
    assert names(tmp_path)[-1].endswith("epoch-6-step-0")


def test_a_defect_in_the_thread_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(checkpoints, "write_sealed", broken)
    with pytest.raises(ZeroDivisionError):
        fit(saving(tmp_path, "1epoch"))
    assert not any(thread.name == "lamina-checkpoint" for thread in threading.enumerate())


def test_the_thread_writes_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bits(fit(trainer_for("numpy")))
    write = checkpoints.write_sealed

    def late(*arguments: Any) -> None:
        time.sleep(0.05)  # the training takes many steps meanwhile
        write(*arguments)

    monkeypatch.setattr(checkpoints, "write_sealed", late)
    fit(trainer_for("numpy", Checkpoints(tmp_path, "5steps", keep=999)))
    files = sorted(tmp_path.glob("*.safetensors"))
    assert len(files) >= 2
    for path in files:
        resumed = trainer_for("numpy", seed=9)
        resumed.resume(path)
        assert differing(whole, bits(fit(resumed))) == [], path.name


def test_an_error_ends_the_thread_and_releases_the_folder(tmp_path: Path) -> None:
    def fails() -> None:
        raise DataError("expected no error, got one")

    with pytest.raises(DataError, match="expected no error"):
        fit(trainer_for("numpy", Checkpoints(tmp_path, "1epoch"), Breaks(fails)))
    with claimed(tmp_path):
        pass
    assert not any(thread.name == "lamina-checkpoint" for thread in threading.enumerate())


def test_a_warning_may_be_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(CheckpointWarning):
            fit(saving(tmp_path, "1epoch"))
    assert names(tmp_path) == []


def test_steps_between_pauses_are_steps(tmp_path: Path) -> None:
    class Counts(Callback):
        pause_steps = 4
        seen: list[int] = []  # noqa: RUF012

        def on_pause(self, trainer: Any) -> None:
            self.seen.append(trainer.position.total(trainer.epoch))

    trainer_for("numpy", Counts()).fit(*DATA, epochs=2, batch_size=BATCH)
    assert Counts.seen == [4, 8, 12, 16, 20, 21, 24, 28, 32, 36, 40, 42]
    assert STEPS == 21
