"""The machinery: how parameters are found, named, moved, copied, counted, seeded and initialised."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend, LaminaError, Tensor, get_backend, use_backend
from lamina.layers import (
    Constant,
    CrossEntropyLoss,
    Linear,
    Module,
    Parameter,
    ReLU,
    Sequential,
    Tanh,
    inference,
    manual_seed,
    without_input_gradient,
)
from lamina.layers.cell import Cell

# Between backends in float32. Sums may nearly cancel: the error is relative to their terms, not to them.
NEAR: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-6}


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Let no test depend on how many parameters those before it have drawn."""
    manual_seed(0)


def stack(b: Backend | str) -> Sequential:
    b = get_backend(b)
    return Sequential(Linear(3, 5, backend=b), ReLU(backend=b), Linear(5, 2, bias=False, backend=b))


def same(one: dict[str, Any], two: dict[str, Any]) -> bool:
    return one.keys() == two.keys() and all(one[k].tobytes() == two[k].tobytes() for k in one)


# -- finding --------------------------------------------------------------------------------------


class Tree(Module):
    def __init__(self, b: Backend) -> None:
        super().__init__(b)
        self.scale = self.parameter((2,), Constant(1.0))
        self.layers = [Linear(2, 2, backend=b), (ReLU(backend=b), Linear(2, 1, False, backend=b))]
        self.heads = {"a": Linear(2, 3, backend=b), "b": self.parameter((1,), Constant(0.0))}
        self.alias = self.scale
        self.name = "not a parameter"


def test_parameters_are_found_by_attribute_in_lists_and_in_dicts() -> None:
    tree = Tree(get_backend("numpy"))
    assert [name for name, _ in tree.named_parameters()] == [
        "scale",
        "heads.b",
        "layers.0.weight",
        "layers.0.bias",
        "layers.1.1.weight",
        "heads.a.weight",
        "heads.a.bias",
    ]
    assert [type(m).__name__ for _, m in tree.named_modules()] == [
        "Tree",
        "Linear",
        "ReLU",
        "Linear",
        "Linear",
    ]
    assert [name for name, _ in tree.named_modules()] == [
        "",
        "layers.0",
        "layers.1.0",
        "layers.1.1",
        "heads.a",
    ]
    assert len(tree.parameters()) == 7
    assert set(tree.state_dict()) == {name for name, _ in tree.named_parameters()} | {"alias"}


def test_a_parameter_that_is_kept_for_backward_is_no_parameter_twice() -> None:
    class Keeping(Linear):
        def forward(self, x: Any) -> Any:
            y = super().forward(x)
            self.keep(x, [self.weight], [ReLU(backend=self.backend)])
            return y

    b = get_backend("numpy")
    layer = Keeping(2, 2, backend=b)
    layer(b.from_host(np.ones((1, 2))))
    assert set(layer.state_dict()) == {"weight", "bias"}
    assert list(layer.named_children()) == []


@pytest.mark.parametrize("interrupts", [(0,), (1,), (3,), (1, 2, 3)])
def test_an_interrupt_leaves_no_half_loaded_model(
    interrupts: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    b = get_backend("numpy")
    model, other = (Sequential(Linear(2, 3, backend=b), Linear(3, 1, backend=b)) for _ in range(2))
    assign, calls = Cell.set, itertools.count()

    def interrupted(cell: Cell, value: Any) -> None:
        if next(calls) in interrupts:
            raise KeyboardInterrupt
        assign(cell, value)

    monkeypatch.setattr(Cell, "set", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.load_state_dict(other.state_dict())
    for name, value in other.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name], value)


def test_a_shared_parameter_comes_once_and_its_gradients_add_up(backend64: Backend) -> None:
    b = backend64
    first, second = Linear(3, 3, bias=False, backend=b), Linear(3, 3, bias=False, backend=b)
    second.weight = first.weight
    model = Sequential(first, second)
    assert [name for name, _ in model.named_parameters()] == ["0.weight"]
    x, g = np.eye(3) + 0.5, np.arange(9.0).reshape(3, 3)
    model(b.from_host(x))
    model.backward(b.from_host(g))
    w = b.to_host(first.weight.data)
    expected = g.T @ (x @ w.T) + (g @ w).T @ x
    np.testing.assert_allclose(b.to_host(first.weight.grad), expected, rtol=1e-12)


def test_children_that_a_subclass_of_sequential_holds() -> None:
    class Net(Sequential):
        pass

    b = get_backend("numpy")
    net = Net(Linear(2, 2, backend=b))
    net.extra = Linear(2, 1, backend=b)
    assert [n for n, _ in net.named_parameters()] == ["0.weight", "0.bias", "extra.weight", "extra.bias"]
    assert [n for n, _ in net.named_children()] == ["0", "extra"]


# -- state, and torch -----------------------------------------------------------------------------


def torch_stack() -> Any:
    torch = pytest.importorskip("torch", reason="models are exchanged with torch.nn")
    return torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2, bias=False))


def test_models_go_to_torch_and_back(backend: Backend) -> None:
    torch = pytest.importorskip("torch", reason="models are exchanged with torch.nn")
    ours, theirs = stack(backend), torch_stack()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    x = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)

    def agree() -> None:
        y = backend.to_host(ours(backend.from_host(x)))
        np.testing.assert_allclose(y, theirs(torch.tensor(x)).detach().numpy(), rtol=1.3e-6, atol=1e-6)

    ours.load_state_dict(theirs.state_dict())
    agree()
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in stack("numpy").state_dict().items()})
    ours.load_state_dict(dict(theirs.named_parameters()))  # which require grad
    agree()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter)
    ours.load_state_dict({k: v.double() for k, v in theirs.state_dict().items()})
    agree()
    assert all(v.dtype == np.float32 for v in ours.state_dict().values())


def test_tied_weights_go_to_torch_and_back() -> None:
    torch = pytest.importorskip("torch", reason="models are exchanged with torch.nn")
    b = get_backend("numpy")
    ours = Sequential(Linear(3, 3, backend=b), Tanh(backend=b), Linear(3, 3, backend=b))
    ours[2].weight = ours[0].weight
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Tanh(), torch.nn.Linear(3, 3))
    theirs[2].weight = theirs[0].weight
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    x = np.ones((2, 3), np.float32)
    expected = theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(ours(b.from_host(x)), expected, **NEAR)
    state = ours.state_dict()
    del state["2.weight"]
    ours.load_state_dict(state)
    del state["0.weight"]
    with pytest.raises(LaminaError, match=r"missing 0\.weight"):
        ours.load_state_dict(state)


def test_short_floats_of_torch_are_taken(backend: Backend) -> None:
    torch = pytest.importorskip("torch", reason="the floats are torch's")
    for dtype in (torch.bfloat16, torch.float16, torch.float8_e4m3fn):
        layer, weight = Linear(2, 1, bias=False, backend=backend), torch.tensor([[0.5, -2.0]], dtype=dtype)
        layer.load_state_dict({"weight": weight})
        assert layer.state_dict()["weight"].tolist() == [[0.5, -2.0]]
    for other in (torch.ones(1, 2).to_sparse(), torch.ones(1, 2) * 1j):
        with pytest.raises(LaminaError, match="load_state_dict: 'weight': "):
            layer.load_state_dict({"weight": other})


def test_a_state_is_a_copy(backend: Backend) -> None:
    model = stack(backend)
    state = model.state_dict()
    kept = {k: v.copy() for k, v in state.items()}
    for value in state.values():
        value[...] = 7.0
    assert same(model.state_dict(), kept)
    model.load_state_dict(state)
    state["0.bias"][...] = 1.0
    assert (model.state_dict()["0.bias"] == 7.0).all()


# -- moving, copying, modes -----------------------------------------------------------------------


@pytest.mark.parametrize("target", ["numpy", "torch", "strict+numpy"])
def test_to_another_backend(backend: Backend, target: str) -> None:
    if target == "torch":
        pytest.importorskip("torch", reason="the other backend is torch's")
    model = stack(backend)
    before = model.state_dict()
    x = np.ones((2, 3))
    y = backend.to_host(model(backend.from_host(x)))
    assert model.to(target) is model
    other = model.backend
    assert other.spec == target
    assert all(m.backend is other for _, m in model.named_modules())
    assert all(p.backend is other and p.grad is None for p in model.parameters())
    assert same(model.state_dict(), before)
    with pytest.raises(LaminaError, match="backward needs a forward"):
        model.backward(other.from_host(np.ones((2, 2))))
    np.testing.assert_allclose(other.to_host(model(other.from_host(x))), y, **NEAR)


def test_to_another_dtype() -> None:
    model = stack("numpy").to("numpy", dtype="float64")
    assert {v.dtype.name for v in model.state_dict().values()} == {"float64"}
    wide = get_backend("numpy", dtype="float64")
    assert wide.dtype(model(wide.from_host(np.ones((1, 3))))) == "float64"


def test_to_an_unknown_backend_changes_nothing() -> None:
    model = stack("numpy")
    with pytest.raises(LaminaError, match="numpi"):
        model.to("numpi")
    assert model.backend is get_backend("numpy")


def test_a_copy_is_its_own(backend: Backend) -> None:
    model = stack(backend)
    model[2].weight = Linear(5, 2, False, backend=backend).weight
    model.eval()
    model(backend.from_host(np.ones((2, 3))))
    twin = copy.deepcopy(model)
    assert same(twin.state_dict(), model.state_dict())
    assert twin.backend is model.backend
    assert not twin[0].training
    with pytest.raises(LaminaError, match="backward needs a forward"):
        twin.backward(backend.from_host(np.ones((2, 2))))
    before = model.state_dict()
    for parameter in twin.parameters():
        parameter.set(backend.full(parameter.shape, 9.0))
    assert same(model.state_dict(), before)
    assert not {id(p) for p in twin.parameters()} & {id(p) for p in model.parameters()}


def test_a_copy_shares_what_the_original_shares() -> None:
    b = get_backend("numpy")
    model = Sequential(Linear(3, 3, backend=b), Linear(3, 3, backend=b))
    model[1].weight = model[0].weight
    twin = copy.deepcopy(model)
    assert twin[1].weight is twin[0].weight
    assert len(twin.parameters()) == 3


def test_a_loss_can_be_copied_after_a_call() -> None:
    b = get_backend("strict+numpy")
    loss = CrossEntropyLoss(backend=b)
    loss(b.from_host(np.zeros((2, 3))), b.from_host([0, 1]))
    with pytest.raises(LaminaError, match="backward needs a call"):
        copy.deepcopy(loss).backward()
    assert b.shape(loss.backward()) == (2, 3)


def test_train_and_eval() -> None:
    model = Sequential(stack("numpy"), Linear(2, 1, backend="numpy"))
    assert all(m.training for _, m in model.named_modules())
    assert model.eval() is model
    assert not any(m.training for _, m in model.named_modules())
    assert model.train() is model
    assert all(m.training for _, m in model.named_modules())


def test_layers_take_the_current_backend() -> None:
    wide = get_backend("numpy", dtype="float64")
    with use_backend(wide):
        assert Linear(2, 2).backend is wide
        assert Sequential().backend is wide
        assert CrossEntropyLoss().backend is wide


def test_inference_ends_with_its_block() -> None:
    b = get_backend("numpy")
    layer, x = ReLU(backend=b), b.from_host(np.ones(2))
    with pytest.raises(RuntimeError, match="stop"), inference():  # noqa: PT012
        layer(x)
        raise RuntimeError("stop")
    layer(x)
    assert layer.backward(x) is not None


# -- parameters, slices, errors ---------------------------------------------------------------------


def test_a_parameter_accumulates(backend64: Backend) -> None:
    b = backend64
    parameter = Parameter((2,), Constant(3.0), b)
    assert parameter.size == 2
    assert parameter.grad is None
    given = b.from_host([1.0, 2.0])
    parameter.accumulate(given)
    parameter.accumulate(given)
    assert b.to_host(parameter.grad).tolist() == [2.0, 4.0]
    assert b.to_host(given).tolist() == [1.0, 2.0]
    parameter.zero_grad()
    parameter.accumulate(given)
    assert b.to_host(parameter.grad).tolist() == [1.0, 2.0]
    assert b.to_host(parameter.data).tolist() == [3.0, 3.0]


def test_a_slice_leaves_the_whole_its_gradient(backend64: Backend) -> None:
    model = Sequential(*(Linear(3, 3, backend=backend64) for _ in range(3)))
    x = backend64.from_host(np.ones((2, 3)))
    model(x)
    before = backend64.to_host(model.backward(x))
    head = model[1:]
    head(x)
    with without_input_gradient(head):
        assert head.backward(x) is None
    model.zero_grad()
    model(x)
    assert np.array_equal(backend64.to_host(model.backward(x)), before)


def test_an_error_that_is_no_shapes_stays_what_it_is() -> None:
    class Wrong(Module):
        def forward(self, x: Tensor) -> Tensor:
            return self.backend.relu(x, 1)  # type: ignore[call-arg]

    with pytest.raises(TypeError, match="positional") as caught:
        Sequential(Wrong("numpy"))(get_backend("numpy").from_host([1.0]))
    assert not isinstance(caught.value, LaminaError)
    assert any("Wrong" in note for note in caught.value.__notes__)


def test_a_layer_that_defines_nothing() -> None:
    b = get_backend("numpy")
    module = Module(b)
    with pytest.raises(TypeError, match="must define forward"):
        module(b.from_host([1.0]))
    with pytest.raises(TypeError, match="must define backward"):
        module.backward(b.from_host([1.0]))
