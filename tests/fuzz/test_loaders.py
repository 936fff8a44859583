"""Every loader under inputs of Hypothesis: it returns, or raises an error of Lamina's that names the file.

It computes for at most 2 s, takes at most ten times the file (decompressed) and 50 MB, and warns of nothing.
In the ordinary suite each loader gets a few inputs, always the same ones; `tox -e fuzz` gives each
ten minutes and other inputs each time (`--fuzz-seconds 600`). A failure names the file of each fault's
smallest input; it becomes a row of the table of bad inputs. A crash of the process leaves its input in the
test's folder.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import pytest

LOADERS = {
    "csv": "csv_files",
    "idx": "idx_files",
    "npz": "npz_files",
    "model": "model_files",
    "checkpoint": "checkpoint_files",
    "onnx": "onnx_files",
    "backend": "backend_names",
}


@pytest.mark.parametrize("loader", LOADERS)
def test_a_loader_survives_everything(loader: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if loader == "onnx" and not importlib.util.find_spec("onnx"):
        pytest.skip("onnx is not installed")
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the peak of the memory of a call is known on Linux alone")
    from fuzzing import fuzz

    seconds = request.config.getoption("--fuzz-seconds")
    target = importlib.import_module(f"fuzzing.{LOADERS[loader]}").TARGET
    outcome = fuzz(target, tmp_path, seconds)
    print(f"{loader}: {outcome}")
    for number, (fault, (example, details)) in enumerate(outcome.faults.items()):
        (tmp_path / f"fault-{number}").write_bytes(example.content)
        print(f"--- {fault}: {tmp_path / f'fault-{number}'} ({example.options})\n{details}")
    assert not outcome.faults, f"{len(outcome.faults)} faults: {', '.join(outcome.faults)}"
