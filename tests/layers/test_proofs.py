"""Every row of the table, on every backend and stack: finite differences, torch, and how a layer behaves."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import lamina.layers
from lamina.backends import Backend, LaminaError, ShapeError, StateError, get_backend
from lamina.backends.tolerance import FORWARD_BARS
from lamina.layers import Loss, Module, Sequential, inference
from lamina.train.proofs import LAYER_CASES, LOSS_CASES, LayerCase, LossCase, check_layer, check_loss

RTOL, ATOL = 1e-9, 1e-12  # against torch, in float64
TORCH_LAYERS = [case for case in LAYER_CASES if case.torch is not None]
OF_FLOATS = [case for case in LAYER_CASES if not case.integers]
TORCH_LOSSES = [case for case in LOSS_CASES if case.torch is not None]


def each(cases: Sequence[Any]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def host(b: Backend, x: Any) -> np.ndarray[Any, Any]:
    return np.asarray(b.to_host(x))


def cotangent(shape: Sequence[int]) -> np.ndarray[Any, Any]:
    return np.random.default_rng(5).standard_normal(tuple(shape))


def close(actual: Any, expected: Any, what: str, rtol: float = RTOL, atol: float = ATOL) -> None:
    __tracebackhide__ = True
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol, err_msg=what, strict=True)


def gradients(layer: Module) -> dict[str, np.ndarray[Any, Any]]:
    return {name: host(layer.backend, p.grad) for name, p in layer.named_parameters()}


def wide(b: Backend, target: np.ndarray[Any, Any]) -> Any:
    return b.from_host(target, dtype=b.default_dtype if target.dtype.kind == "f" else None)


# -- the table ------------------------------------------------------------------------------------


def test_names_are_unique() -> None:
    for cases in (LAYER_CASES, LOSS_CASES):
        names = [case.name for case in cases]
        assert len(set(names)) == len(names)


def test_every_public_layer_and_loss_has_a_row() -> None:
    numpy = get_backend("numpy", dtype="float64")
    public = {
        value
        for value in vars(lamina.layers).values()
        if inspect.isclass(value) and issubclass(value, Module | Loss) and value not in (Module, Loss)
    }
    made = {type(case.build(numpy)) for case in (*LAYER_CASES, *LOSS_CASES)}
    assert {kind.__name__ for kind in public - made} == set(), "these lack a row in train/proofs/cases/"


def test_names_begin_with_the_class() -> None:
    numpy = get_backend("numpy")
    for case in (*LAYER_CASES, *LOSS_CASES):
        assert case.name.split()[0] == type(case.build(numpy)).__name__


def test_building_a_case_leaves_the_seed_alone() -> None:
    case = next(case for case in LAYER_CASES if case.name == "Sequential")
    numpy = get_backend("numpy")
    lamina.layers.manual_seed(3)
    first = lamina.layers.Linear(2, 2, backend=numpy).state_dict()
    lamina.layers.manual_seed(3)
    one, two = case.build(numpy).state_dict(), case.build(numpy).state_dict()
    again = lamina.layers.Linear(2, 2, backend=numpy).state_dict()
    assert all(np.array_equal(first[k], again[k]) for k in first)
    assert all(np.array_equal(one[k], two[k]) for k in one)


# -- finite differences ---------------------------------------------------------------------------


@each([case for case in LAYER_CASES if case.whole_derivative])
def test_layer_against_finite_differences(case: LayerCase, backend64: Backend) -> None:
    report = check_layer(case.build(backend64), case.inputs())
    names = {name for name, _ in case.build(backend64).named_parameters()}
    assert {d.name for d in report.differences} == names | ({"input"} if not case.integers else set())
    assert report.passed, str(report)


@each(LOSS_CASES)
def test_loss_against_finite_differences(case: LossCase, backend64: Backend) -> None:
    report = check_loss(case.build(backend64), *case.inputs())
    assert report.passed, str(report)


# -- torch ----------------------------------------------------------------------------------------


def compare_layer_with_torch(case: LayerCase, b: Backend, x: np.ndarray[Any, Any]) -> None:
    torch = pytest.importorskip("torch", reason="the oracle is torch.nn")
    layer = case.build(b)
    twin = case.torch().double()
    twin.load_state_dict({name: torch.tensor(value) for name, value in layer.state_dict().items()})
    theirs = torch.tensor(x, requires_grad=not case.integers)
    y = twin(theirs)
    g = cotangent(y.shape)
    y.backward(torch.tensor(g))
    with b.session():  # infinities are meant
        ours = layer(b.from_host(x))
        grad = layer.backward(b.from_host(g))
    close(host(b, ours), y.detach().numpy(), "output")
    if case.integers:
        assert grad is None
    else:
        close(host(b, grad), theirs.grad.numpy(), "gradient of the input")
    expected = {name: p.grad.numpy() for name, p in twin.named_parameters()}
    assert expected.keys() == gradients(layer).keys()
    for name, value in gradients(layer).items():
        close(value, expected[name], f"gradient of {name}")
    after = {name: value.numpy() for name, value in twin.state_dict().items()}
    assert after.keys() == layer.state_dict().keys()
    for name, value in layer.state_dict().items():  # running statistics have moved on
        close(value, after[name], name)


@each(TORCH_LAYERS)
def test_layer_against_torch(case: LayerCase, backend64: Backend) -> None:
    compare_layer_with_torch(case, backend64, case.inputs())


@each([case for case in TORCH_LAYERS if case.special])
def test_layer_against_torch_at_the_edges(case: LayerCase, backend64: Backend) -> None:
    x = case.special_inputs()
    assert x is not None
    compare_layer_with_torch(case, backend64, x)


def compare_loss_with_torch(
    case: LossCase, b: Backend, prediction: np.ndarray[Any, Any], target: np.ndarray[Any, Any]
) -> None:
    torch = pytest.importorskip("torch", reason="the oracle is torch.nn")
    loss = case.build(b)
    theirs = torch.tensor(prediction, requires_grad=True)
    value = case.torch()(theirs, torch.tensor(target))
    g = cotangent(value.shape)
    with b.session():
        ours = loss(b.from_host(prediction), wide(b, target))
        if loss.reduction == "none":
            value.backward(torch.tensor(g))
            grad = loss.backward(b.from_host(g))
        else:
            value.backward()
            grad = loss.backward()
    close(host(b, ours), value.detach().numpy(), "loss")
    close(host(b, grad), theirs.grad.numpy(), "gradient of the prediction")


@each(TORCH_LOSSES)
def test_loss_against_torch(case: LossCase, backend64: Backend) -> None:
    compare_loss_with_torch(case, backend64, *case.inputs())


@each([case for case in TORCH_LOSSES if case.special and "NLLLoss" not in case.name])
def test_loss_against_torch_at_the_edges(case: LossCase, backend64: Backend) -> None:
    special = case.special_inputs()
    assert special is not None
    compare_loss_with_torch(case, backend64, *special)


@each([case for case in TORCH_LOSSES if case.special and "NLLLoss" in case.name])
def test_nll_of_an_impossible_class_that_is_not_the_label(case: LossCase, backend64: Backend) -> None:
    special = case.special_inputs()
    assert special is not None
    compare_loss_with_torch(case, backend64, *special)


# -- float32 against the float64 oracle -----------------------------------------------------------


def oracle() -> Backend:
    return get_backend("numpy", dtype="float64")


@each(LAYER_CASES)
def test_float32_forward_of_a_layer(case: LayerCase, backend: Backend) -> None:
    layer, exact = case.build(backend), case.build(oracle())
    exact.load_state_dict(layer.state_dict())
    x = case.inputs().astype("int64" if case.integers else "float32")
    y = layer(backend.from_host(x))
    assert backend.dtype(y) == "float32"
    expected = exact(oracle().from_host(x))
    bars = dict(zip(("rtol", "atol"), FORWARD_BARS["float32"], strict=True))
    close(host(backend, y).astype(np.float64), host(oracle(), expected), case.name, **bars)


@each(LOSS_CASES)
def test_float32_forward_of_a_loss(case: LossCase, backend: Backend) -> None:
    prediction, target = case.inputs()
    prediction = prediction.astype(np.float32)
    if target.dtype.kind == "f":
        target = target.astype(np.float32)
    value = case.build(backend)(backend.from_host(prediction), backend.from_host(target))
    assert backend.dtype(value) == "float32"
    expected = case.build(oracle())(wide(oracle(), prediction), wide(oracle(), target))
    bars = dict(zip(("rtol", "atol"), FORWARD_BARS["float32"], strict=True))
    close(host(backend, value).astype(np.float64), host(oracle(), expected), case.name, **bars)


# -- how layers behave ----------------------------------------------------------------------------


@each(OF_FLOATS)
def test_a_layer_keeps_dtypes_and_its_arguments(case: LayerCase, backend: Backend) -> None:
    b = backend
    layer = case.build(b)
    before = layer.state_dict()
    x = b.from_host(case.inputs())
    y = layer(x)
    g = b.from_host(cotangent(b.shape(y)))
    seen = host(b, x), host(b, y), host(b, g)
    grad = layer.backward(g)
    for value, old in zip((x, y, g), seen, strict=True):
        assert host(b, value).tobytes() == old.tobytes()
    assert b.dtype(y) == b.dtype(grad) == "float32"
    assert b.shape(grad) == b.shape(x) == case.input_shape
    assert tuple(b.shape(y)) == tuple(layer.output_shape(case.input_shape))
    for name, p in layer.named_parameters():
        assert b.dtype(p.data) == b.dtype(p.grad) == "float32"
        assert tuple(b.shape(p.grad)) == p.shape
        assert host(b, p.data).tobytes() == before[name].tobytes()


@each(LAYER_CASES)
def test_float64_goes_through_a_backend_of_float32(case: LayerCase, backend: Backend) -> None:
    layer = case.build(backend)
    if next(layer.named_parameters(), None) is not None:
        pytest.skip("its parameters are float32: the dtypes would be unequal, which is an error")
    y = layer(backend.from_host(case.inputs(), dtype="float64"))
    g = backend.from_host(cotangent(backend.shape(y)), dtype="float64")
    assert backend.dtype(y) == backend.dtype(layer.backward(g)) == "float64"


@each([case for case in LAYER_CASES if "Linear" in case.name or "Sequential" in case.name])
def test_gradients_add_up_until_they_are_zeroed(case: LayerCase, backend64: Backend) -> None:
    b = backend64
    layer = case.build(b)
    x = b.from_host(case.inputs())
    assert all(p.grad is None for p in layer.parameters())

    def run(scale: float) -> Any:
        y = layer(x)
        g = b.from_host(scale * cotangent(b.shape(y)))
        layer.backward(g)
        return gradients(layer)

    once, twice = run(1.0), run(2.0)
    for name in once:
        close(twice[name], 3.0 * once[name], name)
    layer.zero_grad()
    assert all(p.grad is None for p in layer.parameters())
    again = run(1.0)
    for name in once:
        close(again[name], once[name], name, rtol=0.0, atol=0.0)


@each(LAYER_CASES)
def test_a_second_forward_replaces_what_was_kept(case: LayerCase, backend64: Backend) -> None:
    b = backend64
    layer, fresh = case.build(b), case.build(b)
    x = b.from_host(case.inputs(1))
    layer(b.from_host(case.inputs(0)))
    y = layer(x)
    g = b.from_host(cotangent(b.shape(y)))
    fresh(x)
    grad, expected = layer.backward(g), fresh.backward(g)
    if not case.integers:
        close(host(b, grad), host(b, expected), "input", rtol=0.0, atol=0.0)
    for name, value in gradients(layer).items():
        close(value, gradients(fresh)[name], name, rtol=0.0, atol=0.0)


@each([case for case in LAYER_CASES if case.name != "Sequential of nothing"])
def test_backward_needs_a_forward_that_kept_something(case: LayerCase, backend: Backend) -> None:
    b = backend
    layer = case.build(b)
    x = b.from_host(case.inputs())
    with inference():
        y = layer(x)
    g = b.from_host(cotangent(b.shape(y)))
    with pytest.raises(StateError, match=r"^\w+(\(.*\))?: backward needs a forward pass before it"):
        layer.backward(g)
    assert all(p.grad is None for p in layer.parameters())
    layer(x)
    layer.backward(g)
    with inference():
        layer(x)
    with pytest.raises(StateError, match="inference"):
        layer.backward(g)


@each([case for case in OF_FLOATS if next(case.build(get_backend("numpy")).named_parameters(), None)])
def test_the_input_gradient_can_be_spared(case: LayerCase, backend64: Backend) -> None:
    b = backend64
    layer, whole = case.build(b), case.build(b)
    layer.input_gradient = False
    x = b.from_host(case.inputs())
    g = b.from_host(cotangent(b.shape(layer(x))))
    assert layer.backward(g) is None
    whole(x)
    assert whole.backward(g) is not None
    for name, value in gradients(whole).items():
        close(gradients(layer)[name], value, name, rtol=0.0, atol=0.0)
    layer.input_gradient = True
    layer(x)
    assert layer.backward(g) is not None


@each([case for case in OF_FLOATS if "dim=0" not in case.name])
def test_an_empty_batch_goes_through(case: LayerCase, backend64: Backend) -> None:
    b = backend64
    if case.name == "Flatten all":
        pytest.skip("it joins the batch axis too")
    layer = case.build(b)
    x = b.from_host(np.zeros((0, *case.input_shape[1:])))
    if case.batch_statistics:
        with pytest.raises(ShapeError, match="more than one value"):
            layer(x)
        return
    y = layer(x)
    assert tuple(b.shape(y)) == tuple(layer.output_shape((0, *case.input_shape[1:])))
    grad = layer.backward(b.from_host(np.zeros(b.shape(y))))
    assert tuple(b.shape(grad)) == (0, *case.input_shape[1:])
    for name, value in gradients(layer).items():
        assert not value.any(), name


@each(OF_FLOATS)
def test_memory_order_does_not_matter(case: LayerCase, backend64: Backend) -> None:
    b = backend64
    axes = tuple(reversed(range(len(case.input_shape))))

    def turned(array: np.ndarray[Any, Any]) -> Any:
        axes = tuple(reversed(range(array.ndim)))
        return b.permute_dims(b.from_host(array.transpose(axes)), axes)

    assert len(axes) > 1
    layer, plain = case.build(b), case.build(b)
    x = case.inputs()
    y, expected = layer(turned(x)), plain(b.from_host(x))
    close(host(b, y), host(b, expected), "output")
    g = cotangent(b.shape(y))
    close(host(b, layer.backward(turned(g))), host(b, plain.backward(b.from_host(g))), "input")
    for name, value in gradients(layer).items():
        close(value, gradients(plain)[name], name)


def test_sequential_ends_at_its_first_parameters() -> None:
    b = get_backend("numpy")
    calls: list[str] = []

    class Noted(lamina.layers.ReLU):
        def backward(self, grad_output: Any) -> Any:
            calls.append("ReLU")
            return super().backward(grad_output)

    model = Sequential(
        lamina.layers.Flatten(backend=b), Noted(backend=b), lamina.layers.Linear(4, 2, backend=b)
    )
    model.input_gradient = False
    model(b.from_host(np.ones((3, 2, 2))))
    assert model.backward(b.from_host(np.ones((3, 2)))) is None
    assert calls == []
    model.input_gradient = True
    model(b.from_host(np.ones((3, 2, 2))))
    assert b.shape(model.backward(b.from_host(np.ones((3, 2))))) == (3, 2, 2)
    assert calls == ["ReLU"]


def test_sparing_the_input_gradient_holds_for_layers_that_come_later(backend64: Backend) -> None:
    b = backend64
    inner = Sequential(backend=b)
    model = Sequential(inner, lamina.layers.Linear(3, 2, backend=b))
    model.input_gradient = False
    x, g = b.from_host(np.ones((2, 3))), b.from_host(np.ones((2, 2)))
    model(x)
    assert model.backward(g) is None
    inner.append(lamina.layers.Linear(3, 3, backend=b))
    model(x)
    assert model.backward(g) is None
    assert all(p.grad is not None for p in model.parameters())


# -- how losses behave ----------------------------------------------------------------------------


@each(LOSS_CASES)
def test_a_loss_keeps_dtypes_and_its_arguments(case: LossCase, backend: Backend) -> None:
    b = backend
    loss = case.build(b)
    prediction, target = (b.from_host(value) for value in case.inputs())
    value = loss(prediction, target)
    g = b.from_host(cotangent(b.shape(value)))
    seen = host(b, prediction), host(b, target), host(b, g)
    grad = loss.backward(g) if loss.reduction == "none" else loss.backward()
    for tensor, old in zip((prediction, target, g), seen, strict=True):
        assert host(b, tensor).tobytes() == old.tobytes()
    assert b.dtype(value) == b.dtype(grad) == "float32"
    assert b.shape(grad) == b.shape(prediction)
    assert (b.shape(value) == ()) == (loss.reduction != "none")


@each(LOSS_CASES)
def test_a_loss_without_the_call_before(case: LossCase, backend: Backend) -> None:
    b = backend
    loss = case.build(b)
    arguments = [b.from_host(value) for value in case.inputs()]
    name = type(loss).__name__
    with pytest.raises(StateError, match=rf"^{name}\(.*\): backward needs a call"):
        loss.backward()
    with inference():
        shape = b.shape(loss(*arguments))
    with pytest.raises(StateError, match="inference"):
        loss.backward()
    loss(*arguments)
    wrong = None if loss.reduction == "none" else b.full(shape, 1.0)
    with pytest.raises(StateError, match=rf"^{name}\(.*\): backward (needs the|takes no) gradient"):
        loss.backward(wrong)
    if loss.reduction == "none":
        with pytest.raises(ShapeError, match=rf"^{name}\(.*\): backward: expected shape"):
            loss.backward(b.full((1, *shape), 1.0))


@each(LOSS_CASES)
def test_the_loss_of_an_empty_batch(case: LossCase, backend64: Backend) -> None:
    b = backend64
    loss = case.build(b)
    prediction, target = (value[:0] for value in case.inputs())
    if getattr(loss, "weight", None) is not None and len(b.shape(loss.weight)) == 2:
        loss.weight = None  # it has a row for each sample
    prediction, target = b.from_host(prediction), wide(b, target)
    if loss.reduction == "none":
        assert loss(prediction, target) is not None
    elif loss.reduction == "sum":
        assert b.item(loss(prediction, target)) == 0.0
        assert b.shape(loss.backward()) == b.shape(prediction)
    else:
        with pytest.raises(ShapeError, match=f"^{type(loss).__name__}.*empty batch"):
            loss(prediction, target)


@each(LOSS_CASES)
def test_a_loss_that_does_not_validate_gives_the_same(case: LossCase, backend64: Backend) -> None:
    b = backend64
    loss, trusting = case.build(b), case.build(b)
    trusting.validate = False
    prediction, target = case.inputs()
    arguments = b.from_host(prediction), wide(b, target)
    close(host(b, trusting(*arguments)), host(b, loss(*arguments)), "loss", rtol=0.0, atol=0.0)


# -- values that the page of numbers gives --------------------------------------------------------


def test_values_in_dangerous_places(backend64: Backend) -> None:
    from lamina.layers import BCELoss, BCEWithLogitsLoss, LogSoftmax, ReLU, Softmax

    b = backend64

    def at(*values: float) -> Any:
        return b.from_host(np.array(values))

    assert b.item(BCELoss(backend=b)(at(0.0), at(1.0))) == 100.0
    assert b.item(BCELoss(backend=b)(at(1.0), at(0.0))) == 100.0
    assert b.item(BCEWithLogitsLoss(backend=b)(at(1000.0), at(0.0))) == 1000.0
    assert b.item(BCEWithLogitsLoss(backend=b)(at(1000.0), at(1.0))) == 0.0
    assert host(b, LogSoftmax(backend=b)(b.from_host([[0.0, 1000.0]]))).tolist() == [[-1000.0, 0.0]]
    assert host(b, Softmax(backend=b)(b.from_host([[-np.inf, 0.0]]))).tolist() == [[0.0, 1.0]]
    relu = ReLU(backend=b)
    y = host(b, relu(at(np.nan, 0.0, -1.0, np.inf)))
    assert np.array_equal(y, [np.nan, 0.0, 0.0, np.inf], equal_nan=True)
    assert host(b, relu.backward(at(1.0, 1.0, 1.0, 1.0))).tolist()[1:] == [0.0, 0.0, 1.0]


def test_a_class_of_probability_zero_costs_nothing_unless_it_is_the_label() -> None:
    b = get_backend("numpy", dtype="float64")
    loss = lamina.layers.NLLLoss(backend=b)
    certain = b.from_host([[0.0, -np.inf]])
    assert b.item(loss(certain, b.from_host([0]))) == 0.0
    assert b.item(loss(certain, b.from_host([1]))) == np.inf


@pytest.mark.parametrize("loss", [lamina.layers.CrossEntropyLoss, lamina.layers.NLLLoss])
def test_all_labels_ignored(loss: Any, backend64: Backend) -> None:
    b = backend64
    prediction, target = b.from_host(np.zeros((2, 3))), b.from_host([-100, -100])
    with b.session():
        criterion = loss(backend=b)
        assert np.isnan(b.item(criterion(prediction, target)))
        # As torch: a batch that says nothing must not poison the weights.
        assert np.array_equal(b.to_host(criterion.backward()), np.zeros((2, 3)))
    assert b.item(lamina.layers.CrossEntropyLoss(reduction="sum", backend=b)(prediction, target)) == 0.0


# -- a negative control: faults that the proofs must catch ----------------------------------------


class SwappedTranspose(lamina.layers.Linear):
    def backward(self, grad_output: Any) -> Any:
        super().backward(grad_output)
        return self.backend.matmul(grad_output, self.backend.permute_dims(self.weight.data, (1, 0)))


class ForgottenAccumulate(lamina.layers.Linear):
    def backward(self, grad_output: Any) -> Any:
        b, (x,) = self.backend, self.kept()
        self.weight.accumulate(b.linear_grad(grad_output, x)[0])
        return b.matmul(grad_output, self.weight.data)


class BiasMean(lamina.layers.Linear):
    def backward(self, grad_output: Any) -> Any:
        b, (x,) = self.backend, self.kept()
        self.weight.accumulate(b.linear_grad(grad_output, x)[0])
        self.bias.accumulate(b.mean(grad_output, axis=0))
        return b.matmul(grad_output, self.weight.data)


class AssignsInsteadOfAdding(lamina.layers.Linear):
    def backward(self, grad_output: Any) -> Any:
        self.weight.zero_grad()
        return super().backward(grad_output)


class ReLUPassesAtZero(lamina.layers.ReLU):
    def backward(self, grad_output: Any) -> Any:
        b, (y,) = self.backend, self.kept()
        return b.where(b.less(y, 0.0), 0.0, grad_output)


class ReLUHalfAtZero(lamina.layers.ReLU):
    def forward(self, x: Any) -> Any:
        self.keep(x)
        return self.backend.relu(x)

    def backward(self, grad_output: Any) -> Any:
        b, (x,) = self.backend, self.kept()
        return b.multiply(grad_output, b.multiply(b.add(b.sign(x), 1.0), 0.5))


class ReLUSwallowsNaN(lamina.layers.ReLU):
    def forward(self, x: Any) -> Any:
        b = self.backend
        y = b.where(b.greater(x, 0.0), x, 0.0)
        self.keep(y)
        return y


class SlopeMissing(lamina.layers.LeakyReLU):
    def backward(self, grad_output: Any) -> Any:
        b, (x,) = self.backend, self.kept()
        return b.relu_grad(grad_output, x)


class SigmoidPlus(lamina.layers.Sigmoid):
    def backward(self, grad_output: Any) -> Any:
        b, (y,) = self.backend, self.kept()
        return b.multiply(grad_output, b.multiply(y, b.add(y, 1.0)))


class TanhNotSquared(lamina.layers.Tanh):
    def backward(self, grad_output: Any) -> Any:
        b, (y,) = self.backend, self.kept()
        return b.multiply(grad_output, b.subtract(1.0, y))


class SoftmaxWithoutInnerSum(lamina.layers.Softmax):
    def backward(self, grad_output: Any) -> Any:
        b, (y,) = self.backend, self.kept()
        return b.multiply(y, b.subtract(grad_output, b.multiply(grad_output, y)))


class LogSoftmaxWrongAxis(lamina.layers.LogSoftmax):
    def backward(self, grad_output: Any) -> Any:
        (y,) = self.kept()
        return self.backend.log_softmax_grad(grad_output, y, axis=0)


class MSEFactorMissing(lamina.layers.MSELoss):
    def backward(self, grad_output: Any = None) -> Any:
        return self.backend.multiply(super().backward(grad_output), 0.5)


class MSEMeanMissing(lamina.layers.MSELoss):
    def backward(self, grad_output: Any = None) -> Any:
        difference, _ = self.kept(grad_output)
        return self.backend.multiply(difference, 2.0)


class BCEWeightMissing(lamina.layers.BCELoss):
    def backward(self, grad_output: Any = None) -> Any:
        weight, self.weight = self.weight, None
        try:
            return super().backward(grad_output)
        finally:
            self.weight = weight


class BCEUnclamped(lamina.layers.BCELoss):
    def forward(self, prediction: Any, target: Any) -> Any:
        super().forward(prediction, target)
        b = self.backend
        gain = b.add(
            b.multiply(target, b.log(prediction)),
            b.multiply(b.subtract(1.0, target), b.log1p(b.negative(prediction))),
        )
        return b.negative(b.mean(gain))


class PosWeightOnNegatives(lamina.layers.BCEWithLogitsLoss):
    def backward(self, grad_output: Any = None) -> Any:
        x, t = self.kept(grad_output)
        b = self.backend
        gradient = b.multiply(b.subtract(b.sigmoid(x), t), self.pos_weight)
        return self.scaled(gradient, grad_output, 12)


class SmoothingForgotten(lamina.layers.CrossEntropyLoss):
    def forward(self, prediction: Any, target: Any) -> Any:
        loss = super().forward(prediction, target)
        smoothing, self.label_smoothing = self.label_smoothing, 0.0
        super().forward(prediction, target)
        self.label_smoothing = smoothing
        return loss


class IgnoredNotMasked(lamina.layers.CrossEntropyLoss):
    def forward(self, prediction: Any, target: Any) -> Any:
        loss = super().forward(prediction, target)
        ignored, self.ignore_index = self.ignore_index, -100
        super().forward(prediction, target)
        self.ignore_index = ignored
        return loss


class PlainMeanOfWeighted(lamina.layers.NLLLoss):
    """Wrong alike in forward and backward: only another implementation can tell."""

    def forward(self, prediction: Any, target: Any) -> Any:
        self.reduction = "sum"
        total = super().forward(prediction, target)
        self.reduction = "mean"
        return self.backend.multiply(total, 1.0 / 6.0)

    def backward(self, grad_output: Any = None) -> Any:
        return self.backend.multiply(super().backward(grad_output), 1.0 / 6.0)


def named(cases: Sequence[Any], name: str) -> Any:
    return next(case for case in cases if case.name == name)


def broken(sound: Any, kind: type) -> Any:
    """Return the sound thing with the broken class's methods, and all of its options."""
    sound.__class__ = kind
    return sound


LAYER_FAULTS: list[tuple[type[Module], str, bool]] = [
    # the class, the case it breaks, and whether finite differences see it (else torch alone does)
    (SwappedTranspose, "Linear square, batch of one", True),
    (ForgottenAccumulate, "Linear with bias", True),
    (BiasMean, "Linear with bias", True),
    (ReLUPassesAtZero, "ReLU", True),
    (ReLUHalfAtZero, "ReLU", False),
    (ReLUSwallowsNaN, "ReLU", False),
    (SlopeMissing, "LeakyReLU", True),
    (SigmoidPlus, "Sigmoid", True),
    (TanhNotSquared, "Tanh", True),
    (SoftmaxWithoutInnerSum, "Softmax dim=-1 of 3x4", True),
    (LogSoftmaxWrongAxis, "LogSoftmax dim=-1 of 3x4", True),
]


def torch_objects(case: Any, b: Backend, inputs: Any) -> bool:
    compare = compare_layer_with_torch if isinstance(case, LayerCase) else compare_loss_with_torch
    try:
        compare(case, b, *(inputs if isinstance(inputs, tuple) else (inputs,)))
    except (AssertionError, LaminaError):
        return True
    return False


def faulty(case: Any, kind: type) -> Any:
    return replace(case, make=lambda b: broken(case.make(b), kind))


@pytest.mark.parametrize(
    ("kind", "name", "by_differences"), LAYER_FAULTS, ids=lambda v: getattr(v, "__name__", None)
)
def test_a_planted_fault_in_a_layer_is_caught(
    kind: type[Module], name: str, by_differences: bool, backend64: Backend
) -> None:
    pytest.importorskip("torch", reason="some faults only another implementation sees")
    case = faulty(named(LAYER_CASES, name), kind)
    special = case.special_inputs()
    seen = not check_layer(case.build(backend64), case.inputs()).passed
    assert seen == by_differences
    assert torch_objects(case, backend64, case.inputs()) or (
        special is not None and torch_objects(case, backend64, special)
    )


LOSS_FAULTS: list[tuple[type[Loss], str, bool]] = [
    (MSEFactorMissing, "MSELoss sum", True),
    (MSEMeanMissing, "MSELoss mean", True),
    (BCEWeightMissing, "BCELoss weighted", True),
    (BCEUnclamped, "BCELoss mean", False),
    (PosWeightOnNegatives, "BCEWithLogitsLoss pos_weight", True),
    (SmoothingForgotten, "CrossEntropyLoss smoothed", True),
    (IgnoredNotMasked, "CrossEntropyLoss ignoring 1", True),
    (PlainMeanOfWeighted, "NLLLoss weighted mean", False),
]


@pytest.mark.parametrize(
    ("kind", "name", "by_differences"), LOSS_FAULTS, ids=lambda v: getattr(v, "__name__", None)
)
def test_a_planted_fault_in_a_loss_is_caught(
    kind: type[Loss], name: str, by_differences: bool, backend64: Backend
) -> None:
    pytest.importorskip("torch", reason="some faults only another implementation sees")
    case = faulty(named(LOSS_CASES, name), kind)
    special = case.special_inputs()
    seen = not check_loss(case.build(backend64), *case.inputs()).passed
    assert seen == by_differences
    assert torch_objects(case, backend64, case.inputs()) or (
        special is not None and torch_objects(case, backend64, special)
    )


def test_gradients_that_do_not_add_up_are_caught(backend64: Backend) -> None:
    case = named(LAYER_CASES, "Sequential with a shared weight")

    def make(b: Backend) -> Module:
        model = case.make(b)
        for layer in model:
            if isinstance(layer, lamina.layers.Linear):
                layer.__class__ = AssignsInsteadOfAdding
        return model

    report = check_layer(replace(case, make=make).build(backend64), case.inputs())
    assert {d.name for d in report.differences if d.error > 1.0} == {"0.weight"}


def test_finite_differences_need_float64() -> None:
    case = named(LAYER_CASES, "Sequential")
    with pytest.raises(LaminaError, match="need float64"):
        check_layer(case.build(get_backend("numpy")), case.inputs())


def test_finite_differences_leave_the_parameters_as_they_were(backend64: Backend) -> None:
    layer = named(LAYER_CASES, "Sequential nested").build(backend64)
    before = layer.state_dict()
    check_layer(layer, named(LAYER_CASES, "Sequential nested").inputs())
    assert all(before[name].tobytes() == value.tobytes() for name, value in layer.state_dict().items())
