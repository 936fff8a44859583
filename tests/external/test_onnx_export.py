"""Every layer written as an ONNX file: two independent evaluators agree with Lamina."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rows import each

from lamina.backends import Backend, DataError, get_backend
from lamina.layers import Module, inference
from lamina.layers.proofs import LAYER_CASES, LayerCase
from lamina.train.onnx import exporter, load_onnx, save_onnx
from lamina.train.onnx.save import largest_difference
from lamina.train.onnx.writer import EXPORTERS

pytest.importorskip("onnx", reason="files are written with the onnx package")

BAR = 1e-5


def writable(case: LayerCase) -> bool:
    """ONNX cannot normalise by the batch in prediction, as batch norm without running statistics does."""
    layer = case.build(get_backend("numpy"))
    return all(getattr(m, "running_mean", m) is not None for _, m in layer.named_modules())


WRITABLE = [case for case in LAYER_CASES if writable(case)]
# onnx's evaluator (1.23) fails on these files, which onnxruntime runs: its ConvTranspose ignores groups, and
# its MaxPool reads an index past the end.
EVALUATOR_FAILS = (
    "ConvTranspose2d in groups, without bias",
    "MaxPool1d overlapping, padded",
    "MaxPool3d overlapping",
)


def exported(case: LayerCase, backend: Backend, folder: Path) -> tuple[Module, Path, list[Any]]:
    layer, file = case.build(backend).eval(), folder / "layer.onnx"
    dtype = "int64" if case.integers else "float32"
    save_onnx(file, layer, case.input_shape[1:], input_dtype=dtype)
    batches = [case.input(seed).astype(dtype) for seed in (0, 1)]
    if "dim=0" not in case.name and case.name != "Flatten all":
        batches.append(batches[0][:1])  # another batch size
    return layer, file, batches


def outputs(layer: Module, batch: Any) -> Any:
    with inference():
        return np.asarray(layer.backend.to_host(layer(layer.backend.from_host(batch))))


@each(WRITABLE)
def test_the_file_gives_what_the_layer_gives(case: LayerCase, backend: Backend, tmp_path: Path) -> None:
    """In onnx's evaluator, in onnxruntime, and read back."""
    layer, file, batches = exported(case, backend, tmp_path)

    def predict(batch: Any) -> Any:
        return outputs(layer, batch)

    if case.name in EVALUATOR_FAILS:
        with pytest.raises((IndexError, ValueError)):
            largest_difference(file, predict, batches)
    else:
        assert largest_difference(file, predict, batches) < BAR
    again = load_onnx(file, backend=backend)
    for batch in batches:
        np.testing.assert_allclose(outputs(again, batch), predict(batch), rtol=BAR, atol=BAR)
    runtime = pytest.importorskip("onnxruntime", reason="the second evaluator is absent")
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    for batch in batches:
        (theirs,) = session.run(None, {"input": batch})
        np.testing.assert_allclose(theirs, predict(batch), rtol=BAR, atol=BAR)


# -- refusals ------------------------------------------------------------------------------------


class Twice(Module):
    def forward(self, x: Any) -> Any:
        return self.backend.multiply(x, 2.0)


def test_a_custom_exporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamina.train.onnx.writer.EXPORTERS", dict(EXPORTERS))
    exporter(Twice)(lambda writer, module: writer.add("Mul", writer.value, writer.constant("two", 2.0)))
    save_onnx(tmp_path / "x.onnx", Twice("numpy"), (3,))
    model = load_onnx(tmp_path / "x.onnx", backend="numpy")
    assert model(np.ones((1, 3), np.float32)).tolist() == [[2.0, 2.0, 2.0]]


@each([case for case in LAYER_CASES if case not in WRITABLE])
def test_batch_statistics_have_no_onnx_form(case: LayerCase, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="without them it has no ONNX form"):
        save_onnx(tmp_path / "x.onnx", case.build(get_backend("numpy")), case.input_shape[1:])
