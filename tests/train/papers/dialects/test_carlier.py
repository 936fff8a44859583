"""Carlier's API: autodiff gives the same gradients as Lamina's hand-written backward passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina import manual_seed
from lamina import variable as real_variable
from lamina.backends import (
    Backend,
    BackendError,
    LaminaError,
    OptionError,
    ShapeError,
    StateError,
    get_backend,
)
from lamina.layers import Constant, MSELoss, XavierNormal
from lamina.layers import Linear as RealLinear
from lamina.layers import Module as RealModule
from lamina.layers import ReLU as RealReLU
from lamina.layers import Sequential as RealSequential
from lamina.layers import Sigmoid as RealSigmoid
from lamina.layers import Softmax as RealSoftmax
from lamina.layers import Tanh as RealTanh
from lamina.train import SGD
from lamina.train.papers.dialects.carlier import (
    Linear,
    Module,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Variable,
)

RNG = np.random.default_rng(0)


@pytest.fixture
def raw(backend64: Backend) -> Backend:
    if "+" in backend64.spec:
        pytest.skip("this file makes its own stack")
    return backend64


def net(b: Backend) -> Sequential:
    manual_seed(3)
    parts = (Linear(2, 6, backend=b), ReLU(b), Linear(6, 6, backend=b), Sigmoid(b))
    return Sequential(*parts, Linear(6, 2, backend=b), Softmax(dim=1, backend=b))


def by_hand(b: Backend) -> RealSequential:
    manual_seed(3)
    init: Any = {"weight_init": XavierNormal(), "bias_init": Constant(0.0), "backend": b}
    return RealSequential(
        RealLinear(2, 6, **init),
        RealReLU(b),
        RealLinear(6, 6, **init),
        RealSigmoid(b),
        RealLinear(6, 2, **init),
        RealSoftmax(1, backend=b),
    )


@pytest.mark.parametrize("optimizer", [False, True])
def test_autodiff_trains_like_hand_written_layers(
    optimizer: bool, raw: Backend, points: Any, same_weights: Any
) -> None:
    model, real = net(raw), by_hand(raw)
    same_weights(model, real)
    sgd, other = SGD(model.parameters(), 0.5), SGD(real.parameters(), 0.5)
    criterion = MSELoss("half_batchmean", backend=raw)
    x, y = raw.from_host(points.x), raw.from_host(points.y)
    for _ in range(5):
        loss = (model(points.x) - points.y).pow(2).sum() / (2 * len(points.x))
        model.zero_grad()
        loss.backward()
        if optimizer:
            sgd.step()
        else:
            model.gradient_step(0.5)

        other.zero_grad()
        right = criterion(real(x), y)
        real.backward(criterion.backward())
        other.step()
        assert loss.item() == pytest.approx(raw.item(right), rel=1e-12)
    same_weights(model, real)


def test_the_printed_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="FloatTensor is torch's")
    monkeypatch.chdir(tmp_path)
    FloatTensor = torch.FloatTensor

    x = Variable(FloatTensor(3, 3).normal_())
    y = x.t() - x.exp()
    z = y.pow(2).sum()
    dot = z.draw_graph()
    dot.render("model.gv", view=False)
    assert "digraph" in Path("model.gv").read_text()
    assert Path("model.svg").exists()

    z.backward()
    t = torch.tensor(x.numpy(), requires_grad=True)
    (t.t() - t.exp()).pow(2).sum().backward()
    gradient: Any = x.grad
    np.testing.assert_allclose(gradient.numpy(), t.grad.numpy(), rtol=1e-5)
    assert Variable is real_variable


class Bilinear(Module):
    """A module with Variables, a list of them, and a Module as attributes."""

    def __init__(self, b: Backend) -> None:
        super().__init__(b)
        self.w = Variable(RNG.standard_normal((2, 3)), self.backend)
        self.scales = [Variable(RNG.standard_normal((1, 3)), self.backend) for _ in range(2)]
        self.last = Linear(3, 1, backend=b)
        self.fixed = Variable(np.ones((1, 3)), self.backend, requires_grad=False)
        self.size = 3

    def forward(self, x: Any) -> Any:
        h = x.mm(self.w) * self.scales[0] + self.scales[1] * self.fixed
        return self.last(h.tanh())


def test_params_are_found_by_attribute(raw: Backend, points: Any) -> None:
    module = Bilinear(raw)
    expected = [module.w, *module.scales, module.last.weight.data]
    assert [id(v) for v in module.params()][:4] == [id(v) for v in expected]
    assert len(module.params()) == 5
    module(points.x).sum().backward()  # layers now keep Variables that are not parameters
    assert len(module.params()) == 5
    both = Sequential(module, Linear(1, 1, backend=raw))
    assert len(both.params()) == 7
    assert all(v.grad is not None for v in module.params())
    both.zero_grad()
    assert all(v.grad is None for v in both.params())


def test_a_module_of_variables_learns(raw: Backend, points: Any) -> None:
    module = Bilinear(raw)
    loss = (module(points.x) - points.column).pow(2).sum() / len(points.x)
    loss.backward()
    old = [v.numpy() for v in module.params()]
    slopes: list[Any] = [v.grad for v in module.params()]
    expected = [o - 0.1 * g.numpy() for o, g in zip(old, slopes, strict=True)]
    module.gradient_step(0.1)
    for variable, right in zip(module.params(), expected, strict=True):
        np.testing.assert_allclose(variable.numpy(), right, rtol=1e-12)
    losses = []
    for _ in range(30):
        module.zero_grad()
        loss = (module(points.x) - points.column).pow(2).sum() / len(points.x)
        loss.backward()
        module.gradient_step(0.1)
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_a_step_leaves_the_array_of_a_variable_alone(raw: Backend, points: Any) -> None:
    module = Bilinear(raw)
    array = np.ones((2, 3))
    module.w = Variable(array, module.backend)
    module(points.x).sum().backward()
    module.gradient_step(0.1)
    assert array.tolist() == np.ones((2, 3)).tolist()


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_softmax_equals_laminas(dim: int, raw: Backend) -> None:
    values = 50 * RNG.standard_normal((4, 3))
    values[0] += 1000  # e^1000 overflows
    x, t = Variable(values, raw), RNG.standard_normal((4, 3))
    y = Softmax(dim, backend=raw)(x)
    (y * t).sum().backward()
    real = RealSoftmax(dim, backend=raw)
    right = real(raw.from_host(values))
    gradient: Any = x.grad
    np.testing.assert_allclose(y.numpy(), raw.to_host(right), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(
        gradient.numpy(), raw.to_host(real.backward(raw.from_host(t))), rtol=1e-11, atol=1e-13
    )


def test_laminas_modules_need_no_backward(raw: Backend, points: Any) -> None:
    tape = Linear(2, 4, backend=raw).backend

    class Cubed(RealModule):
        def forward(self, x: Any) -> Any:
            return self.backend.multiply(x, self.backend.square(x))

    model = Sequential(Linear(2, 4, backend=raw), Cubed(tape), RealTanh(tape), RealLinear(4, 1, backend=tape))
    (model(points.x) - points.column).pow(2).sum().backward()
    assert [v.grad.shape for v in model.params() if v.grad is not None] == [(4, 2), (4,), (1, 4), (1,)]


def test_repr_is_the_papers(raw: Backend) -> None:
    model = Sequential(Linear(2, 25, backend=raw), ReLU(raw), Sigmoid(raw), Softmax(dim=1, backend=raw))
    assert repr(model) == (
        "Sequential(\n  0: Linear(in_dim=2, out_dim=25)\n  1: ReLU\n  2: Sigmoid\n  3: Softmax(dim=1)\n)"
    )


def test_errors(raw: Backend, points: Any) -> None:
    model = net(raw)
    with pytest.raises(StateError, match=r"has no gradient; call loss\.backward"):
        model.gradient_step(0.1)
    with pytest.raises(
        ShapeError, match=r"Linear\(in_dim=2, out_dim=6\): expected input \(N, \.\.\., 2\), got"
    ):
        model(np.ones((4, 3)))
    with pytest.raises(
        ShapeError, match=r"does not fit after Linear\(in_dim=2, out_dim=3\): Linear\(in_dim=4"
    ):
        Sequential(Linear(2, 3, backend=raw), Linear(4, 2, backend=raw))
    with pytest.raises(ShapeError, match=r"Softmax\(dim=2\): expected an input with an axis 2, got \(4, 3\)"):
        Softmax(2, backend=raw)(np.ones((4, 3)))
    with pytest.raises(OptionError, match="expected Modules, got none"):
        Sequential()
    with pytest.raises(ShapeError, match="pass its gradient, or take the sum"):
        model(points.x).backward()
    with pytest.raises(TypeError, match=r"Module must define forward"):
        Module(raw)(np.ones((1, 2)))
    with pytest.raises(BackendError, match="begins with autodiff"):
        Linear(1, 2, backend=get_backend("strict+numpy"))
    with pytest.raises(LaminaError, match=r"a new stack at each call|expected layer .* on"):
        Sequential(Linear(2, 3, backend=raw), RealReLU(get_backend("numpy")))
