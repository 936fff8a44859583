"""Real disks that fail: the training goes on and says so once, and the last good checkpoint still loads."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import contextlib, json, os, pathlib, resource, shutil, sys, warnings
from resumed import bits, differing, fit, trainer_for
from lamina.train import Callback, Checkpoints

how, folder = sys.argv[1], pathlib.Path(sys.argv[2])

class Breaks(Callback):
    def on_epoch_end(self, trainer, row):
        saves._wait()
        if trainer.epoch == 3:
            BREAKS[how]()
        return False

def full():
    filler = os.open(folder / "filler", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(filler, bytes(4096))

def vanished():
    shutil.rmtree(folder / "checkpoints")

BREAKS = {
    "a file that may not grow": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)),
    "a full disk": full,
    "a folder that is read-only now": lambda: (folder / "checkpoints").chmod(0o555),
    "a folder that vanishes": vanished,
}
whole = bits(fit(trainer_for("numpy")))
saves = Checkpoints(folder / "checkpoints", "1epoch")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    trained = bits(fit(trainer_for("numpy", Breaks(), saves)))
files = sorted(path.name for path in (folder / "checkpoints").glob("*") if path.name != ".lamina-lock")
resumed = []
if files:
    trainer = trainer_for("numpy", Breaks(), seed=9)
    trainer.resume(folder / "checkpoints")
    epoch = trainer.epoch
    trainer.callbacks.remove(next(c for c in trainer.callbacks if type(c) is Breaks))
    resumed = [epoch, *differing(whole, bits(fit(trainer)))]
print(json.dumps({
    "differ": differing(whole, trained), "told": [str(one.message) for one in caught], "files": files,
    "resumed": resumed,
}))
"""


def broken(how: str, *before: str, folder: Path) -> None:
    helpers = str(Path(__file__).parents[2] / "helpers")
    environment = {**os.environ, "PYTHONPATH": helpers, "LAMINA_THREADS": "1"}
    words = [*before, sys.executable, "-c", CODE, how, str(folder)]
    result = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    print(how, found)
    assert found["differ"] == []
    assert len(found["told"]) == 1
    assert "Cannot write '000003-epoch-3-step-0.safetensors'" in found["told"][0]
    assert "The training goes on; checkpoints that are there stay." in found["told"][0]
    if how == "a folder that vanishes":
        assert found["files"] == []
    else:
        assert found["files"] == ["000001-epoch-1-step-0.safetensors", "000002-epoch-2-step-0.safetensors"]
        assert found["resumed"] == [2]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limits, and removes no folder in use")
@pytest.mark.parametrize("how", ["a file that may not grow", "a folder that vanishes"])
def test_a_training_outlives_its_disk(how: str, tmp_path: Path) -> None:
    broken(how, folder=tmp_path)


@pytest.mark.faults
def test_a_training_outlives_a_full_disk(tmp_path: Path) -> None:
    mount = f'mount -t tmpfs -o size=400k tmpfs "{tmp_path}"'
    own = ["unshare", "--map-root-user", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]
    if not works(*own):
        pytest.skip("this user may mount no disk")
    broken("a full disk", *own, folder=tmp_path)


@pytest.mark.faults
def test_a_training_outlives_a_folder_that_becomes_read_only(tmp_path: Path) -> None:
    without = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override"]
    root = os.geteuid() == 0  # who may write everywhere
    if root and not works(*without):
        pytest.skip("this is root, and cannot be less")
    broken("a folder that is read-only now", *(without if root else ()), folder=tmp_path)


def works(*words: str) -> bool:
    return shutil.which(words[0]) is not None and not subprocess.run([*words, "true"], check=False).returncode
