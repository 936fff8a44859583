"""A strict handle has no operator, attribute or conversion, and reads only what its own op wrote."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lamina.backends import StateError, get_backend

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


def test_a_handle_takes_no_attributes(handle: Any) -> None:
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


# -- storage -----------------------------------------------------------------------------------------


@pytest.fixture
def b() -> Any:
    return get_backend("strict+numpy")


def refused() -> Any:
    return pytest.raises(StateError, match="that holds a value, got storage from `empty` or a tensor whose")


def test_empty_serves_only_as_out(b: Any) -> None:
    store = b.empty((2,))
    assert b.shape(store) == (2,)
    for read in (b.exp, b.to_host, lambda x: b.reshape(x, (1, 2)), lambda x: b.concat([x]), b.copy):
        with refused():
            read(store)
    first = b.add(b.full((2,), 1.0), 1.0, out=store)
    with refused():
        b.exp(store)
    assert b.to_host(first).tolist() == [2, 2]
    second = b.add(b.full((2,), 1.0), 2.0, out=store)
    with refused():
        b.exp(first)
    assert b.to_host(second).tolist() == [3, 3]


def test_a_tensor_given_as_out_is_dead_and_so_are_its_views(b: Any) -> None:
    x = b.full((2,), 1.0)
    view = b.reshape(x, (1, 2))
    y = b.multiply(view, 2.0, out=view)
    for dead in (x, view):
        with refused():
            b.exp(dead)
    assert b.to_host(b.reshape(y, (2,))).tolist() == [2, 2]


def test_none_in_out_makes_a_new_tensor(b: Any) -> None:
    p, g, m, v = (b.full((2,), 1.0) for _ in range(4))
    options = {"learning_rate": 0.1, "beta1": 0.9, "beta2": 0.9, "epsilon": 1e-8}
    new = b.adam_step(p, g, m, v, **options, correction1=0.1, correction2=0.1, out=(p, None, v))
    assert all(b.shape(b.copy(one)) == (2,) for one in (*new, m, g))
    for dead in (p, v):
        with refused():
            b.exp(dead)


def test_a_cell_is_readable_once_the_result_is_assigned(b: Any) -> None:
    _, cells = b.cells({"a": (2,)})
    cell = cells["a"]
    view = b.reshape(cell, (1, 2))
    result = b.add(cell, 1.0, out=cell)
    for dead in (cell, view):
        with refused():
            b.exp(dead)
    b.assign(cell, result)
    assert b.to_host(cell).tolist() == b.to_host(result).tolist() == [1, 1]
    b.assign(cell, b.full((2,), 3.0))
    assert b.to_host(cell).tolist() == [3, 3]
    with refused():
        b.exp(result)


def test_only_cells_are_assigned_to(b: Any) -> None:
    flat, cells = b.cells({"a": (2,)})
    value = b.full((2,), 1.0)
    for cell in (flat, cells["a"]):
        b.assign(cell, value)
    for other in (b.full((2,), 0.0), b.empty((2,)), b.reshape(flat, (2,))):
        with pytest.raises(StateError, match="assign: expected a cell, got another tensor; `cells` makes"):
            b.assign(other, value)
