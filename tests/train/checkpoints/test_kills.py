"""SIGKILL at random moments, also while a file is written: each training is resumed to the same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import killed
import numpy as np
import pytest

from lamina.backends import BackendError, get_backend
from lamina.train.loop.checkpoint_folder import checkpoints_in

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
SHARE = {"numpy": 34, "torch": 33, "jit+numpy": 33}
"""How many of a hundred kills each backend gets under `tox -e faults`."""


def kills(way: str, backend: str, count: int, folder: Path) -> dict[str, Any]:
    try:
        get_backend(backend)
    except BackendError as error:
        pytest.skip(str(error))
    helpers = str(Path(killed.__file__).parent)
    words = [sys.executable, killed.__file__, way, backend, str(count), "7", str(folder / "runs")]
    environment = {**os.environ, "PYTHONPATH": helpers, "LAMINA_THREADS": "1"}
    result = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    print(f"{way} {backend}: {found}")
    assert found["killed"] == count
    assert found["differ"] == []
    return found


def test_a_training_that_is_killed_is_resumed(tmp_path: Path) -> None:
    """Files do not depend on the backend; `test_resume.py` compares the bits on every one."""
    kills("library", "jit+numpy", 3, tmp_path)


@pytest.mark.faults
@pytest.mark.parametrize("spec", SHARE)
@pytest.mark.parametrize("way", killed.WAYS)
def test_a_hundred_trainings_are_killed_and_resumed(way: str, spec: str, tmp_path: Path) -> None:
    assert kills(way, spec, SHARE[spec], tmp_path)["while_writing"] > 0


def test_a_command_that_is_killed_is_resumed(tmp_path: Path) -> None:
    """SIGKILL for a real `lamina train`, when its checkpoints show that it is in the middle."""
    script = [sys.executable, "-c", "import lamina; lamina.main()"]
    environment = {**os.environ, "LAMINA_THREADS": "1", "LAMINA_BACKEND": "numpy"}

    def started(line: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*script, *line.split()], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
        )

    whole, folder = tmp_path / "whole", tmp_path / "run"
    for place in (whole, folder):
        process = started(f"{killed.LINE} --out {place} --json")
        while place is folder and not checkpoints_in(place / "checkpoints"):
            assert process.poll() is None, process.communicate()
            time.sleep(0.002)
        if place is folder:
            process.send_signal(signal.SIGKILL)
        process.communicate(timeout=120)
        assert process.returncode == (0 if place is whole else -signal.SIGKILL)
    assert json.loads((folder / "run.json").read_text())["state"] == "running"
    process = started(f"train --resume {folder} --json")
    assert process.communicate(timeout=120)[1] == b""
    assert process.returncode == 0
    ends = [killed.cli_end(place) for place in (whole, folder)]
    np.testing.assert_equal(*ends)
