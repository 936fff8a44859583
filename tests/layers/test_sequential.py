"""Sequential: looking layers up, adding them, its repr, and the scopes of its layers."""

from __future__ import annotations

import copy
import threading
from typing import Any

import numpy as np
import pytest

from lamina.backends import get_backend
from lamina.layers import (
    CrossEntropyLoss,
    Flatten,
    KaimingNormal,
    LeakyReLU,
    Linear,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
    manual_seed,
    named_scopes,
)


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Let no test depend on how many parameters those before it have drawn."""
    manual_seed(0)


def test_looking_up() -> None:
    b = get_backend("numpy")
    model = Sequential(
        {
            "first": Linear(2, 3, backend=b),
            "bend": ReLU(backend=b),
            "second": Linear(3, 3, backend=b),
            "sub": Sequential(Tanh(backend=b), Linear(3, 1, backend=b)),
            "last": Sigmoid(backend=b),
        }
    )
    assert len(model) == 5
    assert [type(m).__name__ for m in model] == ["Linear", "ReLU", "Linear", "Sequential", "Sigmoid"]
    assert model[0] is model["first"] is model["fc_1"] is model[-5]
    assert model["fc_2"] is model[2]
    assert model["act_1"] is model["bend"]
    assert model["act_2"] is model[-1]
    assert model["sequential_1"] is model["sub"]
    assert list(model.layers) == ["fc_1", "act_1", "fc_2", "sequential_1", "act_2"]
    part = model[1:3]
    assert isinstance(part, Sequential)
    assert list(part.state_dict()) == ["second.weight", "second.bias"]
    assert part[1] is model[2]
    with pytest.raises(IndexError, match="expected an index below 5, got 5"):
        model[5]
    with pytest.raises(KeyError, match="Did you mean 'fc_2'"):
        model["fc_22"]


def test_layers_are_added_one_by_one() -> None:
    b = get_backend("numpy")
    model = Sequential(backend=b)
    assert model.append(Linear(2, 3, backend=b)) is model
    model.add_layer(ReLU(backend=b)).add_layer(Linear(3, 1, backend=b), "head")
    assert list(dict(model.named_children())) == ["0", "1", "head"]
    assert list(model.state_dict()) == ["0.weight", "0.bias", "head.weight", "head.bias"]
    assert model.input_shape == (2,)
    assert model.output_shape((7, 2)) == (7, 1)
    assert b.shape(model(b.from_host(np.ones((4, 2))))) == (4, 1)


def test_an_empty_sequential_takes_the_backend_of_its_first_layer() -> None:
    strict = get_backend("strict+numpy")
    model = Sequential(backend="numpy").append(Linear(2, 1, backend=strict))
    assert model.backend is strict


def test_repr() -> None:
    b = get_backend("numpy")
    model = Sequential(
        Sequential(Linear(2, 3, False, backend=b), LeakyReLU(backend=b)), Flatten(0, 1, backend=b)
    )
    assert repr(model) == (
        "Sequential(\n  (0): Sequential(\n    (0): Linear(2 -> 3, bias=False)\n"
        "    (1): LeakyReLU(negative_slope=0.01)\n  )\n  (1): Flatten(start_dim=0, end_dim=1)\n)"
    )
    assert repr(Sequential(backend=b)) == "Sequential()"
    assert repr(CrossEntropyLoss(reduction="sum", backend=b)) == "CrossEntropyLoss(reduction='sum')"
    assert repr(model[0][0].weight) == "Parameter(3, 2)"
    assert repr(KaimingNormal(0.1)) == "KaimingNormal(negative_slope=0.1, mode='fan_in')"


def test_the_layers_are_named_by_scopes_in_forward_and_backward() -> None:
    from contextlib import contextmanager

    from lamina.backends.wrapper import Wrapper

    paths: list[str] = []

    class Paths(Wrapper):
        name = "paths"

        def around(self, op: Any, args: Any, kwargs: Any) -> Any:
            if op.name != "scope":
                return super().around(op, args, kwargs)

            @contextmanager
            def scope() -> Any:
                paths.append(args[0])
                yield

            return scope()

    b = Paths(get_backend("numpy"))
    model = Sequential({"a": Linear(2, 2, backend=b), "b": ReLU(backend=b)})
    x = b.from_host(np.ones((1, 2)))

    def run() -> None:
        model(x)
        model.backward(x)

    with named_scopes(model):
        run()
        assert paths == ["a", "b", "b.backward", "a.backward"]
        other = threading.Thread(target=run)
        other.start()
        other.join()
    run()
    with named_scopes(model.to(get_backend("numpy"))):
        copy.deepcopy(model)
    assert len(paths) == 4  # the names are those of one thread's call


def test_sizes_that_fit_inputs_of_more_axes() -> None:
    b = get_backend("numpy")
    model = Sequential(
        Linear(4, 3, backend=b), Softmax(2, backend=b), Flatten(backend=b), Linear(6, 1, backend=b)
    )
    assert b.shape(model(b.from_host(np.ones((5, 2, 4))))) == (5, 1)
