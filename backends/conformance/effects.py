"""Checks beyond the value of one call: cells, storage, copies, scopes, sessions, random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..base import Backend
from ..errors import DtypeError, ShapeError
from ..host import Host
from ..protocol import Shape, Tensor
from ..windows import Window
from .refusals import refused


def new_cell(backend: Backend, shape: Shape, dtype: str | None = None) -> Tensor:
    """Return one cell."""
    _, cells = backend.cells({"cell": shape}, dtype=dtype)
    return cells["cell"]


def equal(backend: Backend, handle: Any, right: Host) -> None:
    """Raise unless a tensor has this shape and these values."""
    got = backend.to_host(handle)
    assert got.shape == right.shape, f"expected shape {right.shape}, got {got.shape}"
    assert np.array_equal(got, right), f"expected {right.tolist()}, got {got.tolist()}"


def assign_writes(backend: Backend, op: str) -> None:
    """A cell holds the last value assigned, whatever happens to the value's source."""
    cell, value = new_cell(backend, (2, 3)), backend.full((2, 3), 2.0)
    backend.assign(cell, value)
    equal(backend, cell, np.full((2, 3), 2.0))
    backend.assign(cell, backend.add(cell, 1.0))
    equal(backend, cell, np.full((2, 3), 3.0))
    equal(backend, value, np.full((2, 3), 2.0))
    other = new_cell(backend, (2, 3))
    backend.assign(other, cell)
    backend.assign(cell, value)
    equal(backend, other, np.full((2, 3), 3.0))
    view = backend.permute_dims(backend.from_host([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), (1, 0))
    backend.assign(cell, view)
    equal(backend, cell, np.array([[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]]))


def assign_itself(backend: Backend, op: str) -> None:
    """A cell may be assigned itself, or a result that was written to it through `out`."""
    cell = new_cell(backend, (3,))
    backend.assign(cell, backend.from_host([1.0, 2.0, 3.0]))
    backend.assign(cell, cell)
    equal(backend, cell, np.array([1.0, 2.0, 3.0]))
    backend.assign(cell, backend.multiply(cell, 2.0, out=cell))
    equal(backend, cell, np.array([2.0, 4.0, 6.0]))


def assign_refuses(backend: Backend, op: str) -> None:
    """Another shape is a ShapeError, another dtype a DtypeError; the cell keeps its value."""
    cell = new_cell(backend, (2,))
    backend.assign(cell, backend.full((2,), 1.0))
    other = "float64" if backend.default_dtype == "float32" else "float32"
    for value, error in (
        (backend.full((1,), 2.0), ShapeError),
        (backend.full((), 2.0), ShapeError),
        (backend.full((2, 1), 2.0), ShapeError),
        (backend.full((2,), 2.0, dtype=other), DtypeError),
        (backend.full((2,), 2, dtype="int64"), DtypeError),
        (object(), DtypeError),
    ):
        refused(f"assign: {value!r} to a cell of shape (2,)", error, backend.assign, cell, value)
    equal(backend, cell, np.ones(2))


def cells_are_views(backend: Backend, op: str) -> None:
    """The flat buffer is its named views in order: assigning to either changes the other."""
    shapes = {"weight": (2, 3), "bias": (3,), "scale": (), "none": (0, 4)}
    flat, views = backend.cells(shapes)
    assert list(views) == list(shapes), f"cells: expected {list(shapes)}, got {list(views)}"
    for name, shape in shapes.items():
        assert backend.shape(views[name]) == shape, (
            f"cells: expected {name} of shape {shape}, got {backend.shape(views[name])}"
        )
        assert backend.dtype(views[name]) == backend.default_dtype
    assert backend.shape(flat) == (10,), f"cells: expected a buffer of shape (10,), got {backend.shape(flat)}"
    equal(backend, flat, np.zeros(10))
    backend.assign(views["bias"], backend.from_host([1.0, 2.0, 3.0]))
    backend.assign(views["scale"], backend.full((), 7.0))
    equal(backend, flat, np.array([0, 0, 0, 0, 0, 0, 1, 2, 3, 7.0]))
    backend.assign(flat, backend.astype(backend.arange(0, 10), backend.default_dtype))
    equal(backend, views["weight"], np.arange(6.0).reshape(2, 3))
    equal(backend, views["scale"], np.array(9.0))
    backend.assign(flat, backend.add(flat, flat, out=flat))
    equal(backend, views["bias"], np.array([12.0, 14.0, 16.0]))
    backend.assign(views["weight"], backend.multiply(views["weight"], 0.5, out=views["weight"]))
    equal(backend, flat, np.array([0, 1, 2, 3, 4, 5, 12, 14, 16, 18.0]))


def cells_of_other_dtypes(backend: Backend, op: str) -> None:
    """Cells have any dtype; there may be none."""
    for dtype in ("float32", "float64", "int64", "bool"):
        flat, views = backend.cells({"a": (2,), "b": (1, 2)}, dtype=dtype)
        assert backend.dtype(flat) == backend.dtype(views["b"]) == dtype
        equal(backend, flat, np.zeros(4))
    flat, views = backend.cells({})
    assert (backend.shape(flat), views) == ((0,), {}), "cells: expected an empty buffer and no views"


def cells_in_session(backend: Backend, op: str) -> None:
    """Storage made in a session can be written outside it, and vice versa."""
    _, outside = backend.cells({"a": (2,)})
    with backend.session():
        _, inside = backend.cells({"a": (2,)})
        store = backend.empty((2,))
        backend.assign(outside["a"], backend.full((2,), 1.0))
        value = backend.add(outside["a"], 1.0)
    backend.assign(inside["a"], value)
    store = backend.add(value, value, out=store)
    backend.assign(outside["a"], backend.add(outside["a"], inside["a"], out=outside["a"]))
    equal(backend, inside["a"], np.full(2, 2.0))
    equal(backend, store, np.full(2, 4.0))
    equal(backend, outside["a"], np.full(2, 3.0))


def linear_grad_without_bias(backend: Backend, op: str) -> None:
    """bias=False gives the same weight gradient, with `out` and without, and no bias gradient."""
    grad, x = backend.from_host([[1.0, -2.0], [3.0, 0.5]]), backend.from_host([[2.0], [4.0]])
    places: list[Any] = [None, (backend.empty((2, 1)), None)]
    for place in places:
        weight, bias = backend.linear_grad(grad, x, bias=False, out=place)
        equal(backend, weight, np.array([[14.0], [-2.0]]))
        assert bias is None, f"{op}: expected None for the bias, got {bias!r}"
    places = [(backend.empty((2, 1)), None), (None, backend.empty((2,)))]
    for place in places:
        weight, bias = backend.linear_grad(grad, x, out=place)
        equal(backend, weight, np.array([[14.0], [-2.0]]))
        equal(backend, bias, np.array([4.0, -1.5]))


def windows_fit(backend: Backend, op: str) -> None:
    """A tensor of another shape than the window's is a ShapeError."""
    window = Window.of((4, 5), (2, 3))
    wrong = {(2, 3, 4, 6), (2, 3, 5, 5), (2, 3, 4), (4, 5), (1, 2, 3, 4, 5)}
    if op == "fold":  # columns (N, 6 C, 9)
        wrong = {(2, 6, 8), (2, 5, 9), (2, 6), (6, 9), (2, 6, 3, 3)}
    for shape in sorted(wrong):
        x = backend.full(shape, 1.0)
        refused(f"{op}: shape {shape} and {window}", ShapeError, getattr(backend, op), x, window)


def empty_is_storage(backend: Backend, op: str) -> None:
    """Each `empty` is new storage: results written to earlier ones keep their values."""
    one, two = backend.full((2, 3), 1.0), backend.full((2, 3), 2.0)
    first = backend.add(one, one, out=backend.empty((2, 3)))
    second = backend.multiply(two, two, out=backend.empty((2, 3)))
    third = backend.add(first, second, out=backend.empty((2, 3)))
    for value, right in ((first, 2.0), (second, 4.0), (third, 6.0), (one, 1.0), (two, 2.0)):
        equal(backend, value, np.full((2, 3), right))


def out_is_handed_on(backend: Backend, op: str) -> None:
    """Op after op may write to the handle that the last one returned."""
    x = backend.full((2, 2), 3.0)
    y = backend.add(x, 1.0, out=backend.empty((2, 2)))
    y = backend.multiply(y, x, out=y)
    y = backend.subtract(x, y, out=y)
    y = backend.matmul(x, x, out=y)
    equal(backend, y, np.full((2, 2), 18.0))
    equal(backend, x, np.full((2, 2), 3.0))


def cells_take_ops_of_the_buffer(backend: Backend, op: str) -> None:
    """Assigning to the buffer changes every view; assigning to a view changes its part of the buffer."""
    flat, views = backend.cells({"a": (2,), "b": (1, 2)})
    backend.assign(flat, backend.astype(backend.arange(1, 5), backend.default_dtype))
    a, b = backend.copy(views["a"]), backend.copy(views["b"])
    backend.assign(flat, backend.negative(flat, out=flat))
    equal(backend, views["a"], np.array([-1.0, -2.0]))
    equal(backend, views["b"], np.array([[-3.0, -4.0]]))
    backend.assign(views["b"], backend.add(b, b, out=views["b"]))
    equal(backend, flat, np.array([-1.0, -2.0, 6.0, 8.0]))
    equal(backend, views["a"], np.array([-1.0, -2.0]))
    equal(backend, a, np.array([1.0, 2.0]))


def from_host_copies(backend: Backend, op: str) -> None:
    """Writing to the host array does not change the tensor."""
    for dtype in (backend.default_dtype, "float32", "float64"):
        array = np.arange(4, dtype=dtype)
        handle = backend.from_host(array, dtype=dtype)
        array[:] = -1
        assert np.array_equal(backend.to_host(handle), np.arange(4)), (
            "from_host: expected a copy, got the host array's memory"
        )


def from_host_default(backend: Backend, op: str) -> None:
    """Floats take the default dtype, integers become int64, bool stays; other dtypes are refused."""
    for array, dtype in (
        (np.zeros(2, np.float64), backend.default_dtype),
        (np.zeros(2, np.float32), backend.default_dtype),
        (np.zeros(2, np.int8), "int64"),
        (np.zeros(2, bool), "bool"),
        ([0.5], backend.default_dtype),
        ([1], "int64"),
        ([], backend.default_dtype),
    ):
        got = backend.dtype(backend.from_host(array))
        assert got == dtype, f"from_host: expected {dtype} for {array!r}, got {got}"
    for wrong in (np.array(["a"]), np.array([1j]), np.array([None])):
        refused(f"from_host: {wrong!r}", TypeError, backend.from_host, wrong)


def to_host_copies(backend: Backend, op: str) -> None:
    """Writing to the returned array does not change the tensor, and vice versa."""
    cell = new_cell(backend, (3,))
    backend.assign(cell, backend.full((3,), 1.0))
    array = backend.to_host(cell)
    array[:] = -1
    equal(backend, cell, np.ones(3))
    before = backend.to_host(cell)
    backend.assign(cell, backend.full((3,), 5.0))
    assert np.array_equal(before, np.ones(3)), "to_host: expected a copy, got the tensor's memory"
    wide = backend.to_host(backend.broadcast_to(backend.full((1,), 2.0), (3,)))
    wide[0] = 0
    assert wide.tolist() == [0, 2, 2], "to_host: expected an array of three elements, got one repeated"


def item_wants_one(backend: Backend, op: str) -> None:
    """A tensor of more or fewer elements than one is a ShapeError."""
    for shape in ((2,), (0,), (1, 2)):
        refused(f"item: shape {shape}", ValueError, backend.item, backend.full(shape, 1.0))


def copy_is_separate(backend: Backend, op: str) -> None:
    """A copy does not change with its cell."""
    cell = new_cell(backend, (2,))
    backend.assign(cell, backend.full((2,), 1.0))
    kept = backend.copy(cell)
    backend.assign(cell, backend.full((2,), 2.0))
    equal(backend, kept, np.ones(2))


def synchronize_returns(backend: Backend, op: str) -> None:
    """It returns None."""
    backend.add(backend.full((2,), 1.0), 1.0)
    assert backend.synchronize() is None  # type: ignore[func-returns-value]


def scope_is_transparent(backend: Backend, op: str) -> None:
    """Scopes nest, pass exceptions on, and change no value."""
    with backend.scope("model"), backend.scope("0"):
        value = backend.add(backend.full((2,), 1.0), 1.0)
    equal(backend, value, np.full(2, 2.0))
    try:
        with backend.scope("model"):
            raise KeyError("inside")
    except KeyError:
        return
    raise AssertionError("scope: expected the exception to pass, got none")


def session_is_transparent(backend: Backend, op: str) -> None:
    """Sessions nest, can be entered again, pass exceptions on, and their values live on."""
    for _ in range(2):
        with backend.session(), backend.session():
            value = backend.multiply(backend.full((2,), 3.0), 2.0)
        equal(backend, backend.add(value, 1.0), np.full(2, 7.0))
    try:
        with backend.session():
            raise KeyError("inside")
    except KeyError:
        return
    raise AssertionError("session: expected the exception to pass, got none")


def random_known(backend: Backend, op: str) -> None:
    """The first numbers of known streams, to the last bit."""
    for options, known in KNOWN:
        handle = backend.random((3,), **options)
        got = [float(v).hex() for v in backend.to_host(handle)]
        assert got == known, f"random: expected {known} for {options}, got {got}"


def random_streams(backend: Backend, op: str) -> None:
    """Numbers depend on seed, stream and step, and not on the shape or earlier draws."""

    def draw(*shape: int, seed: int = 1, stream: int | str = "a", step: int = 0) -> Host:
        drawn: Host = backend.to_host(backend.random(shape, seed=seed, stream=stream, step=step))
        return drawn

    first = draw(64)
    assert np.array_equal(first, draw(64)), "random: expected equal draws, got different ones"
    assert np.array_equal(first, draw(8, 8).ravel()), (
        "random: expected equal numbers in any shape, got different ones"
    )
    others = (draw(64, seed=2), draw(64, stream="b"), draw(64, stream=3), draw(64, step=1))
    assert all(not np.array_equal(first, other) for other in others), (
        "random: expected other numbers for another seed, stream or step, got the same"
    )
    assert np.all((first >= 0) & (first < 1)), "random: expected uniform numbers in [0, 1), got others"
    options: dict[str, Any] = {"seed": 1, "stream": "a"}
    narrow, wide = (
        backend.to_host(backend.random((64,), dtype=d, **options)) for d in ("float32", "float64")
    )
    assert np.all((wide >= narrow) & (wide - narrow < 2.0**-24)), (
        "random: expected float32 draws to be rounded float64 draws, got others"
    )
    for wrong in ({"distribution": "cauchy"}, {"seed": -1}, {"seed": 2**64}):
        options = {"seed": 0, "stream": 0, **wrong}
        refused(f"random: {wrong}", ValueError, backend.random, (2,), **options)


KNOWN: tuple[tuple[dict[str, Any], list[str]], ...] = (
    (
        {"seed": 0, "stream": 0, "dtype": "float32"},
        ["0x1.7a5d000000000p-7", "0x1.eeb1580000000p-3", "0x1.c866700000000p-4"],
    ),
    (
        {"seed": 42, "stream": "dropout", "step": 3, "dtype": "float64"},
        ["0x1.e6653c60fd201p-1", "0x1.6511808fe29bep-2", "0x1.857312c16b747p-1"],
    ),
    (
        {"seed": 2**64 - 1, "stream": 1, "step": 2**40, "distribution": "normal", "dtype": "float32"},
        ["-0x1.48267e0000000p-1", "0x1.1a6d840000000p+1", "-0x1.a189180000000p-2"],
    ),
    (
        {"seed": 7, "stream": "init", "distribution": "normal", "dtype": "float64"},
        ["-0x1.898446599ba07p-4", "-0x1.af815e59de3d5p+0", "-0x1.fb38ee7c4e5bap-1"],
    ),
)

CHECKS = {
    "assign": (assign_writes, assign_itself, assign_refuses),
    "empty": (empty_is_storage, out_is_handed_on),
    "cells": (cells_are_views, cells_take_ops_of_the_buffer, cells_of_other_dtypes, cells_in_session),
    "from_host": (from_host_copies, from_host_default),
    "to_host": (to_host_copies,),
    "item": (item_wants_one,),
    "copy": (copy_is_separate,),
    "synchronize": (synchronize_returns,),
    "scope": (scope_is_transparent,),
    "session": (session_is_transparent,),
    "linear_grad": (linear_grad_without_bias,),
    "unfold": (windows_fit,),
    "fold": (windows_fit,),
    "max_pool": (windows_fit,),
    "random": (random_known, random_streams),
}
"""By op."""
