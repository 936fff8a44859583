"""Mistakes in a layer of one's own: each is one message that names the pass and says what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lamina
from lamina.backends import Backend, ShapeError
from lamina.layers import Constant, Linear, Loss, Module, MSELoss, Sequential, Uniform
from lamina.train.loop.trainer import Trainer
from lamina.train.optimizers import SGD

X = np.random.default_rng(0).standard_normal((4, 3))


class Scale(Module):
    """y = w x."""

    def __init__(self, backend: Any = None) -> None:
        super().__init__(backend)
        self.weight = self.parameter((3,), Uniform(0.5, 1.5))
        self.factor: Any = np.ones(3)

    def forward(self, x: Any) -> Any:
        self.keep(x)
        return self.backend.multiply(x, self.weight.data)

    def backward(self, grad_output: Any) -> Any:
        b, (x,) = self.backend, self.kept()
        self.weight.accumulate(b.sum(b.multiply(grad_output, x), axis=0))
        return b.multiply(grad_output, self.weight.data)


def in_place(self: Any, x: Any) -> Any:
    x *= 2.0
    return Scale.forward(self, x)


def without_return(self: Any, x: Any) -> None:
    Scale.forward(self, x)


def a_pair(self: Any, g: Any) -> Any:
    return Scale.backward(self, g), self.weight.grad


def set_gradient(self: Any, g: Any) -> Any:
    self.weight.grad = g


def op(name: str) -> Callable[..., Any]:
    return lambda self, x: getattr(self.backend, name)(x, x)


B: Callable[..., Any] = lambda self: self.backend  # noqa: E731
# The pass that is replaced, by what, and the words that `check` must say; those that a plain call must say.
MISTAKES: dict[str, tuple[str, Callable[..., Any], str, str]] = {
    "mul": ("forward", op("mul"), "no op 'mul'; use multiply", "use multiply"),
    "mul in backward": ("backward", op("mul"), "no op 'mul'; use multiply", "use multiply"),
    "a capital": ("forward", op("Relu"), "no op 'Relu'; use relu", "use relu"),
    "dot": ("forward", op("dot"), "use matmul", "use matmul"),
    "transpose": ("forward", op("transpose"), "use permute_dims", "use permute_dims"),
    "greater_equal": ("forward", op("greater_equal"), "use less_equal(y, x)", "use less_equal(y, x)"),
    "a typo": ("forward", op("sqaure"), "Did you mean 'square'?", "Did you mean 'square'?"),
    "not summed": (
        "backward",
        lambda self, g: self.weight.accumulate(g),
        "self.weight: accumulate: expected a gradient of shape (3,), got (4, 3); sum over the batch: "
        "sum(..., axis=0)",
        "self.weight: accumulate: expected a gradient of shape (3,), got (4, 3); sum over the batch",
    ),
    "a parameter, whole": (
        "forward",
        lambda self, x: B(self).multiply(x, self.weight),
        "self.weight: multiply: expected a tensor of <backend strict+numpy float64>, got "
        "lamina.layers.parameter.Parameter; pass its .data",
        "self.weight: multiply: expected a tensor of the numpy backend, got "
        "lamina.layers.parameter.Parameter; pass its .data",
    ),
    "a plain array": (
        "forward",
        lambda self, x: B(self).multiply(x, self.factor),
        "self.factor: multiply: expected a tensor of <backend strict+numpy float64>, got numpy.ndarray; make "
        "it with self.parameter(...) or self.buffer(...)",
        "self.factor is a plain array: make it with self.parameter(...) or self.buffer(...)",
    ),
    "no keep": (
        "forward",
        lambda self, x: B(self).multiply(x, self.weight.data),
        "backward: backward needs a forward pass before it that calls self.keep(...)",
        "backward needs a forward pass before it that calls self.keep(...)",
    ),
    "None from forward": (
        "forward",
        without_return,
        "expected a tensor, got None; return the output",
        "Scale(): forward returned None; return the output alone",
    ),
    "None from backward": (
        "backward",
        lambda self, g: None,
        "expected the gradient of the input, a tensor, got None; return the gradient of the input",
        "Scale(): backward returned None; return the gradient of the input",
    ),
    "a tuple from backward": (
        "backward",
        a_pair,
        "got a tuple of 2; return the gradient of the input alone; parameters take theirs through",
        "Scale(): backward returned a tuple of 2; return the gradient of the input",
    ),
    "another shape": (
        "backward",
        lambda self, g: B(self).sum(g, axis=0),
        "expected the gradient of the input to have its shape (4, 3), got (3,)",
        "(a gradient that Scale.backward returned)",
    ),
    "not unpacked": (
        "backward",
        lambda self, g: B(self).multiply(g, self.kept()),
        "got tuple; unpack it, as in `(x,) = self.kept()`",
        "got tuple; unpack it, as in `(x,) = self.kept()`",
    ),
    "kept, misspelt": (
        "backward",
        lambda self, g: self.keept(),
        "Scale has no attribute 'keept'. Did you mean 'kept'?",
        "Scale has no attribute 'keept'. Did you mean 'kept'?",
    ),
    "two arguments": (
        "forward",
        lambda self, x, y: x,
        "expected forward(self, x), got forward(self, x, y)",
        "",
    ),
    "no argument": (
        "backward",
        lambda self: None,
        "expected backward(self, grad_output), got backward(self)",
        "",
    ),
    "an error inside": ("backward", lambda self, g: {}["a"], "KeyError: 'a' (test_mistakes.py, line ", "'a'"),
    "two dtypes": (
        "forward",
        lambda self, x: B(self).multiply(x, B(self).astype(self.weight.data, "int64")),
        "expected tensors of equal dtypes, got float64 and int64; use astype",
        "expected tensors of equal dtypes, got float32 and int64; use astype",
    ),
    "torch's keyword": (
        "forward",
        lambda self, x: B(self).sum(x, dim=0),
        "argument 'dim'; here it is axis",
        "dim",
    ),
    "a gradient that is assigned": (
        "backward",
        set_gradient,
        "self.weight: expected gradients through accumulate(grad), got an assignment to grad",
        "self.weight: expected gradients through accumulate(grad), got an assignment to grad",
    ),
    "a gradient of None": (
        "backward",
        lambda self, g: self.weight.accumulate(None),
        "self.weight: accumulate: ",
        "got None; a function without `return` gives None",
    ),
    # These run on a raw backend, whose tensors are a library's own arrays.
    "in place": ("forward", in_place, "*= on an opaque tensor; use multiply of its backend", ""),
    "an operator": ("forward", lambda self, x: x + 1.0, "+ on an opaque tensor; use add of its backend", ""),
    "shape": ("forward", lambda self, x: x.shape, ".shape on an opaque tensor; use shape of its backend", ""),
    "a method": ("forward", lambda self, x: x.dot(x), ".dot on an opaque tensor; use matmul", ""),
    "numpy": ("forward", lambda self, x: np.exp(x), "a numpy function on an opaque tensor; use an op", ""),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_message(name: str) -> None:
    method, body, message, _ = MISTAKES[name]
    proof = lamina.check(type("Scale", (Scale,), {method: body})(backend="numpy"), X)
    assert not proof.passed
    lines = str(proof).splitlines()
    assert lines[0] == "Scale(): NOT proven"
    assert len(lines) == 2
    assert lines[1].startswith(("  forward: ", "  backward: "))
    assert message in lines[1]


@pytest.mark.parametrize("name", [name for name, row in MISTAKES.items() if row[3]])
def test_a_plain_call_says_it_too(name: str) -> None:
    method, body, _, message = MISTAKES[name]
    b = lamina.get_backend("numpy", dtype="float32")
    layer = type("Scale", (Scale,), {method: body})(backend=b)
    model = Sequential(Linear(3, 3, backend=b), layer, Linear(3, 3, backend=b))
    with pytest.raises(Exception) as caught:  # the mistake decides which
        model.backward(model(b.from_host(X)))
    assert message in str(caught.value)


def made(backend: Any, shape: Any, initializer: Any) -> Module:
    layer = Module(backend)
    layer.weight = layer.parameter(shape, initializer)  # type: ignore[attr-defined]
    return layer


class Bare(Module):
    def __init__(self, backend: Any) -> None:
        self.weight = self.parameter((3,), Constant(0.0))


class Unmade(Module):
    def __init__(self) -> None:
        self.factor = 1.0


class BareLoss(Loss):
    def __init__(self) -> None:
        self.factor = 1.0

    def forward(self, prediction: Any, target: Any) -> Any:
        return self.backend.subtract(prediction, target)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Bare, "Bare: expected Bare.__init__ to call super().__init__(...) first"),
        (lambda b: BareLoss()(X, X), "BareLoss: expected BareLoss.__init__ to call super().__init__(...)"),
        (lambda b: Unmade()(X), "Unmade: expected Unmade.__init__ to call super().__init__(...) first"),
        (lambda b: lamina.check(Unmade(), X), "Unmade: expected Unmade.__init__ to call super()"),
        (lambda b: lamina.check(BareLoss(), X, X), "BareLoss: expected BareLoss.__init__ to call super()"),
        (lambda b: Sequential(Unmade()), "Unmade: expected Unmade.__init__ to call super().__init__(...)"),
        (lambda b: Sequential(Linear(3, 3, backend=b), Unmade()), "Unmade: expected Unmade.__init__ to call"),
        (lambda b: Sequential().append(Unmade()), "Unmade: expected Unmade.__init__ to call super()"),
        (
            lambda b: Trainer(Unmade(), MSELoss(), SGD(Linear(1, 1).parameters(), lr=0.1)),
            "Unmade: expected Unmade.__init__ to call",
        ),
        (lambda b: made(b, (3,), 0.5), "parameter: expected an initializer such as Constant(0.5), got 0.5"),
        (lambda b: made(b, (3,), Uniform), "expected an initializer such as Constant(0.5), got <class"),
        (
            lambda b: made(b, 3, Constant(0.5)),
            "expected shape to be a tuple of integers",
        ),
        (lambda b: Module(b).buffer((-1,), 0.0), "buffer: expected shape to be a tuple of integers"),
    ],
)
def test_mistakes_in_the_constructor(backend: Backend, make: Callable[[Any], Any], message: str) -> None:
    with pytest.raises((AttributeError, RuntimeError, ValueError, TypeError)) as caught:
        make(backend)
    assert message in str(caught.value)


def test_a_later_gradient_does_not_broadcast(backend: Backend) -> None:
    parameter = Linear(3, 2, backend=backend).weight
    parameter.accumulate(backend.full((2, 3), 1.0))
    with pytest.raises(ShapeError, match="sum over the axes that the parameter does not have"):
        parameter.accumulate(backend.full((4, 1, 2, 3), 1.0))
    with pytest.raises(ShapeError, match=r"expected a gradient of shape \(2, 3\), got \(1, 3\)"):
        parameter.accumulate(backend.full((1, 3), 1.0))
    np.testing.assert_array_equal(backend.to_host(parameter.grad), np.ones((2, 3)))


def test_a_gradient_that_was_never_accumulated() -> None:
    layer = type("Scale", (Scale,), {"backward": lambda self, g: self.backend.multiply(g, self.weight.data)})
    proof = str(lamina.check(layer(backend="numpy"), X))
    assert "weight[" in proof
    assert proof.endswith("weight: backward accumulated no gradient")


def test_a_mistake_in_a_loss() -> None:
    class Own(Loss):
        def forward(self, prediction: Any, target: Any) -> Any:
            self.keep()
            return self.backend.square(self.backend.subtract(prediction, target))

    proof = lamina.check(Own(backend="numpy"), X, X)
    assert str(proof).splitlines()[1:] == [
        "  forward: expected one number, a 0-d tensor, got shape (4, 3); use self.reduce"
    ]
