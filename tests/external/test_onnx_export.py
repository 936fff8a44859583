"""Every layer that Lamina ships, as an ONNX file: evaluators that nobody here wrote agree with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend, get_backend
from lamina.layers import Module, inference
from lamina.train.onnx import load_onnx, save_onnx
from lamina.train.onnx.writer import largest_difference
from lamina.train.proofs import LAYER_CASES, LayerCase

pytest.importorskip("onnx", reason="files are written with the onnx package")

BAR = 1e-5


def writable(case: LayerCase) -> bool:
    """Batch norm without running statistics normalises by its batch: ONNX has no such thing in prediction."""
    layer = case.build(get_backend("numpy"))
    return all(getattr(m, "running_mean", m) is not None for _, m in layer.named_modules())


WRITABLE = [case for case in LAYER_CASES if writable(case)]
# Where onnx's evaluator (1.23) fails on a file that onnxruntime runs: groups in its ConvTranspose, and an
# index past the end in its MaxPool.
EVALUATOR_FAILS = (
    "ConvTranspose2d in groups, without bias",
    "MaxPool1d overlapping, padded",
    "MaxPool3d overlapping",
)


def written(case: LayerCase, backend: Backend, folder: Path) -> tuple[Module, Path, list[Any]]:
    layer, file = case.build(backend).eval(), folder / "layer.onnx"
    dtype = "int64" if case.integers else "float32"
    save_onnx(file, layer, case.input_shape[1:], input_dtype=dtype)
    batches = [case.inputs(seed).astype(dtype) for seed in (0, 1)]
    if "dim=0" not in case.name and case.name != "Flatten all":
        batches.append(batches[0][:1])  # the file takes batches of any size
    return layer, file, batches


def outputs(layer: Module, batch: Any) -> Any:
    with inference():
        return np.asarray(layer.backend.to_host(layer(layer.backend.from_host(batch))))


@pytest.mark.parametrize("case", WRITABLE, ids=[case.name for case in WRITABLE])
def test_onnx_evaluates_the_file_as_we_do(case: LayerCase, backend: Backend, tmp_path: Path) -> None:
    layer, file, batches = written(case, backend, tmp_path)

    def predict(batch: Any) -> Any:
        return outputs(layer, batch)

    if case.name in EVALUATOR_FAILS:
        with pytest.raises((IndexError, ValueError)):
            largest_difference(file, predict, batches)
    else:
        assert largest_difference(file, predict, batches) < BAR


@pytest.mark.parametrize("case", WRITABLE, ids=[case.name for case in WRITABLE])
def test_onnxruntime_runs_the_file_as_we_do(case: LayerCase, backend: Backend, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="it is the second evaluator")
    layer, file, batches = written(case, backend, tmp_path)
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    for batch in batches:
        (found,) = session.run(None, {"input": batch})
        np.testing.assert_allclose(found, outputs(layer, batch), rtol=BAR, atol=BAR)


@pytest.mark.parametrize("case", WRITABLE, ids=[case.name for case in WRITABLE])
def test_the_file_comes_back_as_it_was(case: LayerCase, backend: Backend, tmp_path: Path) -> None:
    layer, file, batches = written(case, backend, tmp_path)
    again = load_onnx(file, backend=backend)
    for batch in batches:
        np.testing.assert_allclose(outputs(again, batch), outputs(layer, batch), rtol=BAR, atol=BAR)
