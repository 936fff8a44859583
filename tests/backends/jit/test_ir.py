"""The text of IR: what it computes when compiled."""

from __future__ import annotations

import math

import numpy as np
import pytest
from native import Native, function, machines, same_bits

from lamina.backends.decorators.jit.ir import INDEX, POINTER, Code, Module, Value, constant, scalar, vector
from lamina.backends.decorators.jit.machine import host

NUMBERS = (
    0.0,
    -0.0,
    1 / 3,
    math.pi,
    1e-45,
    5e-324,
    1e-310,
    3.4e38,
    1e39,
    -1e308,
    math.inf,
    -math.inf,
    math.nan,
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constants_are_exact(dtype: str) -> None:
    element = {"float32": "float", "float64": "double"}[dtype]
    with np.errstate(all="ignore"):
        expected = np.array(NUMBERS, dtype)

    def write(code: Code, out: Value) -> None:
        for i, x in enumerate(NUMBERS):
            code.store(code.number(scalar(element), x), code.at(out, (i, expected.itemsize)))

    same_bits(Native(host()).add(write, 1)(np.zeros_like(expected))[0], expected)


def test_constants_of_integers_and_bools() -> None:
    assert constant("i64", -(2**63)) == "-9223372036854775808"
    assert [constant("i1", x) for x in (0, 1, 2.5)] == ["false", "true", "true"]


def test_a_loop_runs_as_often_as_its_count_says() -> None:
    def write(code: Code, out: Value, count: Value) -> None:
        cells = [code.at(out, (i, 8)) for i in range(5)]
        for cell, times in zip(cells, (count, 0, 1, 7, None), strict=True):
            with code.loop(count if times is None else times), code.loop(2 if times is None else 1):
                code.store(code.add(code.load(cell, INDEX), code.number(INDEX, 1)), cell)

    run = function(host(), [POINTER, INDEX], write)
    for count in (-3, 0, 1, 5):
        out = np.zeros(5, np.int64)
        run(out.ctypes.data, count)
        times = max(count, 0)
        assert out.tolist() == [times, 0, 1, 7, 2 * times]


def test_kernels_of_equal_text_are_one_function_and_equal_operands_one_parameter() -> None:
    module = Module(host())
    code, (p, q) = module.function("f", [POINTER, POINTER])

    def write(code: Code, x: Value, y: Value, z: Value) -> None:
        code.store(code.load(x, INDEX), y)
        code.store(code.load(x, INDEX), z)

    for _ in range(3):
        code.kernel([p, q, q], write)
    code.kernel([p, p, q], write)
    text = module.text()
    assert text.count("define internal") == 2
    assert text.count("call void @kernel0(ptr %a0, ptr %a1)") == 3
    assert "(ptr noalias %p0, ptr noalias %p1)" in text


def test_dead_lanes_are_neither_read_nor_written() -> None:
    for machine in machines():
        for element, dtype in (("float", "float32"), ("double", "float64"), ("i64", "int64"), ("i1", "bool")):
            lanes = machine.lanes(element)
            for live in (1, lanes - 1, lanes):
                _copies(machine, element, np.arange(1, 3 * live + 1).astype(dtype), lanes, live)


def _copies(machine: object, element: str, source: np.ndarray, lanes: int, live: int) -> None:
    """Copy `live` elements with a vector of more lanes, beside each other and three apart."""
    kind = vector(element, lanes)

    def near(code: Code, p: Value, q: Value) -> None:
        code.store(code.load(p, kind, live), q, live)

    def apart(code: Code, p: Value, q: Value) -> None:
        code.scatter(code.gather(p, 3, kind, live), q, 2, live)

    native = Native(machine)  # type: ignore[arg-type]
    calls = native.add(near, 2), native.add(apart, 2)
    same_bits(calls[0](source[:live], np.zeros_like(source[:live]))[1], source[:live])
    spread = np.zeros(2 * live - 1, source.dtype)
    expected = spread.copy()
    expected[::2] = source[: 3 * live - 2 : 3]
    same_bits(calls[1](source[: 3 * live - 2], spread)[1], expected)


def test_a_body_runs_only_when_its_condition_holds() -> None:
    def write(code: Code, p: Value) -> None:
        for i in range(4):
            cell = code.at(p, (i, 8))
            x = code.load(cell, INDEX)
            with code.when(code.compare("gt", x, code.number(INDEX, 2))):
                code.store(code.negative(x), cell)

    assert Native(host()).add(write, 1)(np.array([1, 2, 3, 4]))[0].tolist() == [1, 2, -3, -4]


def test_values_of_two_types_do_not_mix() -> None:
    code, (p,) = Module(host()).function("f", [POINTER])
    x, y = code.load(p, scalar("float")), code.load(p, scalar("double"))
    with pytest.raises(TypeError, match="one type"):
        code.add(x, y)
    with pytest.raises(TypeError, match="one type"):
        code.select(code.is_nan(x), x, y)
