"""Ctrl-C and closed pipes: the network is saved, the exit code tells, and there is no traceback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lamina.backends import written
from lamina.train.cli.app import stops_deferred
from lamina.train.loop.callbacks import BestWeights, Callback
from lamina.train.loop.checkpoint_folder import checkpoints_in
from lamina.train.loop.trainer import Trainer
from lamina.train.runs import experiment
from lamina.train.runs.recipe import Recipe


def command() -> list[str]:
    found = shutil.which("lamina", path=str(Path(sys.executable).parent))
    return [found] if found else [sys.executable, "-c", "from lamina import main; main()"]


def started(*words: str, program: list[str] | None = None, path: str = "") -> subprocess.Popen[str]:
    environment = {**os.environ, "LAMINA_THREADS": "1", "PYTHONPATH": path}
    return subprocess.Popen(
        [*(program or command()), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # A shell's background job (CI, nohup) ignores SIGINT, and so would its children.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signal to one process")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_saves_a_real_training(name: str, code: int, lamina: Any, folder: Path) -> None:
    process = started("train", "disc", "--epochs", "1000000", "--schedule", "constant")
    try:
        while not (folder / "runs/disc-1/checkpoints").exists():  # from the start of the fit
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.2)
        process.send_signal(getattr(signal, name))
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code, err
    assert "Traceback" not in err
    (saved,) = (folder / "runs/disc-1/checkpoints").iterdir()
    shown = "Ctrl-C" if name == "SIGINT" else name
    assert f"{shown}: saving the training after this step; again to end at once." in err
    assert f"Error: Stopped by {shown}; the training is saved in {saved.name}. " in err
    assert "To go on: lamina train --resume runs/disc-1" in err
    assert json.loads((folder / "runs/disc-1/run.json").read_text())["state"] == "interrupted"
    epochs = int(saved.name.split("-")[2]) + 1
    lamina(f"train --resume runs/disc-1 --epochs {epochs}")
    record = json.loads((folder / "runs/disc-1/run.json").read_text())
    assert (record["state"], record["results"]["epochs"]) == ("done", epochs)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
@pytest.mark.parametrize(
    "words", [("summary", "disc"), ("summary", "disc", "--json"), ("train", "disc", "--epochs", "1")]
)
@pytest.mark.usefixtures("folder")
def test_a_closed_pipe(words: tuple[str, ...]) -> None:
    process = started(*words)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 1
    assert "Traceback" not in said
    assert "BrokenPipe" not in said
    assert not Path("runs").exists() or not any(Path("runs").iterdir())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", [("summary", "disc", "--json"), ("summary", "disc")])
def test_a_full_disk(words: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [*command(), *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert result.returncode == 1
    assert result.stderr == "Error: cannot write the output: No space left on device\n"


def test_a_terminal_without_unicode(folder: Path) -> None:
    (folder / "größe.csv").write_text("x,süß\n" + "".join(f"{k},{'äö'[k % 2]}\n" for k in range(40)))
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    words = ["train", "größe.csv", "--epochs", "1"]
    result = subprocess.run(
        [*command(), *words], capture_output=True, text=True, env=environment, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "gr??e.csv: 28 train" in result.stdout


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
@pytest.mark.parametrize("words", [("summary", "disc"), ("summary", "disc", "--json")])
def test_ctrl_c_while_python_imports(words: tuple[str, ...], folder: Path) -> None:
    """The first module that takes long to import waits, so that the interrupt comes in the middle."""
    (folder / "slow").mkdir()
    (folder / "slow" / "typer.py").write_text("print('importing', flush=True)\nimport time\ntime.sleep(60)\n")
    process = started("-c", "import lamina; lamina.main()", *words, program=[sys.executable], path="slow")
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    said = "Interrupted; nothing was written."
    assert process.returncode == 130
    assert (out, err) == ((f'{{"error": "{said}"}}\n', "") if "--json" in words else ("", f"Error: {said}\n"))


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
@pytest.mark.parametrize("after", [0, 1, 3])
def test_the_words_after_two_interrupts_are_true(
    lamina: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """The second Ctrl-C comes once `after` results are there, beside the record of the start."""
    (folder / "own").mkdir()
    real, count = written.os.replace, -1

    def replace(source: Any, target: Any) -> None:
        nonlocal count
        if Path(target).parent.name != "checkpoints":
            if count == after:
                for _ in range(2):
                    os.kill(os.getpid(), signal.SIGINT)
            count += 1
        real(source, target)

    monkeypatch.setattr(written.os, "replace", replace)
    said = " ".join(lamina("train disc --n 40 --epochs 1 --out own", code=130).stderr.split())
    there = sorted(path.name for path in (folder / "own").iterdir() if path.is_file())
    assert there == sorted({"run.json", *["model.safetensors", "run.json", "history.json"][:after]})
    assert "nothing was written" not in said
    assert all(f"own/{name}" in said for name in there)
    (last,) = (folder / "own" / "checkpoints").iterdir()
    assert f"own/checkpoints/{last.name}" in said


def test_interrupted_before_a_step(lamina: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Trainer, batch: Any, numbers: Any) -> Any:
        raise KeyboardInterrupt

    step = Trainer.train_step
    monkeypatch.setattr(Trainer, "train_step", interrupted)
    said = "Stopped by Ctrl-C. There is no checkpoint. To start again: lamina train --resume runs/disc-"
    assert f"Error: {said}1\n" in lamina("train disc --n 64", code=130).stderr
    assert lamina("train disc --n 64 --json", code=130).json == {"error": f"{said}2"}
    monkeypatch.setattr(Trainer, "train_step", step)
    assert lamina("train --resume runs/disc-1 --epochs 2 --json").json["epochs"] == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signal to one process")
@pytest.mark.parametrize("before", [True, False])
def test_the_words_after_a_second_signal_are_true(
    lamina: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    """The second one comes while the last checkpoint is written; no file gets its name after the words."""
    real, sent = written.os.replace, 0

    def send() -> None:
        nonlocal sent
        sent += 1
        os.kill(os.getpid(), signal.SIGTERM)

    def replace(source: Any, target: Any) -> None:
        last = Path(target).parent.name == "checkpoints" and sent == 1
        if not (last and before):
            real(source, target)
        if last:
            send()
            time.sleep(0.5)
        if last and before:
            real(source, target)

    def on_step(self: Callback, trainer: Any, step: int) -> None:
        if not sent and checkpoints_in(folder / "own/checkpoints"):
            send()

    monkeypatch.setattr(written.os, "replace", replace)
    monkeypatch.setattr(BestWeights, "on_step", on_step)
    line = "train disc --n 64 --epochs 50 --out own --checkpoint-every 1steps"
    said = " ".join(lamina(line, code=143).stderr.split())
    last = checkpoints_in(folder / "own/checkpoints")[-1].name
    assert "Ended at once by a second signal, SIGTERM." in said
    assert f"The last whole checkpoint is {last}. To go on: lamina train --resume own" in said
    time.sleep(0.6)  # the thread that writes is done
    assert checkpoints_in(folder / "own/checkpoints")[-1].name == last


def test_interrupted_while_loading(lamina: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(recipe: Recipe) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "load", interrupted)
    assert "Interrupted; nothing was written." in lamina("train disc", code=130).stderr
    assert lamina("train disc --json", code=130).json == {"error": "Interrupted; nothing was written."}
    assert not os.path.exists("runs")


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_the_first_interrupt_waits_while_saving() -> None:
    before = signal.getsignal(signal.SIGINT)
    done = False
    with stops_deferred("a moment") as late:
        os.kill(os.getpid(), signal.SIGINT)
        done = True
    assert done
    assert late == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_the_second_interrupt_does_not_wait() -> None:
    before = signal.getsignal(signal.SIGINT)

    def impatient() -> None:
        with stops_deferred("a moment"):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        impatient()
    assert signal.getsignal(signal.SIGINT) is before
