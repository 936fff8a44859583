"""Pictures of networks: which boxes there are, what leads where, and what arrows say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.backends import OptionError, ShapeError, get_backend
from lamina.backends.drawing import Graph
from lamina.layers import (
    BatchNorm1d,
    Conv2d,
    CrossEntropyLoss,
    Dropout,
    Flatten,
    Linear,
    Module,
    MSELoss,
    ReLU,
    Residual,
    Sequential,
)
from lamina.train.pictures.graphs import draw_layers, draw_step

NUMPY = get_backend("numpy")


def linear(i: int, o: int, b: Any = NUMPY) -> Linear:
    return Linear(i, o, backend=b)


def first_lines(graph: Graph) -> list[str]:
    return [node.label.split("\n")[0] for node in graph.nodes]


def arrows(graph: Graph) -> list[tuple[str, str, str]]:
    """Return the arrows as (first line of the source, of the target, label)."""
    names = first_lines(graph)
    return [(names[a], names[b], label) for a, b, label in graph.edges]


def captions(graph: Graph) -> dict[str, str]:
    return {path: group.caption for path, group in graph.groups.items()}


def test_a_chain() -> None:
    graph = draw_layers(
        Sequential(Conv2d(1, 2, 3, backend=NUMPY), ReLU(NUMPY), Flatten(backend=NUMPY)), (1, 5, 5), "t"
    )
    assert graph.title == "t"
    assert arrows(graph) == [
        ("input", "Conv2d(1 -> 2, 3x3)", ""),
        ("Conv2d(1 -> 2, 3x3)", "ReLU()", "(N, 2, 3, 3)"),
        ("ReLU()", "Flatten()", "(N, 2, 3, 3)"),
        ("Flatten()", "output", "(N, 18)"),
    ]
    kinds = [node.kind for node in graph.nodes]
    assert kinds == ["input", "convolution", "activations", "shaping", "result"]
    assert len({graph.colours[kind] for kind in kinds}) == 5
    assert "20 parameters" in graph.source
    assert graph.groups == {}


def test_a_layer_alone_and_no_layers() -> None:
    assert first_lines(draw_layers(linear(2, 3))) == ["input", "Linear(2 -> 3)", "output"]
    assert arrows(draw_layers(Sequential(backend=NUMPY), (4,))) == [("input", "output", "")]


@pytest.mark.parametrize("shortcut", [False, True])
def test_residual_is_two_paths_that_meet(shortcut: bool) -> None:
    around = linear(2, 2) if shortcut else None
    model = Sequential(ReLU(NUMPY), Residual(BatchNorm1d(2, backend=NUMPY), shortcut=around), linear(2, 1))
    graph = draw_layers(model, (2,))
    found = arrows(graph)
    assert ("ReLU()", "BatchNorm1d(2)", "(N, 2)") in found
    assert ("BatchNorm1d(2)", "+", "(N, 2)") in found
    assert ("+", "Linear(2 -> 1)", "(N, 2)") in found
    way = [("ReLU()", "Linear(2 -> 2)", "(N, 2)"), ("Linear(2 -> 2)", "+", "(N, 2)")]
    assert (way if shortcut else [("ReLU()", "+", "(N, 2)")])[-1] in found
    assert captions(graph) == {"1": "1: Residual"}
    assert [node.group for node in graph.nodes].count("1") == 2 + shortcut


class Own(Module):
    """A container whose forward pass nobody can read off its attributes."""

    def __init__(self, b: Any, count: int = 2) -> None:
        super().__init__(b)
        self.blocks = [linear(2, 2, b) for _ in range(count)]

    def forward(self, x: Any) -> Any:
        y = x
        for layer in self.blocks:
            y = self.backend.add(layer(y), x)
        return y


def test_a_container_of_ones_own_is_a_box_that_lists_its_layers() -> None:
    graph = draw_layers(Sequential(Own(NUMPY, 8), linear(2, 1)), (2,))
    (label,) = (node.label for node in graph.nodes if node.label.startswith("Own"))
    inside = [f"blocks.{i}: Linear(2 -> 2)" for i in range(6)]
    assert label.split("\n") == ["Own()", *inside, "and 2 more", "48 parameters"]


def test_one_that_inherits_is_drawn_as_what_it_is() -> None:
    class Block(Sequential):
        pass

    class Other(Sequential):
        def forward(self, x: Any) -> Any:
            return self.backend.add(super().forward(x), x)

    class Mine(Linear):
        pass

    graph = draw_layers(Sequential(Block(linear(2, 2)), Other(linear(2, 2)), Mine(2, 2, backend=NUMPY)))
    assert first_lines(graph) == ["input", "Linear(2 -> 2)", "Other", "Mine(2 -> 2)", "output"]
    assert captions(graph) == {"0": "0: Block"}
    assert [node.kind for node in graph.nodes] == ["input", "linear", "sequential", "linear", "result"]


def test_a_large_model_is_drawn_by_its_containers() -> None:
    block = lambda: Sequential(*(linear(2, 2) for _ in range(20)))  # noqa: E731
    assert first_lines(draw_layers(Sequential(block(), block()))).count("Linear(2 -> 2)") == 40
    graph = draw_layers(Sequential(*(block() for _ in range(4))))
    assert first_lines(graph) == ["input", *["Sequential"] * 4, "output"]
    flat = draw_layers(Sequential(*(linear(2, 2) for _ in range(80))))
    assert len(flat.nodes) == 82


def test_the_model_is_left_as_it_is() -> None:
    stack = get_backend("autodiff+numpy")
    model = Sequential(linear(2, 2, stack), BatchNorm1d(2, backend=stack), Dropout(0.5, backend=stack)).eval()
    before = model.state_dict()
    draw_layers(model)
    x, y = stack.from_host(np.ones((3, 2))), stack.from_host(np.ones((3, 2)))
    draw_step(model, MSELoss(backend=stack), x, y)
    assert not any(module.training for _, module in model.named_modules())
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert vars(model[0]).keys() == vars(linear(2, 2)).keys()
    assert not x.requires_grad  # type: ignore[attr-defined]


def test_a_step() -> None:
    stack = get_backend("autodiff+numpy", dtype="float64")
    model = Sequential(linear(2, 3, stack), ReLU(stack))
    x, y = stack.from_host(np.ones((4, 2))), stack.from_host(np.ones((4, 3)))
    graph = draw_step(model, MSELoss(backend=stack), x, y)
    assert arrows(graph)[:4] == [
        ("input", "linear", ""),
        ("0.weight", "linear", ""),
        ("0.bias", "linear", ""),
        ("linear", "relu", "(4, 3)"),
    ]
    assert ("target", "subtract", "") in arrows(graph)
    assert arrows(graph)[-1] == ("mean", "loss", "()")
    assert captions(graph) == {"loss": "loss: MSELoss()"}


def test_a_step_of_labels() -> None:
    stack = get_backend("autodiff+numpy")
    x, y = stack.from_host(np.ones((4, 2))), stack.from_host(np.array([0, 1, 1, 0]))
    graph = draw_step(Own(stack), CrossEntropyLoss(backend=stack), x, y)
    assert ("target", "take_along_axis", "(4, 1)") in arrows(graph)
    assert first_lines(graph).count("target") == 1
    assert list(graph.groups) == ["blocks", "loss"]
    with pytest.raises(
        OptionError, match="expected a model on a stack that begins with autodiff, got <backend"
    ):
        draw_step(linear(2, 3), MSELoss(backend=NUMPY), x, y)
    with pytest.raises(
        OptionError, match=r"tensors of <backend autodiff\+numpy .*, got ndarray and Variable"
    ):
        draw_step(Own(stack), MSELoss(backend=stack), np.ones((4, 2)), y)


def test_a_large_step_is_a_box_for_each_layer() -> None:
    stack = get_backend("autodiff+numpy")
    model = Sequential(*(BatchNorm1d(2, backend=stack) for _ in range(6)))
    x, y = stack.from_host(np.ones((4, 2))), stack.from_host(np.array([0, 1, 1, 0]))
    graph = draw_step(model, CrossEntropyLoss(backend=stack), x, y)
    layers = [*["BatchNorm1d(2)"] * 6, "CrossEntropyLoss()"]
    assert first_lines(graph) == [*layers, "input", "target", "loss"]
    assert graph.nodes[6].label == "CrossEntropyLoss()\nloss: 7 operators"


def test_a_large_step_has_the_colours_of_its_layers() -> None:
    stack = get_backend("autodiff+numpy")
    norms = [BatchNorm1d(3, backend=stack) for _ in range(4)]
    model = Sequential(linear(2, 3, stack), ReLU(stack), *norms)
    x, y = stack.from_host(np.ones((4, 2))), stack.from_host(np.array([0, 1, 1, 0]))
    step, layers = draw_step(model, CrossEntropyLoss(backend=stack), x, y), draw_layers(model)
    colours = [
        {node.label.split("\n")[0]: graph.colours[node.kind] for node in graph.nodes}
        for graph in (step, layers)
    ]
    for name in ("Linear(2 -> 3)", "ReLU()", "BatchNorm1d(3)"):
        assert colours[0][name] == colours[1][name]
    assert len({colours[0][name] for name in ("Linear(2 -> 3)", "ReLU()", "BatchNorm1d(3)")}) == 3
    assert "losses" in {node.kind for node in step.nodes}


def test_an_onnx_file_by_its_steps(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="the model is an ONNX file")
    from lamina.train.onnx import load_onnx

    node = onnx.helper.make_node
    info = lambda name, shape: onnx.helper.make_tensor_value_info(name, 1, shape)  # noqa: E731
    weight = onnx.numpy_helper.from_array(np.ones((3, 2), np.float32), "w")
    nodes = [
        node("Gemm", ["x", "w"], ["h"], transB=1),
        node("Relu", ["h"], ["r"]),
        node("Add", ["h", "r"], ["y"]),
    ]
    graph = onnx.helper.make_graph(nodes, "net", [info("x", ["N", 2])], [info("y", ["N", 3])], [weight])
    opset = onnx.helper.make_opsetid("", 17)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), tmp_path / "net.onnx")
    graph = draw_layers(load_onnx(tmp_path / "net.onnx", backend=NUMPY))
    assert arrows(graph) == [
        ("input", "Linear(2 -> 3, bias=False)", ""),
        ("Linear(2 -> 3, bias=False)", "ReLU()", "(N, 3)"),
        ("Linear(2 -> 3, bias=False)", "Add()", "(N, 3)"),
        ("ReLU()", "Add()", "(N, 3)"),
        ("Add()", "output", "(N, 3)"),
    ]


def test_a_sample_that_does_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"Linear\(2 -> 3\): expected input \(N, \.\.\., 2\), got \(1, 5\)"):
        draw_layers(linear(2, 3), (5,))
    with pytest.raises(ShapeError, match="the first layer does not know its input; pass input_shape"):
        draw_layers(ReLU(NUMPY))


def test_a_picture_of_it(tmp_path: Path) -> None:
    model = Sequential(linear(2, 2), Residual(linear(2, 2), Sequential(ReLU(NUMPY), linear(2, 2))))
    svg = draw_layers(model, title="a <b> & c").render(tmp_path / "net.svg").read_text()
    assert "a &lt;b&gt; &amp; c" in svg
    assert "1: Residual" in svg
    assert svg.count("Linear(2 -&gt; 2)") == 3
