"""Run folders: one run in each; `lamina runs` lists them; one that is not done predicts."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from killed import child, ended

from lamina.backends import DataError
from lamina.train.files import claimed, is_claimed
from lamina.train.loop.trainer import Trainer
from lamina.train.runs.listing import list_runs
from lamina.train.runs.predictor import Predictor

LINE = "train disc --n 64 --epochs 2 --hidden 4"
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


def test_no_runs(lamina: Any) -> None:
    assert "There are no runs in 'runs'; `lamina train` makes one." in lamina("runs").stdout
    assert lamina("runs --json").json == {"runs": []}
    assert "expected the folder of runs, got 'nothing'" in lamina("runs nothing", code=2).stderr


def test_runs_lists_every_state(lamina: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lamina(LINE)
    lamina("train disc --n 40 --epochs 9 --optimizer sgd --loss mse --lr 1e30", code=3)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "evaluate", _fails)
        lamina(f"{LINE} --validation 0", code=2)
    (folder / "runs/disc-4").mkdir()
    (folder / "runs/disc-4/run.json").write_text("{")
    (folder / "runs/notes").mkdir()
    for k, age in ((1, 90), (2, 3 * 3600), (3, 3 * 86400), (4, -1000)):  # the last clock was ahead
        moment = time.time() - age
        os.utime(folder / f"runs/disc-{k}/run.json", (moment, moment))
    found = {run.folder.name: run for run in list_runs(folder / "runs")}
    states = {name: run.state for name, run in found.items()}
    assert states == {"disc-1": "done", "disc-2": "failed", "disc-3": "failed", "disc-4": "unreadable"}
    assert list(found) == ["disc-4", "disc-1", "disc-2", "disc-3"]
    assert found["disc-3"].fault == "no, as planned"
    assert "nan in epoch 1" in found["disc-2"].fault
    assert found["disc-4"].age == 0
    done = json.loads((folder / "runs/disc-1/run.json").read_text())["results"]
    assert (found["disc-1"].score, found["disc-1"].epochs) == (done["test_accuracy"], 2)
    flat = " ".join(lamina("runs").stdout.split())
    assert f"runs/disc-1 done disc 2 of 2 {done['test_accuracy']:.2%} 1 min" in flat
    assert "3 h" in flat
    assert "3 d" in flat
    listed = lamina("runs --json").json["runs"]
    assert [run["state"] for run in listed] == ["unreadable", "done", "failed", "failed"]
    assert lamina("runs runs/disc-1 --json").json["runs"][0]["data"] == "disc"


def _fails(*arguments: Any, **options: Any) -> Any:
    raise DataError("no, as planned")


def test_a_failed_run_is_resumed(lamina: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "evaluate", _fails)
        lamina(f"{LINE} --validation 0 --out own", code=2)
    assert list_runs(Path("own"))[0].state == "failed"
    lamina("train --resume own")
    assert list_runs(Path("own"))[0].state == "done"


def _killed(folder: Path, line: str = LINE) -> None:
    """Leave a run that was killed after its training, before its model was written."""

    def run(folder: Path) -> None:
        import sys

        import lamina
        from lamina.train.runs.experiment import Experiment

        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        Experiment.test = lambda self: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign,assignment,return-value]
        sys.argv = ["lamina", *line.split(), "--out", str(folder), "--json"]
        lamina.main()

    assert ended(child(run, folder)) == -signal.SIGKILL


@FORKS
def test_a_run_that_is_not_done_predicts_with_its_last_checkpoint(lamina: Any, folder: Path) -> None:
    _killed(folder / "own")
    assert not (folder / "own/model.safetensors").exists()
    with claimed(folder / "own"):
        assert [run.state for run in list_runs(folder / "own")] == ["running"]
        said = lamina("predict own").stdout
        assert "The run is not done: the network is that of its checkpoint 000001-epoch-2-step-0" in said
        assert "is in use by another run" in lamina("export own", code=2).stderr
        lamina("export own --out elsewhere.onnx")
        lamina("summary own")
    (run,) = list_runs(folder / "own")
    assert (run.state, run.epochs, run.of) == ("interrupted", 2, "validation")
    assert run.score is not None
    assert "next: lamina train --resume own" in lamina("runs own").stdout
    early = lamina("predict own --json").json
    assert early["checkpoint"].endswith(".safetensors")
    lamina("train --resume own")  # at once
    late = lamina("predict own --json").json
    assert "checkpoint" not in late
    lamina("export own")
    assert (folder / "own/model.onnx").exists()


@FORKS
def test_a_checkpoint_that_the_training_removed_meanwhile(folder: Path) -> None:
    _killed(folder / "own", f"{LINE} --checkpoint-every 1steps")
    found = sorted((folder / "own/checkpoints").iterdir())
    gone = found[0].with_name("000000-epoch-0-step-1.safetensors")
    assert isinstance(Predictor.load(gone), Predictor)
    for path in found:
        path.unlink()
    with pytest.raises(DataError, match="Cannot read checkpoint"):
        Predictor.load(gone)


def starts_at_once(rounds: int, folder: Path) -> None:
    """Start two runs in one folder at the same moment: one trains, and the other is refused at its start."""
    from lamina.train.files import is_unused

    def run(place: Path) -> None:
        import sys

        import lamina

        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        while time.time() < begin:
            pass
        sys.argv = ["lamina", *LINE.split(), "--out", str(place), "--json"]
        try:
            lamina.main()
        except SystemExit as end:
            os._exit(end.code if isinstance(end.code, int) else 1)

    for k in range(rounds):
        begin = time.time() + 0.3
        both = [child(run, folder / str(k)) for _ in range(2)]
        assert sorted(map(ended, both)) == [0, 2], k
        assert [one.state for one in list_runs(folder / str(k))] == ["done"]
        assert not is_claimed(folder / str(k))
        assert not is_unused(folder / str(k))


@FORKS
def test_the_second_of_two_runs_in_a_folder_is_refused(tmp_path: Path) -> None:
    starts_at_once(2, tmp_path)


@FORKS
@pytest.mark.faults
def test_twenty_second_runs_are_refused(tmp_path: Path) -> None:
    starts_at_once(20, tmp_path)
