"""A signal that asks a fit with checkpoints to stop: it is saved, and goes on with the same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import signalled
from resumed import STEPS, bits, differing, fit, trainer_for

from lamina.train import Callback, Checkpoints, CheckpointWarning
from lamina.train.loop.checkpoint_folder import checkpoints_in
from lamina.train.loop.signals import ASKING, Terminated, handled
from lamina.train.loop.trainer import Trainer

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows sends no signal to one process")
STOPS = [
    (signal.SIGINT, KeyboardInterrupt, None),
    (signal.SIGTERM, SystemExit, 143),
    (signal.SIGHUP, SystemExit, 129),
]


class Send(Callback):
    """Send signals to this process after a step of a fit."""

    def __init__(self, at: int, *numbers: int) -> None:
        self.at, self.numbers = at, numbers

    def on_step(self, trainer: Any, step: int) -> None:
        if trainer.position.total(trainer.epoch) == self.at:
            for number in self.numbers:
                os.kill(os.getpid(), number)


def now() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in ASKING}


@pytest.mark.parametrize(("number", "error", "code"), STOPS)
@pytest.mark.parametrize("at", [5, STEPS, 40])
def test_a_signal_saves_the_fit_after_its_step(
    number: int, error: type[BaseException], code: int | None, at: int, tmp_path: Path
) -> None:
    before, whole = now(), bits(fit(trainer_for("numpy")))
    stopped = trainer_for("numpy", Send(at, number), Checkpoints(tmp_path))
    with pytest.raises(error) as caught:
        fit(stopped)
    assert getattr(caught.value, "code", None) == code
    assert now() == before
    (path,) = checkpoints_in(tmp_path)
    # A run lasts until the next pause: here one of 1, 8, 64 steps or the epoch's rest.
    epoch, step = (int(path.stem.split("-")[i]) for i in (2, 4))
    assert epoch * STEPS + step >= at
    resumed = trainer_for("numpy", Send(0), Checkpoints(tmp_path))
    resumed.resume(tmp_path)
    assert differing(whole, bits(fit(resumed))) == []


def test_a_signal_cuts_the_scoring_of_an_epoch_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = Trainer.score, []

    def slow(self: Trainer, *arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        return real(self, *arguments, **options)

    whole = bits(fit(trainer_for("numpy")))
    monkeypatch.setattr(Trainer, "score", slow)
    began = time.monotonic()
    with pytest.raises(Terminated):
        fit(trainer_for("numpy", Checkpoints(tmp_path)))
    assert time.monotonic() - began < 30
    (path,) = checkpoints_in(tmp_path)
    assert path.name.endswith(f"-epoch-1-step-{STEPS}.safetensors")
    resumed = trainer_for("numpy", Checkpoints(tmp_path))
    resumed.resume(tmp_path)
    assert differing(whole, bits(fit(resumed))) == []


def test_a_signal_after_the_last_checkpoint_is_raised_too(tmp_path: Path) -> None:
    class Late(Callback):
        def on_fit_end(self, trainer: Any) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="the training is saved"):
        fit(trainer_for("numpy", Checkpoints(tmp_path), Late()))
    resumed = trainer_for("numpy", Checkpoints(tmp_path))
    resumed.resume(tmp_path)
    assert differing(bits(fit(trainer_for("numpy"))), bits(fit(resumed))) == []


def test_a_second_signal_ends_the_fit_at_once(tmp_path: Path) -> None:
    before = now()
    saves = Checkpoints(tmp_path)
    with pytest.raises(Terminated):
        fit(trainer_for("numpy", Send(7, signal.SIGINT, signal.SIGTERM), saves))
    assert saves.hurried
    assert checkpoints_in(tmp_path) == []
    assert now() == before


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda number, frame: HEARD.append(number)])
def test_a_handler_of_the_user_stays(handler: Any, tmp_path: Path) -> None:
    HEARD.clear()
    before = {number: signal.signal(number, handler) for number in ASKING}
    try:
        fit(trainer_for("numpy", Send(9, *ASKING), Checkpoints(tmp_path)))
        assert all(found is handler for found in now().values())
    finally:
        for number, old in before.items():
            signal.signal(number, old)
    assert handler is signal.SIG_IGN or sorted(HEARD) == sorted(ASKING)


HEARD: list[int] = []


def test_a_handler_that_is_set_in_a_fit_stays(tmp_path: Path) -> None:
    def own(number: int, frame: Any) -> None:
        raise AssertionError

    class Sets(Callback):
        def on_step(self, trainer: Any, step: int) -> None:
            signal.signal(signal.SIGTERM, own)

    before = signal.getsignal(signal.SIGTERM)
    try:
        fit(trainer_for("numpy", Sets(), Checkpoints(tmp_path)), epochs=1)
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_thread_takes_no_signals(tmp_path: Path) -> None:
    before, seen = now(), []

    class Look(Callback):
        def on_step(self, trainer: Any, step: int) -> None:
            seen.append(now())

    run = threading.Thread(target=lambda: fit(trainer_for("numpy", Look(), Checkpoints(tmp_path)), epochs=1))
    run.start()
    run.join()
    assert len(seen) == STEPS
    assert all(one == before for one in seen)


def test_a_fit_that_cannot_be_saved_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "gone"

    class Remove(Send):
        def on_step(self, trainer: Any, step: int) -> None:
            if trainer.position.total(trainer.epoch) == self.at:
                for path in folder.iterdir():
                    path.unlink()
                folder.rmdir()
            super().on_step(trainer, step)

    saves = Checkpoints(folder)
    trainer = trainer_for("numpy", Remove(9, signal.SIGINT), saves)
    said = "the training could not be saved: Cannot write"
    with pytest.warns(CheckpointWarning, match=said), pytest.raises(KeyboardInterrupt, match=said):
        fit(trainer)
    assert saves.unsaved is not None


def test_handlers_nest() -> None:
    heard: list[str] = []
    note: Callable[[str], Callable[[int], None]] = lambda name: lambda number: heard.append(name)  # noqa: E731
    with handled(note("outer")):
        with handled(note("inner")):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
    assert heard == ["inner", "outer"]


@pytest.mark.faults
@pytest.mark.parametrize(("spec", "runs"), [("numpy", 16), ("torch", 16), ("jit+numpy", 18)])
def test_fifty_trainings_are_saved_after_a_signal(spec: str, runs: int, tmp_path: Path) -> None:
    """Each within a step, which takes milliseconds, and two seconds."""
    helpers = str(Path(signalled.__file__).parent)
    words = [sys.executable, signalled.__file__, spec, str(runs), "7", str(tmp_path / "runs")]
    environment = {**os.environ, "PYTHONPATH": helpers, "LAMINA_THREADS": "1"}
    result = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    print(f"{spec}: saved after {max(run['saved'] for run in found):.2f} s at most: {found}")
    codes = {"SIGTERM": 143, "SIGINT": 130}
    assert len(found) == runs
    assert [run["code"] for run in found] == [codes[run["signal"]] for run in found]
    assert all(0 <= run["saved"] < 2 for run in found)
    assert [run["resumed"] for run in found] == [[0, "done"]] * runs
