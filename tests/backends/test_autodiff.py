"""`autodiff`: gradients against torch.autograd, second derivatives, the life of the graph, errors."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina.backends import (
    Backend,
    BackendError,
    DtypeError,
    OptionError,
    ShapeError,
    StateError,
    get_backend,
)
from lamina.backends.decorators.autodiff import grad, no_grad, variable
from lamina.backends.decorators.tape import GradOperator
from lamina.backends.decorators.variable import Variable
from lamina.backends.drawing import Graph
from lamina.layers import (
    Linear,
    Module,
    MSELoss,
    ReLU,
    Residual,
    Sequential,
    SiLU,
    TorchDefault,
    named_scopes,
)
from lamina.train.optimizers import SGD

pytestmark = pytest.mark.raw_only  # each test makes its own stack
RNG = np.random.default_rng(0)


@pytest.fixture
def tape(backend64: Backend) -> Any:
    """An autodiff stack around each backend."""
    return get_backend(f"autodiff+{backend64.spec}", dtype="float64")


def live() -> int:
    return sum(type(thing) is GradOperator for thing in gc.get_objects())


# -- Carlier's notation ----------------------------------------------------------------------------


def test_the_example_of_the_paper(tape: Any) -> None:
    torch = pytest.importorskip("torch", reason="the oracle is torch.autograd")
    x = variable(RNG.standard_normal((3, 3)), tape)
    y = x.t() - x.exp()
    z = y.pow(2).sum()
    z.backward()
    t = torch.tensor(x.numpy(), requires_grad=True)
    (t.t() - t.exp()).pow(2).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-12)


EXPRESSIONS: dict[str, Any] = {
    "arithmetic": lambda x, y: (2 * x + y / 3 - 1) * (x - y) / (1 + y * y),
    "reflected": lambda x, y: (1 - x) + (2 / (3 + y * y)) + 2 * y - 0 * x,
    "elementwise": lambda x, y: (
        (x * x + 1).log() + (y * y + 1).sqrt() + x.tanh() * y.sigmoid() + x.abs() + y.relu()
    ),
    "matrices": lambda x, y: x @ y.t() @ x,
    "a path twice": lambda x, y: (x * y) * (x * y) + x * y,
    "sums": lambda x, y: x.sum(0) * y.sum(0) + x.mean(0),
    "softmax": lambda x, y: x.softmax(1) * y,
    "reshape": lambda x, y: x.reshape(-1) * y.reshape(12),
    "max": lambda x, y: x.max(1) if isinstance(x, Variable) else x.max(1).values,
    "power": lambda x, y: (x * x + 1) ** 1.5 + (x * x + 1) ** (y * 0.5 + 1),
    "repeat": lambda x, y: x.repeat(2, 1, 3) * 1.5,
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expressions_against_torch(name: str, tape: Any) -> None:
    torch = pytest.importorskip("torch", reason="the oracle is torch.autograd")
    values = [
        RNG.standard_normal((3, 4)) if name != "matrices" else RNG.standard_normal((3, 3)) for _ in range(2)
    ]
    ours = [variable(value, tape) for value in values]
    theirs = [torch.tensor(value, requires_grad=True) for value in values]
    y, right = EXPRESSIONS[name](*ours), EXPRESSIONS[name](*theirs)
    np.testing.assert_allclose(y.numpy(), right.detach().numpy(), rtol=1e-12, atol=1e-14)
    g = RNG.standard_normal(y.shape)
    y.backward(g)
    right.backward(torch.tensor(g))
    for mine, other in zip(ours, theirs, strict=True):
        if other.grad is None:
            assert mine.grad is None
        else:
            assert mine.grad is not None
            np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_a_module_with_a_forward_pass_alone_trains(tape: Any) -> None:
    """As in Carlier: the loss is a Variable, and the graph gives the backward pass."""

    class Net(Module):
        def __init__(self) -> None:
            super().__init__(tape)
            self.first = self.parameter((2, 16), TorchDefault())
            self.last = self.parameter((16, 2), TorchDefault())

        def forward(self, x: Any) -> Any:
            return (x.mm(self.first.data).relu().mm(self.last.data)).softmax(1)

    net = Net()
    optimizer = SGD(net.parameters(), lr=0.5)
    x = tape.from_host(RNG.standard_normal((64, 2)))
    y = tape.from_host(np.eye(2)[(x.numpy()[:, 0] > x.numpy()[:, 1]).astype(int)])
    losses = []
    for _ in range(200):
        optimizer.zero_grad()
        loss = (net(x) - y).pow(2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


# -- gradients of gradients --------------------------------------------------------------------------


def test_second_derivatives_against_finite_differences(tape: Any) -> None:
    value = RNG.standard_normal(5)

    def slope(at: Any) -> Any:
        x = variable(at, tape)
        y = (x.tanh() * x.exp() + x.pow(3) / (1 + x * x) + x.softmax(0) * x).sum()
        (first,) = grad(y, [x], create_graph=True)
        return x, first

    x, first = slope(value)
    (second,) = grad(first.pow(2).sum(), [x])
    for i in range(5):
        h = np.zeros(5)
        h[i] = 1e-5
        above, below = (np.sum(slope(value + s * h)[1].numpy() ** 2) for s in (1, -1))
        assert second.numpy()[i] == pytest.approx((above - below) / 2e-5, rel=1e-6)


def test_third_derivative_of_a_polynomial(tape: Any) -> None:
    x = variable(np.array([2.0]), tape)
    y = x.pow(4).sum()
    for expected in (4 * 8.0, 12 * 4.0, 24 * 2.0):
        (y,) = grad(y.sum(), [x], create_graph=True)
        assert y.numpy()[0] == pytest.approx(expected)


def test_gradients_of_intermediate_variables(tape: Any) -> None:
    x = variable(np.array([1.0, 2.0]), tape)
    middle = x * 3.0
    z = (middle * middle).sum()
    to_middle, to_x, to_nothing = grad(z, [middle, x, variable(np.ones(2), tape)])
    assert to_middle.numpy().tolist() == [6.0, 12.0]
    assert to_x.numpy().tolist() == [18.0, 36.0]
    assert to_nothing is None
    assert x.grad is None


# -- the life of the graph -----------------------------------------------------------------------------


def test_a_long_chain_needs_no_recursion() -> None:
    x = variable(np.ones(2), get_backend("autodiff+numpy"))
    y = x
    for _ in range(30_000):
        y = y * 1.0
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [1.0, 1.0]
    for _ in range(30_000):
        y = y * 1.0
    del y  # without a backward


def test_the_graph_is_freed_without_the_garbage_collector(tape: Any) -> None:
    model = Sequential(Linear(3, 4, backend=tape), ReLU(tape), Linear(4, 2, backend=tape))
    criterion = MSELoss(backend=tape)
    x, y = tape.from_host(RNG.standard_normal((5, 3))), tape.from_host(RNG.standard_normal((5, 2)))
    gc.collect()
    gc.disable()
    try:
        loss = criterion(model(x), y)
        assert live() > 5
        loss.backward()
        assert live() == 0
        loss = criterion(model(x), y)
        model.backward(criterion.backward())
        assert live() > 5
        del loss
        with no_grad():
            criterion(model(x), y)
        assert live() == 0
    finally:
        gc.enable()


def test_a_training_loop_does_not_leak(tape: Any) -> None:
    model = Sequential(Linear(3, 4, backend=tape), ReLU(tape), Linear(4, 2, backend=tape))
    criterion, optimizer = MSELoss(backend=tape), SGD(model.parameters(), lr=1e-3)
    x, y = tape.from_host(RNG.standard_normal((5, 3))), tape.from_host(RNG.standard_normal((5, 2)))

    def steps(count: int) -> int:
        for _ in range(count):
            optimizer.zero_grad()
            criterion(model(x), y).backward()
            optimizer.step()
        gc.collect()
        return len(gc.get_objects())

    steps(10)
    assert abs(steps(500) - steps(10)) < 20


def test_backward_by_hand_and_optimizers_record_nothing(tape: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Sequential(Linear(3, 4, backend=tape), ReLU(tape), Linear(4, 2, backend=tape))
    optimizer = SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=0.1)
    y = model(tape.from_host(RNG.standard_normal((5, 3))))
    made: list[GradOperator] = []
    init = GradOperator.__init__
    monkeypatch.setattr(
        GradOperator, "__init__", lambda self, *args: (made.append(self), init(self, *args))[1]
    )
    model.backward(tape.full(y.shape, 1.0))
    optimizer.step()
    assert made == []


def test_the_graph_and_backward_by_hand_train_alike(tape: Any) -> None:
    def train(by_graph: bool) -> Any:
        from lamina.layers import manual_seed

        manual_seed(0)
        model = Sequential(Linear(3, 4, backend=tape), ReLU(tape), Linear(4, 2, backend=tape))
        criterion, optimizer = MSELoss(backend=tape), SGD(model.parameters(), lr=0.1)
        rng = np.random.default_rng(1)
        for _ in range(20):
            x, y = (tape.from_host(rng.standard_normal((5, n))) for n in (3, 2))
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward() if by_graph else model.backward(criterion.backward())
            optimizer.step()
        return model.state_dict()

    ours, graph = train(False), train(True)
    for name in ours:
        np.testing.assert_allclose(ours[name], graph[name], rtol=1e-12, atol=1e-14)


def test_backward_does_not_change_the_gradient_it_starts_from(tape: Any) -> None:
    x = variable(np.ones((2, 2)), tape)
    g = tape.from_host(np.full((2, 2), 3.0))
    y = x.relu() + x * 2.0
    y.backward(g, retain_graph=True)
    y.backward(g)
    assert g.numpy().tolist() == [[3.0, 3.0], [3.0, 3.0]]
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [[18.0, 18.0], [18.0, 18.0]]
    x.zero_grad()
    assert x.grad is None


def test_out_does_not_overwrite_what_the_tape_needs(tape: Any) -> None:
    """A layer may write twice into its own storage; the recorded argument must not change."""
    b = tape
    x, store = variable(np.array([1.0, 2.0]), b), b.empty((2,))
    first = b.multiply(x, b.add(b.from_host(np.ones(2)), 1.0, out=store))
    b.add(b.from_host(np.ones(2)), 5.0, out=store)
    b.sum(first).backward()
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [2.0, 2.0]


# -- errors ----------------------------------------------------------------------------------------


def test_a_second_backward(tape: Any) -> None:
    x = variable(np.ones(2), tape)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(StateError, match="an earlier backward freed the graph; run the forward pass again"):
        y.backward()
    with pytest.raises(StateError, match="draw_graph: an earlier backward freed the graph"):
        y.draw_graph()


def test_a_cell_assigned_before_backward(tape: Any) -> None:
    layer = Linear(3, 2, backend=tape)
    optimizer = SGD(layer.parameters(), lr=0.1)
    x = variable(np.ones((1, 3)), tape)
    loss = layer(x).sum()
    optimizer.step()
    with pytest.raises(
        StateError,
        match=r"through linear: expected its cell of shape \(2, 3\) unchanged, got one assigned since",
    ):
        loss.backward()


def test_mistakes_are_named(tape: Any) -> None:
    x = variable(np.ones((2, 2)), tape)
    with pytest.raises(
        ShapeError,
        match=r"expected a scalar or a gradient of shape \(2, 2\), got a result of shape \(2, 2\) alone",
    ):
        (x * 2.0).backward()
    with pytest.raises(ShapeError, match=r"expected a gradient of shape \(2, 2\), got \(2,\)"):
        (x * 2.0).backward(np.ones(2))
    with pytest.raises(StateError, match="depends on no Variable that requires a gradient"):
        tape.from_host(1.0).backward()
    with no_grad(), pytest.raises(StateError, match="computed under no_grad"):
        x.sum().backward()
    with pytest.raises(
        DtypeError, match=r"add: expected a Variable of .*, got .*; bring data in with from_host"
    ):
        tape.add(x, x.tensor)
    other = variable(np.ones((2, 2)), get_backend(tape.spec, dtype="float64"))
    with pytest.raises(DtypeError, match=r"add: expected a Variable of .*, got a Variable of another"):
        x + other
    with pytest.raises(OptionError, match="only floats have gradients, got int64"):
        variable([1, 2], tape)
    with pytest.raises(BackendError, match=r"a stack that begins with autodiff, .* got 'strict\+numpy'"):
        variable([1.0], get_backend("strict+numpy"))
    with pytest.raises(DtypeError, match=r"got list alone; lamina\.variable\(data\) makes a Variable"):
        Variable([1.0])


def test_variables_share_a_stack_by_default() -> None:
    x, y = lamina.variable([1.0, 2.0]), lamina.variable([3.0, 4.0])
    assert type(x) is lamina.Variable
    (x * y).sum().backward()
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [3.0, 4.0]


# -- graphs ------------------------------------------------------------------------------------------


def labels(graph: Graph) -> list[str]:
    return [node.label for node in graph.nodes]


def test_the_graph_of_a_formula(tape: Any) -> None:
    x = variable(np.ones((3, 3)), tape)
    graph = (x.t() - x.exp()).pow(2).sum().draw_graph()
    assert labels(graph)[:5] == ["permute_dims", "exp", "subtract", "pow", "sum"]
    assert graph.source.count(" -> ") == 7
    assert 'label=" (3, 3)"' in graph.source


def test_layers_are_groups_unless_they_are_one_operator(tape: Any) -> None:
    model = Sequential(Linear(3, 3, backend=tape), SiLU(backend=tape))
    with named_scopes(model):
        y = model(variable(np.ones((2, 3)), tape))
    graph = y.draw_graph({"w": model[0].weight.data, "y": y}, "one")
    assert list(graph.groups) == ["1"]
    assert labels(graph)[0] == "linear\n0"
    assert {"w\n(3, 3)", "parameter\n(3)", "variable\n(2, 3)", "y\n(2, 3)"} <= set(labels(graph))
    assert '<FONT POINT-SIZE="14">one</FONT>' in graph.source


def test_a_large_graph_is_a_box_for_each_layer(tape: Any) -> None:
    large = Sequential(*(Linear(3, 3, backend=tape) for _ in range(80)))
    with named_scopes(large):
        graph = large(variable(np.ones((2, 3)), tape)).draw_graph()
    assert not graph.groups
    layers = [node for node in graph.nodes if node.kind not in ("input", "result")]
    assert len(layers) == 80
    assert {node.kind for node in layers} == {"derived"}, "coloured by the layer's operator: linear"
    # Parameters are inside their layer's box; the input is not.
    assert {node.label for node in graph.nodes} - {node.label for node in layers} == {
        "result\n(2, 3)",
        "variable\n(2, 3)",
    }


def test_containers_of_a_large_graph_are_folded_until_it_fits(tape: Any) -> None:
    block = lambda: Residual(*(Linear(3, 3, backend=tape) for _ in range(12)))  # noqa: E731
    model = Sequential(*(block() for _ in range(4)))
    with named_scopes(model):
        y = model(variable(np.ones((2, 3)), tape))
    folded = [label for label in labels(y.draw_graph()) if "operators" in label]
    assert folded == [f"{i}.body\n12 operators" for i in range(4)]


def test_the_graph_as_a_picture(tape: Any, tmp_path: Path) -> None:
    graph = variable(np.ones(2), tape).sum().draw_graph()
    assert graph.render(tmp_path / "model.png").read_bytes().startswith(b"\x89PNG")
    assert graph.render(tmp_path / "model.svg").read_text().startswith("<?xml")
