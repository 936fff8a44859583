"""Programs: the check of what a pass may get wrong, the printed form, and the interpreter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.backends import Backend, get_backend
from lamina.backends.decorators.jit.builder import Builder
from lamina.backends.decorators.jit.instructions import (
    Buffer,
    Call,
    Constant,
    Instruction,
    Load,
    Program,
    Region,
    Store,
    Value,
    View,
)
from lamina.backends.decorators.jit.program import ProgramError, check, interpret, show
from lamina.backends.meta import Meta
from lamina.backends.number import Number

pytestmark = pytest.mark.without_torch
X = Value(Meta((2, 3), "float64"), "x")
Y = Value(Meta((3,), "float64"), "y")
BUFFER = Buffer("@0", 9, "float64", ((0, (2, 3)), (6, (3,))))
WEIGHT, BIAS, WHOLE = Region(BUFFER, 0, (2, 3)), Region(BUFFER, 6, (3,)), Region(BUFFER, 0, (9,))


def builder() -> Any:
    return Builder(dtype="float64")  # type: ignore[abstract]  # made by funnelled


def program(*outputs: Value, body: list[Instruction], **rest: Any) -> Program:
    return Program((X, Y), ("lr",), tuple(body), outputs, **rest)


def example() -> Program:
    """A step with every kind of instruction."""
    b = builder()
    b.path = "fc"
    w = b.load(WEIGHT)
    y = b.add(b.multiply(X, w), Y)
    b.path = "head.0"
    scaled = b.multiply(y, -Number.named("lr") / 2)
    few, many = b.constant(np.array([1.0, np.nan, 3.0])), b.constant(np.arange(6.0).reshape(2, 3))
    z = b.where(b.greater(scaled, few), many, 0.0)
    b.store(WEIGHT, z)
    b.path = ""
    b.store(BIAS, View(z, 1, (3,), (2,)))
    return check(program(b.sum(z, axis=(0, 1)), y, body=b.body))


def test_the_printed_form() -> None:
    assert (
        show(example())
        == """\
inputs   %x: f64[2, 3], %y: f64[3]
numbers  lr
cells    @0: f64[9]
# fc
  %0: f64[2, 3] = load @0[0:6]
  %1: f64[2, 3] = multiply(%x, %0)
  %2: f64[2, 3] = add(%1, %y)
# head.0
  %3: f64[2, 3] = multiply(%2, ((-lr) / 2))
  %4: f64[3] = constant [1.0, nan, 3.0]
  %5: f64[2, 3] = constant #d0670540ef36
  %6: bool[2, 3] = greater(%3, %4)
  %7: f64[2, 3] = where(%6, %5, 0.0)
  store @0[0:6] = %7
# outside the layers
  store @0[6:9] = %7[1; 3:2]
  %8: f64[] = sum(%7, axis=(0, 1))
return %8, %2"""
    )


def test_the_interpreter(backend64: Backend) -> None:
    b = backend64
    source = np.random.default_rng(0)
    x, y, start = source.standard_normal((2, 3)), source.standard_normal(3), source.standard_normal(9)
    flat, views = b.cells({"w": (2, 3), "b": (3,)})
    b.assign(flat, b.from_host(start))
    total, hidden = interpret(
        example(), b, [b.from_host(x), b.from_host(y)], numbers={"lr": 0.5}, cells={"@0": flat}
    )
    right = x * start[:6].reshape(2, 3) + y
    z = np.where(right * -0.25 > np.array([1.0, np.nan, 3.0]), np.arange(6.0).reshape(2, 3), 0.0)
    np.testing.assert_allclose(b.to_host(hidden), right, rtol=1e-15)
    assert b.to_host(total) == z.sum()
    assert np.array_equal(b.to_host(views["w"]), z)
    assert np.array_equal(b.to_host(views["b"]), z.ravel()[1::2])


def test_a_load_is_a_value(backend64: Backend) -> None:
    """A later store does not change it."""
    b, code = backend64, builder()
    before = code.load(BIAS)
    code.store(BIAS, Y)
    after = code.load(BIAS)
    flat, _ = b.cells({"w": (2, 3), "b": (3,)})
    x, y = b.full((2, 3), 0.0), b.from_host([1.0, 2.0, 3.0])
    results = interpret(check(program(before, after, body=code.body)), b, [x, y], cells={"@0": flat})
    assert [b.to_host(value).tolist() for value in results] == [[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=3), st.integers(0, 3), st.data())
def test_views_are_strides(extents: list[tuple[int, int]], offset: int, data: Any) -> None:
    shape, strides = tuple(n for n, _ in extents), tuple(s for _, s in extents)
    size = offset + sum((n - 1) * s for n, s in extents if n) + 1
    base = Value(Meta((size,), "float64"), "x")
    code = builder()
    result = code.copy(View(base, offset, shape, strides))
    made = check(Program((base,), (), tuple(code.body), (result,)))
    b = get_backend("numpy", dtype="float64")
    x = np.arange(float(size))
    (found,) = interpret(made, b, [b.from_host(x)])
    right = np.lib.stride_tricks.as_strided(x[offset:], shape, [8 * s for s in strides])
    assert np.array_equal(b.to_host(found), right)


def test_inputs_are_checked() -> None:
    b = get_backend("numpy", dtype="float64")
    x = b.full((2, 3), 0.0)
    with pytest.raises(ProgramError, match=r"expected %y to be f64\[3\], got f64\[2, 3\]"):
        interpret(example(), b, [x, x])


# -- faults ----------------------------------------------------------------------------------------


def changed(place: int, **fields: Any) -> Program:
    """Return the example with another instruction at a place."""
    found = example()
    body = list(found.body)
    body[place] = replace(body[place], **fields)
    return replace(found, body=tuple(body))


STRANGER = Value(Meta((2, 3), "float64"))


def test_each_value_is_computed_before_its_use() -> None:
    with pytest.raises(
        ProgramError, match=r"instruction 1, .*multiply\(%x, %\?\): expected values that earlier"
    ):
        check(changed(1, args=(X, STRANGER)))
    with pytest.raises(ProgramError, match="expected values that earlier"):
        check(replace(example(), outputs=(STRANGER,)))
    found = example()
    with pytest.raises(ProgramError, match="expected values that earlier"):
        check(replace(found, body=(found.body[1], found.body[0], *found.body[2:])))


def test_each_value_is_computed_once() -> None:
    found = example()
    with pytest.raises(ProgramError, match="instruction 1: expected a new value"):
        check(replace(found, body=(found.body[0], *found.body)))
    with pytest.raises(ProgramError, match="expected different inputs"):
        check(replace(found, inputs=(X, X)))
    with pytest.raises(ProgramError, match="expected a new value"):
        check(program(body=[Constant(np.zeros(3), Y)]))


@pytest.mark.parametrize("meta", [Meta((3, 2), "float64"), Meta((2, 3), "float32")])
def test_results_have_the_tables_type(meta: Meta) -> None:
    with pytest.raises(ProgramError, match=r"instruction 2, .*add.*: expected results .* got"):
        check(changed(2, outputs=(Value(meta),)))
    with pytest.raises(ProgramError, match="expected a value like its region"):
        check(changed(0, result=Value(meta)))
    with pytest.raises(ProgramError, match="expected the array's shape and dtype"):
        check(changed(4, result=Value(meta)))


def test_numbers_are_the_steps() -> None:
    with pytest.raises(ProgramError, match="expected numbers of the step, got lr"):
        check(replace(example(), numbers=("rate",)))


def test_regions_and_views_stay_inside() -> None:
    with pytest.raises(ProgramError, match="expected a region of 9 elements"):
        check(program(body=[Store(Region(BUFFER, 7, (3,)), Y)]))
    for view in (View(X, 1, (3,), (3,)), View(X, -1, (3,), (1,)), View(X, 0, (7,), (1,))):
        with pytest.raises(ProgramError, match="expected a view inside its 6 elements"):
            check(program(body=[Store(Region(BUFFER, 0, view.shape), view)]))
    with pytest.raises(ProgramError, match="expected a stride of at least 0"):
        check(program(body=[Store(BIAS, View(X, 5, (3,), (-1,)))]))
    empty = View(X, 6, (0, 3), (1, 1))
    code = builder()
    check(program(code.negative(empty), body=code.body))


def test_a_forwarded_program_reads_before_it_writes() -> None:
    load, whole = Load(BIAS, Value(BIAS.meta)), Load(WHOLE, Value(WHOLE.meta))
    store = Store(BIAS, Y)
    check(program(body=[load, store], forwarded=True))
    check(program(body=[store, whole]))
    for late in (Load(BIAS, Value(BIAS.meta)), whole):
        with pytest.raises(ProgramError, match="expected no element to be read after its store"):
            check(program(body=[store, late], forwarded=True))
    with pytest.raises(ProgramError, match="expected no element to be stored again after its store"):
        check(program(body=[store, replace(store)], forwarded=True))
    check(program(body=[store, Store(WEIGHT, X)], forwarded=True))


def test_arguments_are_the_ops_own() -> None:
    call = Call("add", (X, X), {"axis": 1}, (Value(X.meta),))
    with pytest.raises(ProgramError, match=r"instruction 0, .*expected arguments of the op, got axis"):
        check(program(body=[call]))
    call = Call("multiply", (X, View(X, 0, (4,), (1,))), {}, (Value(X.meta),))
    with pytest.raises(
        ProgramError, match=r"multiply: expected shapes that broadcast, got \(2, 3\) and \(4,\)"
    ):
        check(program(body=[call]))
