"""Trainings that a signal asks to stop at a random moment.

A program of its own, since it forks, as `killed` does. It prints JSON: for each training the signal, its exit
code, the seconds from the signal to the checkpoint and to the end, and whether --resume goes on.

    python signalled.py BACKEND RUNS SEED FOLDER
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from killed import Start, child, ended

from lamina.train.loop.checkpoint_folder import checkpoints_in

LINE = "train disc --n 1000 --epochs 1000000 --schedule constant --hidden 16,8 --checkpoint-every 3600s"


def command(line: str) -> Start:
    """Return a command line; its standard error goes into a file of the folder above."""

    def run(folder: Path) -> None:
        import lamina

        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(folder.with_suffix(".err"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
        sys.argv = ["lamina", *line.format(folder).split()]
        try:
            lamina.main()
        except SystemExit as end:
            os._exit(end.code if isinstance(end.code, int) else 1)

    return run


def one(backend: str, number: int, wait: float, folder: Path) -> dict[str, Any]:
    """Start a training, send it a signal while it trains, and resume it for an epoch."""
    process = child(command(f"{LINE} --backend {backend} --out {{}}"), folder)
    while not (folder / "checkpoints").exists():  # from the start of the fit
        time.sleep(0.01)
    time.sleep(wait)
    began = time.time()
    os.kill(process, number)
    code = ended(process)
    seconds = time.time() - began
    found = checkpoints_in(folder / "checkpoints")
    saved = found[-1].stat().st_mtime - began if found else None
    epochs = int(found[-1].name.split("-")[2]) + 1 if found else 1
    again = ended(child(command(f"train --resume {{}} --epochs {epochs}"), folder))
    state = json.loads((folder / "run.json").read_text())["state"]
    return {
        "signal": signal.Signals(number).name,
        "code": code,
        "saved": saved,
        "ended": seconds,
        "resumed": (again, state),
    }


def main(backend: str, runs: int, seed: int, place: Path) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    place.mkdir(parents=True)
    numbers = (signal.SIGTERM, signal.SIGINT)
    return [one(backend, numbers[i % 2], chance.uniform(0, 2), place / str(i)) for i in range(runs)]


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))))
