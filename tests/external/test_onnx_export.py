"""Every layer that Lamina ships, as an ONNX file: evaluators that nobody here wrote agree with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend, DataError, ShapeError, get_backend
from lamina.layers import Conv2d, Linear, Module, Sequential, inference
from lamina.layers.proofs import LAYER_CASES, LayerCase
from lamina.train.onnx import exporter, load_onnx, save_onnx
from lamina.train.onnx.save import largest_difference
from lamina.train.onnx.writer import EXPORTERS

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


# -- what cannot be written ------------------------------------------------------------------------


class Twice(Module):
    def forward(self, x: Any) -> Any:
        return self.backend.multiply(x, 2.0)


def test_a_layer_without_a_form_is_named(tmp_path: Path) -> None:
    net = Sequential({"first": Linear(2, 2, backend="numpy"), "odd": Twice("numpy")})
    with pytest.raises(
        DataError, match=r"^Twice at odd has no ONNX form; give it one with lamina.train.onnx.exp"
    ):
        save_onnx(tmp_path / "x.onnx", net)
    assert not list(tmp_path.iterdir())


def test_an_exporter_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamina.train.onnx.writer.EXPORTERS", dict(EXPORTERS))
    exporter(Twice)(lambda writer, module: writer.add("Mul", writer.value, writer.constant("two", 2.0)))
    save_onnx(tmp_path / "x.onnx", Twice("numpy"), (3,))
    found = load_onnx(tmp_path / "x.onnx", backend="numpy")
    assert found(np.ones((1, 3), np.float32)).tolist() == [[2.0, 2.0, 2.0]]


@pytest.mark.parametrize("case", [c for c in LAYER_CASES if c not in WRITABLE], ids=lambda case: case.name)
def test_statistics_of_the_batch_have_no_form(case: LayerCase, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="without running statistics it has no ONNX form"):
        save_onnx(tmp_path / "x.onnx", case.build(get_backend("numpy")), case.input_shape[1:])


def test_the_input_must_be_known_and_fit(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="the first layer does not know its input; pass input_shape"):
        save_onnx(tmp_path / "x.onnx", Conv2d(1, 2, 3, backend="numpy"))
    with pytest.raises(ShapeError, match=r"Conv2d\(1 -> 2, 3x3\): expected input no smaller than the kernel"):
        save_onnx(tmp_path / "x.onnx", Conv2d(1, 2, 3, backend="numpy"), (1, 2, 2))
    with pytest.raises(DataError, match="input_dtype must be 'float32' or 'int64', got 'float16'"):
        save_onnx(tmp_path / "x.onnx", Linear(2, 2, backend="numpy"), input_dtype="float16")
    assert not list(tmp_path.iterdir())
