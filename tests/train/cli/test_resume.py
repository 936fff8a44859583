"""`lamina train --resume`: what it goes on with, and what it says."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import killed
import numpy as np
import pytest

from lamina.train import Checkpoints
from lamina.train.files import read_sealed, write_sealed
from lamina.train.loop.checkpoint_folder import checkpoints_in
from lamina.train.loop.state import SEAL
from lamina.train.loop.trainer import Trainer
from lamina.train.runs.predictor import Predictor

LINE = "train disc --n 100 --epochs 6 --hidden 8 --patience 9 --lr 0.02 --checkpoint-every 3steps"


class Dies(BaseException):
    """The end of a process, which no code of Lamina catches."""


@pytest.fixture
def dead(lamina: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a run that died in its third epoch, beside that of one that did not."""
    lamina(f"{LINE} --out whole")
    with monkeypatch.context() as patch:
        taken, step, pause = [0], Trainer.train_step, Checkpoints.on_pause

        def dies(self: Trainer, *arguments: Any) -> Any:
            taken[0] += 1
            if taken[0] == 11:
                raise Dies
            return step(self, *arguments)

        def waits(self: Checkpoints, trainer: Any) -> None:
            pause(self, trainer)
            self._wait()

        patch.setattr(Trainer, "train_step", dies)
        patch.setattr(Checkpoints, "on_pause", waits)
        with pytest.raises(Dies):
            lamina(f"{LINE} --out run")
    newest = checkpoints_in(Path("run/checkpoints"))[-1]
    assert newest.name == "000003-epoch-2-step-1.safetensors"
    assert json.loads(Path("run/run.json").read_text())["state"] == "running"
    return Path("run")


def test_a_dead_run_goes_on_with_its_options_to_the_same_bits(lamina: Any, dead: Path) -> None:
    for place in (dead, dead / "checkpoints"):
        (place / ".lamina-0123.tmp").write_bytes(b"half a file")
    result = lamina(f"train --resume {dead} --checkpoint-every 3steps")
    assert "The training goes on from 000003-epoch-2-step-1.safetensors." in result.stdout
    assert result.stdout.count("saved in run/") == 1
    np.testing.assert_equal(killed.cli_end(dead), killed.cli_end(Path("whole")))
    assert not list(dead.rglob("*.tmp"))


def test_the_same_options_may_be_repeated(lamina: Any, dead: Path) -> None:
    lamina(f"train disc --n 100 --epochs 6 --hidden 8 --schedule cosine --lr 2e-2 --resume {dead} --json")
    assert killed.cli_end(dead)["model"] == killed.cli_end(Path("whole"))["model"]


def test_a_run_without_a_checkpoint_starts_again(lamina: Any, dead: Path) -> None:
    shutil.rmtree(dead / "checkpoints")
    result = lamina(f"train --resume {dead} --checkpoint-every 3steps")
    assert "No checkpoint was written yet: the training starts from its beginning." in result.stdout
    np.testing.assert_equal(killed.cli_end(dead), killed.cli_end(Path("whole")))


def test_other_data_under_the_same_name_are_refused(lamina: Any, folder: Path) -> None:
    rows = [f"{k % 7},{k % 3},{'ab'[k % 2]}\n" for k in range(60)]
    (folder / "own.csv").write_text("x,y,z\n" + "".join(rows))
    lamina("train own.csv --epochs 2 --out run")
    changed = json.loads(Path("run/run.json").read_text()) | {"state": "running"}
    Path("run/run.json").write_text(json.dumps(changed))
    (folder / "own.csv").write_text("x,y,z\n" + "".join(rows[::-1]))
    said = " ".join(lamina("train --resume run", code=2).stderr.split())
    assert "expected the data of the fit that was resumed, got others" in said


def test_a_finished_run_trains_on_with_more_epochs(lamina: Any, folder: Path) -> None:
    lamina(f"{LINE} --out run")
    said = " ".join(lamina("train --resume run", code=2).stderr.split())
    assert "got 'run': it has 6 of 6 epochs; to train on, give more epochs: lamina train --resume run" in said
    found = lamina("train --resume run --epochs 8 --json").json
    assert found["epochs"] == 8
    assert json.loads(Path("run/run.json").read_text())["recipe"]["epochs"] == 8
    rows = json.loads(Path("run/history.json").read_text())["rows"]
    assert [row["epoch"] for row in rows] == [*range(1, 9)]


def test_another_backend_may_go_on(lamina: Any, dead: Path) -> None:
    assert lamina(f"train --resume {dead} --backend strict+numpy --json").json["backend"] == "strict+numpy"
    assert killed.cli_end(dead)["model"] == killed.cli_end(Path("whole"))["model"]


def test_the_backend_of_the_run_goes_on(lamina: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lamina(f"{LINE} --out run --backend strict+numpy --dtype float64")
    monkeypatch.setenv("LAMINA_BACKEND", "numpy")
    found = lamina("train --resume run --epochs 8 --json").json
    assert (found["backend"], found["dtype"]) == ("strict+numpy", "float64")
    found = lamina("train --resume run --epochs 9 --backend numpy --json").json
    assert (found["backend"], found["dtype"]) == ("numpy", "float64")
    said = " ".join(lamina("train --resume run --epochs 10 --dtype float32", code=2).stderr.split())
    assert "--dtype: expected 'float64', as in the run 'run', got 'float32'" in said


def test_another_lamina_goes_on_and_says_so_in_a_line(lamina: Any, dead: Path) -> None:
    for path in checkpoints_in(dead / "checkpoints"):
        arrays, description = read_sealed("", path, SEAL)
        write_sealed(path, SEAL, arrays, {**description, "lamina": "0.0.7"})
    said = " ".join(lamina(f"train --resume {dead} --json").stderr.split())
    assert "was written by Lamina 0.0.7, this is Lamina" in said
    assert "the bits of the training may differ" in said
    assert "Warning" not in said


def test_a_damaged_checkpoint_gives_way_to_the_one_before(lamina: Any, dead: Path) -> None:
    newest = checkpoints_in(dead / "checkpoints")[-1]
    data = bytearray(newest.read_bytes())
    data[-5] ^= 1
    newest.write_bytes(data)
    result = lamina(f"train --resume {dead} --checkpoint-every 3steps")
    said = " ".join(result.stderr.split())
    assert f"'{newest}' is damaged" in said
    assert "The checkpoint before it is taken." in said
    assert killed.cli_end(dead)["model"] == killed.cli_end(Path("whole"))["model"]


def test_a_full_disk_costs_a_line_and_no_training(lamina: Any, folder: Path, monkeypatch: Any) -> None:
    real = os.fsync

    def full(descriptor: int) -> None:
        if ".lamina-" in os.readlink(f"/proc/self/fd/{descriptor}") and "checkpoints" in os.readlink(
            f"/proc/self/fd/{descriptor}"
        ):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    if not os.path.exists("/proc/self/fd"):
        pytest.skip("the system does not tell the names of open files")
    monkeypatch.setattr(os, "fsync", full)
    result = lamina(f"{LINE} --out run")
    said = " ".join(result.stderr.split())
    assert said.count("No space left on device. The training goes on") == 1
    assert "6 epochs in" in result.stdout
    assert checkpoints_in(Path("run/checkpoints")) == []


def test_a_checkpoint_says_what_a_model_file_says(lamina: Any, folder: Path) -> None:
    lamina(f"{LINE} --out run")
    newest = checkpoints_in(Path("run/checkpoints"))[-1]
    description = read_sealed("", newest, SEAL).description["description"]
    predictor = Predictor.load(Path("run/model.safetensors"))
    assert predictor.recipe is not None
    assert description["recipe"]["hidden"] == list(predictor.recipe.hidden or ())
    assert {"model", "classes", "scaling", "threshold"} <= set(description)
