"""Reading ONNX files: several inputs, constants, functions, and the errors for bad files."""

from __future__ import annotations

import contextlib
import copy
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend, DataError, LaminaError, StateError, get_backend
from lamina.layers import BatchNorm2d, Conv2d, Dropout, Linear, Module, ReLU, Sequential, manual_seed
from lamina.train.onnx import budget, load_onnx, save_onnx

onnx = pytest.importorskip("onnx", reason="files are read with the onnx package")
from onnx_models import FLOAT, model, node  # noqa: E402


def host(b: Backend, x: Any) -> Any:
    return np.asarray(b.to_host(x))


IMAGE = {"x": (FLOAT, ["N", 2, 6, 6])}
KERNEL = np.random.default_rng(0).standard_normal((3, 2, 3, 3)).astype(np.float32)
CONVOLUTION = [node("Conv", "x w", "h"), node("Relu", "h")]


# -- models ----------------------------------------------------------------------------------------


def test_nodes_become_layers(backend: Backend) -> None:
    b = backend
    net = load_onnx(model(CONVOLUTION, IMAGE, {"w": KERNEL}), backend=b)
    assert [type(layer) for _, layer in net.named_children()] == [Conv2d, ReLU]
    assert [name for name, _ in net.named_parameters()] == ["conv.weight"]
    assert net.training is False
    assert net.input_shape == (2, 6, 6)
    assert net.output_shape((5, 2, 6, 6)) == (5, 3, 4, 4)
    assert net.summary().parameters == KERNEL.size


def test_a_chain_of_layers_can_be_trained(backend64: Backend) -> None:
    b = backend64
    layer = Sequential(Conv2d(2, 3, 3, bias=False, backend=b), ReLU(backend=b))
    layer.load_state_dict({"0.weight": KERNEL})
    net = load_onnx(model(CONVOLUTION, IMAGE, {"w": KERNEL}), backend=b).train()
    x = b.from_host(np.random.default_rng(1).standard_normal((2, 2, 6, 6)))
    g = b.from_host(np.random.default_rng(2).standard_normal((2, 3, 4, 4)))
    assert np.array_equal(host(b, net(x)), host(b, layer(x)))
    assert np.array_equal(host(b, net.backward(g)), host(b, layer.backward(g)))
    ours, theirs = next(iter(net.parameters())).grad, next(iter(layer.parameters())).grad
    assert np.array_equal(host(b, ours), host(b, theirs))


def test_inputs_and_outputs_by_name(backend: Backend) -> None:
    b = backend
    nodes = [node("Add", "x two", "s"), node("Mul", "s z", "p"), node("Neg", "p", "q")]
    inputs: Any = {"x": (FLOAT, ["N", 3]), "z": (FLOAT, [3])}
    net = load_onnx(model(nodes, inputs, {"two": np.float32(2)}, ("p", "q")), backend=b)
    x, z = np.ones((4, 3)), np.array([1.0, 2.0, 3.0])
    results = net.run({"z": b.from_host(z), "x": b.from_host(x)})
    assert list(results) == ["p", "q"]
    assert np.array_equal(host(b, results["p"]), (x + 2) * z)
    assert np.array_equal(host(b, results["q"]), -(x + 2) * z)
    with pytest.raises(StateError, match=r"has 2 inputs and 2 outputs; call run\(inputs\)"):
        net(b.from_host(x))
    with pytest.raises(DataError, match="expected the inputs x, z, got x"):
        net.run({"x": b.from_host(x)})


def test_constants_are_folded() -> None:
    nodes = [node("Transpose", "w", "t"), node("MatMul", "x t")]
    weight = np.arange(6, dtype=np.float32).reshape(2, 3)
    net = load_onnx(model(nodes, {"x": (FLOAT, ["N", 3])}, {"w": weight}), backend="numpy")
    ((_, layer),) = net.named_children()
    assert isinstance(layer, Linear)
    assert np.array_equal(layer.state_dict()["weight"], weight)


def test_a_shape_may_depend_on_the_batch(backend: Backend) -> None:
    """torch exports a view this way: (x.shape[0], -1)."""
    b = backend
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n"),
        node("Unsqueeze", "n zeros", "u"),
        node("Concat", "u rest", "t", axis=0),
        node("Reshape", "x t"),
    ]
    weights = {"zero": np.int64(0), "zeros": np.zeros(1, np.int64), "rest": np.array([-1])}
    net = load_onnx(model(nodes, {"x": (FLOAT, ["N", 2, 3])}, weights, rank=2), backend=b)
    for n in (1, 4):
        assert b.shape(net(b.from_host(np.ones((n, 2, 3))))) == (n, 6)


def test_functions_of_the_file_are_inlined() -> None:
    body = [onnx.helper.make_node("Mul", ["a", "a"], ["b"])]
    square = onnx.helper.make_function(
        "own", "Square", ["a"], ["b"], body, [onnx.helper.make_opsetid("", 22)]
    )
    call = onnx.helper.make_node("Square", ["x"], ["y"], domain="own")
    net = load_onnx(model([call], {"x": (FLOAT, [2])}, functions=[square]), backend="numpy")
    assert net.run({"x": np.array([2.0, 3.0], np.float32)})["y"].tolist() == [4.0, 9.0]


def test_a_model_moves_to_another_backend_and_dtype(backend: Backend) -> None:
    nodes = [node("Conv", "x w", "h"), node("Add", "h one")]
    weights = {"w": KERNEL, "one": np.ones((1, 3, 1, 1), np.float32)}
    net = load_onnx(model(nodes, IMAGE, weights), backend="numpy")
    x = np.random.default_rng(0).standard_normal((1, 2, 6, 6)).astype(np.float32)
    expected = host(net.backend, net(net.backend.from_host(x)))
    twin = copy.deepcopy(net).to(backend)
    np.testing.assert_allclose(host(backend, twin(backend.from_host(x))), expected, rtol=1e-5, atol=1e-5)
    wide = twin.to(get_backend(backend.spec, dtype="float64"))
    assert wide.backend.dtype(wide(wide.backend.from_host(x))) == "float64"
    assert np.array_equal(host(net.backend, net(net.backend.from_host(x))), expected)


def test_reading_does_not_advance_the_seed() -> None:
    data = model(CONVOLUTION, IMAGE, {"w": KERNEL})
    manual_seed(5)
    first = Linear(2, 2, backend="numpy").state_dict()["weight"]
    manual_seed(5)
    load_onnx(data, backend="numpy")
    assert np.array_equal(Linear(2, 2, backend="numpy").state_dict()["weight"], first)


def test_dropout_acts_in_training() -> None:
    net = load_onnx(model([node("Dropout", "x")], {"x": (FLOAT, ["N", 64])}), backend="numpy")
    x = np.ones((4, 64), np.float32)
    assert np.array_equal(net(x), x)
    assert isinstance(next(m for _, m in net.named_children()), Dropout)
    assert set(np.unique(net.train()(x))) == {0.0, 2.0}


# -- errors ----------------------------------------------------------------------------------------


def test_a_truncated_file(tmp_path: Path) -> None:
    net = Sequential(Conv2d(2, 3, 3, backend="numpy"), BatchNorm2d(3, backend="numpy"), ReLU("numpy"))
    file = tmp_path / "net.onnx"
    save_onnx(file, net, (2, 6, 6))
    data = file.read_bytes()
    assert isinstance(load_onnx(data, backend="numpy"), Module)
    for length in range(len(data)):
        with pytest.raises(DataError, match="cut short"):
            load_onnx(data[:length], backend="numpy")
    for place in range(0, len(data), 3):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        with contextlib.suppress(LaminaError):
            net = load_onnx(bytes(damaged), backend="numpy")
            net.run({i.name: np.ones((2, 2, 6, 6), np.float32) for i in net.inputs})


MANY = np.array([10**6, 10**6])
LARGE: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "Range": ([node("Range", "a b c")], {"a": 0.0, "b": 1e10, "c": 1.0}, "at most 16,777,216 bytes"),
    "Range without a step": ([node("Range", "a b a")], {"a": 0.0, "b": 1.0}, "a step other than 0, got 0.0"),
    "Range to infinity": ([node("Range", "a b c")], {"a": 0.0, "b": np.inf, "c": 1.0}, "expected finite"),
    "ConstantOfShape": ([node("ConstantOfShape", "s")], {"s": MANY}, "full: expected at most"),
    "many": (
        [*(node("ConstantOfShape", "s", f"r{i}") for i in range(9)),
         node("Sum", " ".join(f"r{i}" for i in range(9)))],
        {"s": np.array([10**6])},
        "expected at most 777,216 bytes",
    ),
    "Expand": ([node("Expand", "x s")], {"s": np.array([10**10, 2, 2])}, "broadcast_to: expected at most"),
    "Tile": ([node("Tile", "x s")], {"s": MANY}, "broadcast_to: expected at most"),
    "Tile of another rank": ([node("Tile", "x s")], {"s": np.array([2])}, "Tile"),
    "Pad": ([node("Pad", "x s")], {"s": np.array([0, 0, 10**10, 0])}, "pad: expected at most"),
    "Pad by the edge": (
        [node("Pad", "x s", mode="edge")], {"s": np.array([0, 0, 10**10, 0])}, "widths of at most 1,048,576",
    ),
    "OneHot": (
        [node("Cast", "x", "i", to=7), node("OneHot", "i d v")],
        {"d": np.array([10**10]), "v": np.array([0.0, 1.0], np.float32)},
        "arange: expected at most",
    ),
    "CumSum": (
        [node("ConstantOfShape", "s", "r"), node("CumSum", "r k")],
        {"s": np.array([10**6]), "k": np.int64(0)},
        "less_equal: expected at most",
    ),
    "broadcasting": (
        [node("ConstantOfShape", "s", "r"), node("ConstantOfShape", "t", "u"), node("Add", "r u")],
        {"s": np.array([10**6, 1]), "t": np.array([1, 10**6])},
        "add: expected at most",
    ),
    "doubling": (
        [node("Concat", "x x", "d0", axis=0),
         *(node("Concat", f"d{i} d{i}", f"d{i + 1}", axis=0) for i in range(40)),
         node("Neg", "d40")],
        {},
        "concat: expected at most",
    ),
    "products": (
        [node("ConstantOfShape", "s", "r0"), *(node("MatMul", f"r{i} r{i}", f"r{i + 1}") for i in range(99)),
         node("Neg", "r99")],
        {"s": np.array([2**9, 2**9])},
        "expected at most 1,000,000,000 FLOPs on constants alone",
    ),
    "MaxPool": (
        [node("Unsqueeze", "x z", "u"), node("MaxPool", "u", kernel_shape=[2**20, 2**20], pads=[2**19] * 4)],
        {"z": np.array([0, 1])},
        "expected a kernel of at most 1,048,576 elements",
    ),
    "ConvTranspose": (
        [node("Unsqueeze", "x z", "u"), node("ConvTranspose", "u w", strides=[10**6, 10**6])],
        {"z": np.array([0, 1]), "w": np.ones((1, 1, 1, 1), np.float32)},
        "full: expected at most",
    ),
    "Slice by 0": (
        [node("Slice", "x a b c a")],
        {"a": np.array([0]), "b": np.array([2]), "c": np.array([1])},
        "expected steps other than 0, got 0",
    ),
    "Slice of an axis that is not there": (
        [node("Gather", "x i", axis=0)], {"i": np.array([10**6])}, "take: expected indices from 0 to 1, got",
    ),
}  # fmt: skip
RANKS = {"Expand": 3, "Range": 1, "many": 1, "CumSum": 1, "OneHot": 3, "MaxPool": 4, "ConvTranspose": 4}


@pytest.mark.parametrize("name", LARGE)
def test_a_small_file_takes_no_large_memory(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "LARGEST", 2**24)
    monkeypatch.setattr(budget, "FOLDED", 10**9)
    nodes, weights, message = LARGE[name]
    weights = {k: np.float32(v) if isinstance(v, float) else v for k, v in weights.items()}
    data = model(nodes, {"x": (FLOAT, [2, 2])}, weights, rank=RANKS.get(name.split()[0], 2))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=message):
            load_onnx(data, backend="numpy").run({"x": np.ones((2, 2), np.float32)})
        assert tracemalloc.get_traced_memory()[1] < 2**27
    finally:
        tracemalloc.stop()


def test_constants_may_overflow_without_a_warning() -> None:
    weights = {"a": np.array([np.inf, 1e30], np.float32), "b": np.array([0.0, 1e30], np.float32)}
    net = load_onnx(model([node("Mul", "a b", "c"), node("Add", "x c")], {"x": (FLOAT, [2])}, weights))
    np.testing.assert_array_equal(net._host["c"], [np.nan, np.inf])


def test_functions_that_call_functions_stay_small() -> None:
    imports = [onnx.helper.make_opsetid("", 22), onnx.helper.make_opsetid("own", 1)]
    make = onnx.helper.make_node
    functions = [onnx.helper.make_function("own", "F0", ["a"], ["b"], [make("Neg", ["a"], ["b"])], imports)]
    for i in range(1, 30):
        twice = [make(f"F{i - 1}", [x], [y], domain="own") for x, y in (("a", "c"), ("c", "b"))]
        functions.append(onnx.helper.make_function("own", f"F{i}", ["a"], ["b"], twice, imports))
    call = make("F29", ["x"], ["y"], domain="own")
    with pytest.raises(DataError, match="at most 100,000 nodes after its functions are inlined, got 536"):
        load_onnx(model([call], {"x": (FLOAT, [2])}, functions=functions), backend="numpy")


def test_what_the_inputs_account_for_is_allowed() -> None:
    """A batch of a thousand may take a thousand times the memory of one sample."""
    net = load_onnx(model(CONVOLUTION, IMAGE, {"w": KERNEL}), backend="numpy")
    for n in (1, 5, 1):
        assert net(np.ones((n, 2, 6, 6), np.float32)).shape == (n, 3, 4, 4)


def test_without_the_onnx_package(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    real = importlib.import_module

    def missing(name: str, package: str | None = None) -> Any:
        if name.split(".")[0] == "onnx":
            raise ImportError("No module named 'onnx'")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(DataError, match=r'Install it with: pip install "lamina\[onnx\]"'):
        load_onnx(b"")
    with pytest.raises(DataError, match=r'pip install "lamina\[onnx\]"'):
        save_onnx("x.onnx", Linear(2, 2, backend="numpy"))
