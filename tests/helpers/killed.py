"""Trainings that SIGKILL ends at a random moment, and that are resumed to their end.

A program of its own, since it forks: each training is a child of this process, which has imported Lamina and
runs no threads. It prints one JSON object: how many trainings were killed, in how many of them a file was
being written at that moment, and in what those that were resumed differ from one that was never killed.

    python killed.py library|cli BACKEND KILLS SEED FOLDER
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from resumed import bits, differing, trainer_for

from lamina.train import Checkpoints
from lamina.train.files import read_sealed
from lamina.train.loop.checkpoint_folder import checkpoints_in
from lamina.train.loop.state import SEAL

EPOCHS = 12
LINE = "train disc --n 300 --epochs 12 --hidden 16,8 --patience 9 --lr 0.02 --checkpoint-every 2steps"
Start = Callable[[Path], None]


def library(backend: str) -> Start:
    """Return a script of a user's own, which resumes if it can; it leaves the bits of its end in a file."""

    def run(folder: Path) -> None:
        from resumed import BATCH, DATA

        trainer = trainer_for(backend, Checkpoints(folder / "checkpoints", "3steps", best="validation_loss"))
        if checkpoints_in(folder / "checkpoints"):
            trainer.resume(folder / "checkpoints")
        trainer.fit(*DATA, epochs=EPOCHS, batch_size=BATCH)
        (folder / "part").write_bytes(pickle.dumps(bits(trainer)))
        os.replace(folder / "part", folder / "end")

    return run


def library_end(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = pickle.loads((folder / "end").read_bytes())
    return found


def cli(backend: str) -> Start:
    """Return the command line that trains, or goes on with its folder."""

    def run(folder: Path) -> None:
        import lamina

        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        started = (folder / "run.json").exists()
        if started and json.loads((folder / "run.json").read_text())["state"] == "done":
            return  # it was killed after its last file
        line = f"train --checkpoint-every 2steps --resume {folder}" if started else f"{LINE} --out {folder}"
        sys.argv = ["lamina", *line.split(), *([] if started else ["--backend", backend])]
        try:
            lamina.main()
        except SystemExit as end:
            if end.code:
                raise

    return run


def cli_end(folder: Path) -> dict[str, Any]:
    """Return the results of a run, and the arrays and the state of its last checkpoint, except seconds."""
    rows = json.loads((folder / "history.json").read_text())["rows"]
    arrays, description = read_sealed("", checkpoints_in(folder / "checkpoints")[-1], SEAL)
    state = description["state"]
    column = state["history"]["names"].index("seconds")
    arrays["state.history.values"][:, column] = 0
    state["position"]["seconds"] = 0
    return {
        "model": (folder / "model.safetensors").read_bytes(),
        "history": [{name: value for name, value in row.items() if name != "seconds"} for row in rows],
        "state": state,
        "record": json.loads((folder / "run.json").read_text())["state"],
        **{name: value.tobytes() for name, value in arrays.items()},
    }


WAYS = {"library": (library, library_end), "cli": (cli, cli_end)}


def child(start: Start, folder: Path) -> int:
    """Start a training in a process of its own; return its number."""
    number = os.fork()
    if number:
        return number
    code = 1
    try:
        start(folder)
        code = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def ended(number: int) -> int:
    """Wait for the end of a process; return its exit code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def writing(folder: Path) -> bool:
    """Return whether a process that was killed has left a part of a file."""
    return any(folder.rglob(".lamina-*.tmp"))


def killed_in_a_write(start: Start, after: int, moment: str) -> Start:
    """Return a training that kills itself at the `after`-th file, before or after a call of the system."""

    def run(folder: Path) -> None:
        real: Any = getattr(os, moment)
        left = [after]

        def call(*arguments: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments)

        setattr(os, moment, call)
        start(folder)

    return run


def main(way: str, backend: str, kills: int, seed: int, place: Path) -> dict[str, Any]:
    make, end = WAYS[way]
    start, chance = make(backend), random.Random(seed)
    (place / "whole").mkdir(parents=True)
    for _ in range(2):  # the first one compiles
        began = time.monotonic()
        code = ended(child(start, place / "whole"))
        assert code == 0, code
        seconds = time.monotonic() - began
        whole = end(place / "whole")
        os.rename(place / "whole", place / f"whole-{time.monotonic_ns()}")
        (place / "whole").mkdir()
    found: dict[str, Any] = {"seconds": seconds, "killed": 0, "while_writing": 0, "differ": []}
    while found["killed"] < kills:
        folder = place / f"{found['killed']}-{chance.random()}"
        folder.mkdir()
        if found["killed"] % 3 == 2:  # a third at a call of the system: a file is written then
            moment = chance.choice(["fsync", "replace", "open"])
            number = child(killed_in_a_write(start, chance.randint(1, 60), moment), folder)
        else:
            number = child(start, folder)
            time.sleep(chance.uniform(0, seconds))
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        if ended(number) != -signal.SIGKILL:
            continue  # it was faster
        found["killed"] += 1
        found["while_writing"] += writing(folder)
        if (code := ended(child(start, folder))) != 0:
            found["differ"].append([folder.name, f"exit code {code}"])
        elif names := differing(whole, end(folder)):
            found["differ"].append([folder.name, *names[:5]])
        elif writing(folder):
            found["differ"].append([folder.name, "leftovers"])
    return found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))))
