"""How every layer of the table behaves: dtypes, what it keeps and forgets, empty batches, memory order."""

from __future__ import annotations

import contextlib
import threading
import timeit
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rows import each

import lamina.layers
from lamina.backends import Backend, ShapeError, get_backend
from lamina.layers import Sequential, inference, mode, without_input_gradient
from lamina.layers.call import rehearsal
from lamina.layers.module import has_parameters
from lamina.layers.proofs import LAYER_CASES, LayerCase, Subject
from lamina.layers.proofs.subject import cotangent, host


def parameters(case: LayerCase) -> list[str]:
    return [name for name, _ in case.build(get_backend("numpy")).named_parameters()]


OF_FLOATS = [case for case in LAYER_CASES if not case.integers]


def close(actual: Any, expected: Any, what: str, rtol: float = 1e-9, atol: float = 1e-12) -> None:
    __tracebackhide__ = True
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol, err_msg=what, strict=True)


def in_thread(action: Callable[[], object]) -> None:
    thread = threading.Thread(target=action)
    thread.start()
    thread.join()


@each(OF_FLOATS)
def test_a_layer_keeps_dtypes_and_its_arguments(case: LayerCase, backend: Backend) -> None:
    b = backend
    layer = case.build(b)
    before = layer.state_dict()
    x = b.from_host(case.input())
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


@each([case for case in LAYER_CASES if not parameters(case)])
def test_float64_goes_through_a_backend_of_float32(case: LayerCase, backend: Backend) -> None:
    """Of a layer without parameters: those are float32, and unequal dtypes are an error."""
    layer = case.build(backend)
    y = layer(backend.from_host(case.input(), dtype="float64"))
    g = backend.from_host(cotangent(backend.shape(y)), dtype="float64")
    assert backend.dtype(y) == backend.dtype(layer.backward(g)) == "float64"


@each([case for case in LAYER_CASES if "Linear" in case.name or "Sequential" in case.name])
def test_gradients_add_up_until_they_are_zeroed(case: LayerCase, backend64: Backend) -> None:
    b = backend64
    layer = case.build(b)
    x = b.from_host(case.input())
    assert all(p.grad is None for p in layer.parameters())

    def run(scale: float) -> Any:
        y = layer(x)
        g = b.from_host(scale * cotangent(b.shape(y)))
        layer.backward(g)
        return Subject(layer).gradients()

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
    x = b.from_host(case.input(1))
    layer(b.from_host(case.input(0)))
    y = layer(x)
    g = b.from_host(cotangent(b.shape(y)))
    fresh(x)
    grad, expected = layer.backward(g), fresh.backward(g)
    if not case.integers:
        close(host(b, grad), host(b, expected), "input", rtol=0.0, atol=0.0)
    for name, value in Subject(layer).gradients().items():
        close(value, Subject(fresh).gradients()[name], name, rtol=0.0, atol=0.0)


@each(LAYER_CASES)
@pytest.mark.parametrize("predicts", [True, False])
def test_a_forward_in_another_thread_disturbs_no_backward(case: LayerCase, predicts: bool) -> None:
    b = get_backend("numpy", dtype="float64")
    layer, fresh = case.build(b).eval(), case.build(b).eval()
    x, other = (b.from_host(case.input(k)) for k in (0, 1))

    def elsewhere() -> None:
        with inference() if predicts else contextlib.nullcontext():
            layer(other)

    y = layer(x)
    in_thread(elsewhere)
    fresh(x)
    g = b.from_host(cotangent(b.shape(y)))
    grad, expected = layer.backward(g), fresh.backward(g)
    if not case.integers:
        close(host(b, grad), host(b, expected), "input", rtol=0.0, atol=0.0)
    for name, value in Subject(layer).gradients().items():
        close(value, Subject(fresh).gradients()[name], name, rtol=0.0, atol=0.0)


@each(LAYER_CASES)
def test_a_rehearsal_changes_nothing(case: LayerCase, backend: Backend) -> None:
    layer, fresh = case.build(backend), case.build(backend)
    x = backend.from_host(case.input())
    with rehearsal(), mode(training=True):
        layer(x)
    before = fresh.state_dict()
    assert all(np.array_equal(value, before[name]) for name, value in layer.state_dict().items())
    with mode(training=True):
        assert host(backend, layer(x)).tobytes() == host(backend, fresh(x)).tobytes()


@each([case for case in OF_FLOATS if parameters(case)])
def test_the_input_gradient_can_be_spared(case: LayerCase, backend64: Backend) -> None:
    b = backend64
    layer, whole = case.build(b), case.build(b)
    x = b.from_host(case.input())
    g = b.from_host(cotangent(b.shape(layer(x))))
    with without_input_gradient(layer):
        assert layer.backward(g) is None
    whole(x)
    assert whole.backward(g) is not None
    for name, value in Subject(whole).gradients().items():
        close(Subject(layer).gradients()[name], value, name, rtol=0.0, atol=0.0)
    layer(x)
    assert layer.backward(g) is not None


# Flatten all joins the batch axis too.
@each([case for case in OF_FLOATS if "dim=0" not in case.name and case.name != "Flatten all"])
def test_an_empty_batch_goes_through(case: LayerCase, backend64: Backend) -> None:
    b = backend64
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
    for name, value in Subject(layer).gradients().items():
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
    x = case.input()
    y, expected = layer(turned(x)), plain(b.from_host(x))
    close(host(b, y), host(b, expected), "output")
    g = cotangent(b.shape(y))
    close(host(b, layer.backward(turned(g))), host(b, plain.backward(b.from_host(g))), "input")
    for name, value in Subject(layer).gradients().items():
        close(value, Subject(plain).gradients()[name], name)


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
    model(b.from_host(np.ones((3, 2, 2))))
    with without_input_gradient(model):
        assert model.backward(b.from_host(np.ones((3, 2)))) is None
    assert calls == []
    model(b.from_host(np.ones((3, 2, 2))))
    assert b.shape(model.backward(b.from_host(np.ones((3, 2))))) == (3, 2, 2)
    assert calls == ["ReLU"]


def test_sparing_the_input_gradient_holds_for_layers_that_come_later(backend64: Backend) -> None:
    b = backend64
    inner = Sequential(backend=b)
    model = Sequential(inner, lamina.layers.Linear(3, 2, backend=b))
    x, g = b.from_host(np.ones((2, 3))), b.from_host(np.ones((2, 2)))
    for _ in range(2):
        model(x)
        with without_input_gradient(model):
            assert model.backward(g) is None
        if not len(inner):
            inner.append(lamina.layers.Linear(3, 3, backend=b))
    assert all(p.grad is not None for p in model.parameters())


def test_a_container_of_ones_own_decides_for_its_layers(backend64: Backend) -> None:
    """The layers inside a container compute the gradients that it needs, though nothing needs its own."""

    class Pair(lamina.layers.Module):
        def __init__(self) -> None:
            super().__init__(backend64)
            self.first = lamina.layers.Linear(3, 3, backend=backend64)
            self.second = lamina.layers.Linear(3, 2, backend=backend64)

        def forward(self, x: Any) -> Any:
            return self.second(self.first(x))

        def backward(self, grad_output: Any) -> Any:
            return self.first.backward(self.second.backward(grad_output))

    x, g = backend64.from_host(np.ones((2, 3))), backend64.from_host(np.ones((2, 2)))
    for model in (Pair(), Sequential(Pair())):
        model(x)
        with without_input_gradient(model):
            model.backward(g)
        assert all(p.grad is not None for p in model.parameters())


def test_the_search_for_the_first_parameters_costs_little() -> None:
    b = get_backend("numpy")
    flatten, linear = lamina.layers.Flatten(backend=b), lamina.layers.Linear(4, 4, backend=b)
    search = lambda: has_parameters(flatten) or has_parameters(linear)  # noqa: E731
    assert search()
    seconds = min(timeit.repeat(search, number=1000, repeat=50)) / 1000
    assert seconds < 3e-6, seconds  # about 1 µs; a full walk through both takes 15


def test_mode_is_the_calls(backend64: Backend) -> None:
    model = Sequential(lamina.layers.Dropout(0.5, backend=backend64)).eval()
    assert not model[0].training
    seen: list[bool] = []
    with mode(training=True):
        assert model.training
        assert model[0].training
        in_thread(lambda: seen.append(model[0].training))
        with mode(training=False):
            assert not model[0].training
    assert seen == [False]
    assert not model.training
