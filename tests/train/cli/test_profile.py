"""`lamina profile`: tables, a trace for Perfetto, a picture, and mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.backends import get_backend
from lamina.backends.decorators.profile import Event, ProfileBackend
from lamina.backends.decorators.report import Report, Row
from lamina.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from lamina.train.profiling import Roof, Work, chrome_trace, draw_roofline, measure_roof

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine is measured for real in one test."""
    monkeypatch.setattr("lamina.train.cli.profile.measure_roof", lambda backend: Roof(1e11, 1e10))


def check_trace(path: Path) -> list[dict[str, Any]]:
    """Return a trace's complete events: each has what Perfetto asks for, and lies within another or apart."""
    trace = json.loads(path.read_text())
    meta, *events = trace["traceEvents"]
    assert (meta["ph"], meta["name"]) == ("M", "process_name")
    assert isinstance(meta["args"]["name"], str)
    open_until: list[float] = []
    last = 0.0
    for event in events:
        assert event["ph"] == "X"
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert event["ts"] >= last >= 0
        assert event["dur"] >= 0
        last, end = event["ts"], event["ts"] + event["dur"]
        while open_until and open_until[-1] <= event["ts"]:
            open_until.pop()
        assert not open_until or end <= open_until[-1] + 1e-6, event
        open_until.append(end)
    return [event for event in events if event["ph"] == "X"]


# -- what is profiled --------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_pictures")
def test_a_data_set(lamina: Run, files: Path) -> None:
    out = lamina("profile words.csv --hidden 8 --steps 4 --batch-size 16").stdout
    assert "words.csv dense, training step, batch of 16, profile+numpy float32; mean of 4 steps:" in out
    assert "0 Linear " in out
    assert "  backward " in out
    assert "optimizer " in out
    assert "FLOP/s; a matrix product reaches " in out
    folder = Path("runs/profile-1")
    assert {path.name for path in folder.iterdir()} == {"profile.json", "trace.json", "roofline.png"}
    assert (folder / "roofline.png").read_bytes().startswith(b"\x89PNG")
    events = check_trace(folder / "trace.json")
    steps = [event for event in events if event["cat"] == "step"]
    assert [event["name"] for event in steps] == ["step 1", "step 2", "step 3", "step 4"]
    layers = [event["name"] for event in events if event["cat"] == "layer"]
    once = ["0", "1", "2", "loss", "loss.backward", "2.backward", "1.backward", "0.backward", "optimizer"]
    assert layers == 4 * once
    op = next(event for event in events if event["name"] == "linear")
    assert op["cat"] == "op"
    assert op["args"] == {"FLOPs": 2 * 16 * 3 * 8 + 16 * 8, "bytes": op["args"]["bytes"]}


def test_json(lamina: Run, files: Path) -> None:
    found = lamina("profile words.csv --hidden 8 --steps 3 --batch-size 16 --json --out kept").json
    assert found["steps"] == 3
    assert found["batch_size"] == 16
    assert found["backend"] == "profile+numpy"
    assert found["seconds_per_step"] > 0
    assert found["folder"] == "kept"
    assert found["roof"] == {"flops_per_second": 1e11, "bytes_per_second": 1e10}
    first = next(row for row in found["layers"] if row["layer"] == "0" and not row["backward"])
    assert first["flops"] == 3 * (2 * 16 * 3 * 8 + 16 * 8)
    assert sum(row["flops"] for row in found["ops"]) == found["total"]["flops"] == 3 * found["flops_per_step"]
    kept = json.loads(Path("kept/profile.json").read_text())
    assert kept == {key: value for key, value in found.items() if key not in ("folder", "files")}


def test_forward_only(lamina: Run, files: Path) -> None:
    found = lamina("profile idx --model cnn --forward-only --steps 2 --json").json
    assert "forward only" in found["what"]
    assert not any(row["backward"] for row in found["layers"])
    assert {row["layer"] for row in found["layers"]} <= {str(i) for i in range(30)}


def test_a_batch_is_at_most_the_training_set(lamina: Run, files: Path) -> None:
    assert lamina("profile words.csv --batch-size 5000 --steps 1 --json").json["batch_size"] == 70


@pytest.mark.parametrize("data", ["words.csv", "price.csv"])
def test_a_run_folder_trains_as_it_did(lamina: Run, files: Path, data: str) -> None:
    lamina(f"train {data} --epochs 1 --hidden 4 --optimizer sgd --batch-size 8 --out run")
    for source in ("run", "run/model.safetensors"):
        found = lamina(f"profile {source} --steps 1 --json").json
        assert found["batch_size"] == 8
        assert "sgd_step" in {row["op"] for row in found["ops"]}


def test_a_stack_keeps_its_order(lamina: Run, files: Path) -> None:
    found = lamina("profile words.csv --backend strict+numpy --dtype float64 --steps 1 --json").json
    assert (found["backend"], found["dtype"]) == ("profile+numpy", "float64")
    assert "strict+profile+numpy float64" in found["what"]
    found = lamina("profile words.csv --backend profile+numpy --steps 1 --json").json
    assert "batch of 32, profile+numpy" in found["what"]


def test_onnx_files(lamina: Run, folder: Path) -> None:
    pytest.importorskip("onnx", reason="the files are ONNX's")
    from lamina.train.onnx import save_onnx

    b = get_backend("numpy")
    conv = Conv2d(1, 2, 3, backend=b)
    net = Sequential(conv, MaxPool2d(2, backend=b), Flatten(backend=b), Linear(2, 3, backend=b))
    save_onnx("net.onnx", net, (1, 4, 4))
    save_onnx("image.onnx", Sequential(conv, ReLU(backend=b)), (1, 4, 4))
    found = lamina("profile net.onnx --steps 2 --batch-size 4 --json").json
    assert {"sgd_step", "linear_grad", "max_pool_grad"} <= {row["op"] for row in found["ops"]}
    backward = [row["layer"] for row in found["layers"] if row["backward"]]
    assert len(backward) == 5  # the loss, and four nodes
    found = lamina("profile image.onnx --steps 1 --json").json  # of any shape: squared error takes it
    assert (found["batch_size"], "relu_grad" in {row["op"] for row in found["ops"]}) == (32, True)


def test_an_onnx_file_that_cannot_be_trained(lamina: Run, folder: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="the file is ONNX's")
    helper = onnx.helper
    x, y = (helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [2, 3]) for n in "xy")
    graph = helper.make_graph([helper.make_node("Sqrt", ["x"], ["y"])], "g", [x], [y])
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), "sqrt.onnx")
    error = lamina("profile sqrt.onnx", code=2).stderr
    assert "has no backward pass; use the model to predict; --forward-only measures a" in " ".join(
        error.split()
    )
    found = lamina("profile sqrt.onnx --forward-only --steps 1 --json").json
    assert found["batch_size"] == 2  # which the file fixes


# -- the pieces --------------------------------------------------------------------------------------


def test_a_trace_of_nothing() -> None:
    assert [event["ph"] for event in chrome_trace([], "nothing")["traceEvents"]] == ["M"]


def test_a_trace_puts_the_outer_event_first() -> None:
    events = [Event("op", "exp", 5_000, 6_000, 3, 24), Event("layer", "a", 5_000, 9_000)]
    trace = chrome_trace(events, "t")["traceEvents"][1:]
    assert [(event["name"], event["ts"], event["dur"]) for event in trace] == [("a", 0, 4), ("exp", 0, 1)]


def test_the_roof_is_measured() -> None:
    roof = measure_roof(get_backend("numpy"), seconds=0.01)
    assert roof.flops_per_second > 1e8
    assert roof.bytes_per_second > 1e7
    assert roof.ridge == roof.flops_per_second / roof.bytes_per_second
    assert roof.bound(1e9) == roof.flops_per_second
    assert roof.bound(1e-3) == pytest.approx(1e-3 * roof.bytes_per_second)


@pytest.mark.usefixtures("whole_pictures")
def test_labels_do_not_overlap(tmp_path: Path) -> None:
    from matplotlib.text import Annotation, Text

    rng = np.random.default_rng(0)
    rows = [
        Row("", False, f"op_number_{i}", 1, float(rng.uniform(0.2, 1)), int(10 ** rng.uniform(7, 8)), 10**8)
        for i in range(12)
    ]
    moves = [Row("", False, f"move_number_{i}", 1, 0.5, 0, 10**8) for i in range(9)]
    report = Report("profile+numpy", "float32", (*rows, *moves))
    figure = draw_roofline(report, Roof(1e9, 1e9), tmp_path / "a.png", title="$5 a run")
    axes = figure.axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert axes.get_ylabel() == "FLOP/s"
    assert all(f"move_number_{i}" in axes.get_xlabel() for i in range(9))
    labels = [text for text in axes.texts if isinstance(text, Annotation)]
    assert {text.get_text().split()[0] for text in labels} >= {row.op for row in rows}
    boxes = [Text.get_window_extent(text) for text in labels]
    clashes = [
        (labels[i].get_text(), labels[j].get_text())
        for i in range(len(boxes))
        for j in range(i)
        if boxes[i].overlaps(boxes[j])
    ]
    assert clashes == []


def test_work_without_parameters_has_no_optimizer(folder: Path) -> None:
    from lamina.train.runs.predictor import Predictor

    b = get_backend("profile+numpy")
    assert isinstance(b, ProfileBackend)
    net = Sequential(ReLU(backend=b))
    work = Work.of_predictor(Predictor(net, (3,), None, None, None, None, None, 0.0, ""))
    work.prepare(forward_only=False)
    work.step()
    assert work.optimizer is None
    assert work.samples.size == 32
