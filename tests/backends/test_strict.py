"""A strict handle tells nothing: no operator, no attribute, no conversion."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lamina.backends import get_backend

BINARY = [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and_",
    "or_",
    "xor",
    "lshift",
    "rshift",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "iadd",
    "isub",
    "imul",
    "itruediv",
    "imatmul",
    "contains",
    "getitem",
]
UNARY: list[Callable[[Any], Any]] = [
    operator.neg, operator.pos, operator.invert, operator.index, operator.not_,
    abs, bool, len, iter, list, float, int, complex, round, next, reversed, sum, max, memoryview, bytes,
    np.asarray, np.sum, np.exp, copy.copy, copy.deepcopy,
]  # fmt: skip
ATTRIBUTES = [
    "shape",
    "dtype",
    "T",
    "sum",
    "reshape",
    "ndim",
    "size",
    "item",
    "numpy",
    "detach",
    "data",
    "device",
    "grad",
    "requires_grad",
    "__array_interface__",
    "__dlpack__",
    "__dict__",
    "__array_ufunc__",
]


@pytest.fixture
def handle() -> Any:
    return get_backend("strict+numpy").from_host([1.0, 2.0])


@pytest.mark.parametrize("name", BINARY)
def test_binary_operators_raise(handle: Any, name: str) -> None:
    for other in (1.0, handle, np.ones(2), np.float64(1)):
        with pytest.raises(TypeError):
            getattr(operator, name)(handle, other)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "matmul", "pow", "eq", "lt"])
def test_reflected_operators_raise(handle: Any, name: str) -> None:
    for other in (1.0, np.ones(2), np.float64(1)):
        with pytest.raises(TypeError):
            getattr(operator, name)(other, handle)


@pytest.mark.parametrize("function", UNARY, ids=lambda f: f.__name__)
def test_functions_raise(handle: Any, function: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError):
        function(handle)


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes_are_not_there(handle: Any, name: str) -> None:
    with pytest.raises(AttributeError):
        getattr(handle, name)


def test_nothing_can_be_put_on_a_handle(handle: Any) -> None:
    with pytest.raises(AttributeError):
        handle.shape = (2,)
    with pytest.raises(TypeError):
        handle[0] = 1.0


def test_if_and_in_raise(handle: Any) -> None:
    with pytest.raises(TypeError, match="opaque"):
        _ = 1 if handle else 0
    with pytest.raises(TypeError):
        _ = handle in [np.ones(2)]


def test_printing_shows_no_numbers(handle: Any) -> None:
    assert repr(handle) == str(handle) == f"{handle}" == "<opaque tensor>"


def test_torch_cannot_look_inside(handle: Any) -> None:
    torch = pytest.importorskip("torch", reason="torch's own functions are tried on a handle")
    for function in (torch.sum, torch.relu, torch.as_tensor):
        with pytest.raises((TypeError, RuntimeError)):
            function(handle)


def test_a_handle_belongs_to_one_stack() -> None:
    one, two = get_backend("strict+numpy"), get_backend("strict+numpy")
    assert one is not two
    with pytest.raises(TypeError, match="another strict backend"):
        two.exp(one.from_host([1.0]))
    with pytest.raises(TypeError, match=r"numpy\.ndarray"):
        one.exp(get_backend("numpy").from_host([1.0]))
    with pytest.raises(TypeError):
        one.from_host(one.from_host([1.0]))
    with pytest.raises(TypeError):
        one.concat([one.from_host([1.0]), two.from_host([1.0])])
    with pytest.raises(TypeError):
        one.exp(one.from_host([1.0]), out=two.empty((1,)))
