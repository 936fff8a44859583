"""Two hundred thousand steps with checkpoints: the same memory, and no file that stays open."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lamina.backends import BackendError, get_backend

CODE = """
import gc, json, os, sys
import numpy as np
from resumed import trainer_for
from lamina.train import Callback, Checkpoints

spec, steps, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
rng = np.random.default_rng(0)
x = rng.normal(size=(steps // 40 * 5, 7))
y = (x[:, 0] > 0).astype(int)
seen = []

class Measures(Callback):
    def on_epoch_end(self, trainer, row):
        gc.collect()
        with open("/proc/self/status") as file:
            memory = next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))
        seen.append((memory, len(os.listdir("/proc/self/fd"))))
        return False

trainer = trainer_for(spec, Checkpoints(folder, f"{max(steps // 400, 1)}steps"), Measures())
del trainer.callbacks[0]  # early stopping
trainer.fit((x, y), (x[:50], y[:50]), epochs=40, batch_size=5)
assert trainer.optimizer.steps == steps, trainer.optimizer.steps
print(json.dumps(seen))
"""


def grown(spec: str, steps: int, folder: Path) -> tuple[float, int]:
    """Train; return by how many MiB and how many files the process grew from its 10th epoch to its 40th."""
    try:
        get_backend(spec)
    except BackendError as error:
        pytest.skip(str(error))
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2] / "helpers"),
        "LAMINA_THREADS": "1",
    }
    words = [sys.executable, "-c", CODE, spec, str(steps), str(folder / "checkpoints")]
    result = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    seen = json.loads(result.stdout)
    assert len(seen) == 40
    assert 1 <= len(list((folder / "checkpoints").iterdir())) <= 3
    memory = seen[-1][0] - seen[9][0]
    early, late = ({files for _, files in part} for part in (seen[:20], seen[20:]))
    files = min(late) - min(early)  # a checkpoint may be open that is being written
    print(f"{spec}: {steps:,} steps, {memory:+.1f} MiB, {files:+} files")
    return memory, files


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the system does not tell the memory")
def test_checkpoints_leave_memory_and_files_as_they_were(tmp_path: Path) -> None:
    memory, files = grown("jit+numpy", 4000, tmp_path)
    assert memory < 5
    assert files <= 0


@pytest.mark.faults
@pytest.mark.parametrize("spec", ["numpy", "torch", "jit+numpy"])
def test_so_do_two_hundred_thousand_steps(spec: str, tmp_path: Path) -> None:
    memory, files = grown(spec, 200_000, tmp_path)
    assert memory < 5
    assert files <= 0
