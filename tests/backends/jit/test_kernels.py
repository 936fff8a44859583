"""Every kernel against numpy: drawn shapes, layouts and machines, and where a kernel changes its way."""

from __future__ import annotations

from typing import Any

import kernel_proofs as proofs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native import LAYOUTS, OPERANDS, Native, machines, same_bits

from lamina.backends.decorators.jit.ir import POINTER, Code, Value
from lamina.backends.decorators.jit.kernels.contract import Product, contract, plan
from lamina.backends.decorators.jit.kernels.dot import dot
from lamina.backends.decorators.jit.kernels.loops import elementwise
from lamina.backends.decorators.jit.kernels.reduce import SUM, reduce
from lamina.backends.decorators.jit.kernels.span import Array
from lamina.backends.decorators.jit.machine import Machine, host

MACHINES = st.integers(0, 2).map(lambda i: machines()[i % len(machines())])
FLOATS = st.sampled_from(["float32", "float64"])
DTYPES = st.sampled_from(["float32", "float64", "int64"])
OPERAND, RESULT = st.sampled_from(OPERANDS), st.sampled_from(LAYOUTS)
SHAPES = (
    st.lists(st.sampled_from([0, 1, 2, 3, 5, 17, 33, 70]), max_size=4)
    .map(tuple)
    .filter(lambda shape: np.prod(shape) < 40_000)
)
FULL = SHAPES.filter(lambda shape: bool(shape) and all(shape))


def drawn(examples: int) -> Any:
    """Return the settings of a drawn test."""
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None)


@drawn(36)
@given(
    MACHINES, FLOATS, st.sampled_from([(), (), (2,), (3, 2)]), st.integers(0, 40), st.integers(0, 70),
    st.lists(st.sampled_from([0, 1, 2, 3, 8, 25, 67]), min_size=1, max_size=2).map(tuple),
    st.tuples(OPERAND, OPERAND, RESULT), st.sampled_from(["columns", "rows"]), st.booleans(),
)  # fmt: skip
def test_contract(
    machine: Machine,
    dtype: str,
    batch: Any,
    rows: int,
    columns: int,
    terms: Any,
    layouts: Any,
    along: Any,
    special: bool,
) -> None:
    proofs.check_contract(machine, dtype, batch, rows, columns, terms, layouts, along=along, special=special)


# (rows, columns, terms, layouts of A, B and C): a panel of one run and of several, of gathered, transposed
# and far rows; the copy of a far transposed A; a sum in runs, along one axis and two; two heights of tiles.
TURNS = [
    (30, 40, (100,), ("plain", "permuted", "plain")),
    (9, 70, (600,), ("plain", "permuted", "padded")),
    (5, 40, (300,), ("sliced", "sliced", "plain")),
    (26, 530, (80,), ("plain", "plain", "plain")),
    (300, 300, (70,), ("permuted", "plain", "plain")),
    (3, 20, (8300,), ("plain", "plain", "plain")),
    (2, 5, (3, 4200), ("plain", "plain", "plain")),
    (2, 5, (9000, 2), ("plain", "plain", "plain")),
    (61, 100, (4,), ("plain", "padded", "padded")),
]


@pytest.mark.parametrize("case", TURNS, ids=lambda case: f"{case[0]}x{case[1]}x{case[2]}")
def test_contract_where_it_turns(case: tuple[int, int, tuple[int, ...], tuple[str, ...]]) -> None:
    rows, columns, terms, layouts = case
    for dtype in ("float32", "float64"):
        proofs.check_contract(host(), dtype, (), rows, columns, terms, layouts)


def test_contract_refuses_to_run_without_its_workspace() -> None:
    code, (p, q) = Native(host()).module.function("f", [POINTER, POINTER])
    product = Product(8, 40, (100,))
    how = plan(host(), product, Array(p, "float", (100, 1)), Array(q, "float", (1, 100)))
    with pytest.raises(ValueError, match=f"expected a workspace of {how.workspace} bytes"):
        contract(code, how, lambda span: code.number(span.type("float"), 0), lambda value, span: None)


@drawn(14)
@given(
    MACHINES, FLOATS, st.sampled_from([(), (2,)]), st.integers(0, 9),
    st.sampled_from([0, 1, 2, 3, 4, 5, 9, 16, 25, 35]),
    st.sampled_from([(0,), (1,), (40,), (300,), (3, 21)]), st.tuples(OPERAND, OPERAND, RESULT), st.booleans(),
)  # fmt: skip
def test_dot(
    machine: Machine, dtype: str, batch: Any, rows: int, columns: int, terms: Any, layouts: Any, special: bool
) -> None:
    proofs.check_contract(machine, dtype, batch, rows, columns, terms, layouts, kernel="dot", special=special)


@drawn(20)
@given(MACHINES, DTYPES, SHAPES, st.tuples(OPERAND, OPERAND, OPERAND, RESULT, RESULT))
def test_maps(machine: Machine, dtype: str, shape: tuple[int, ...], layouts: Any) -> None:
    proofs.check_map(machine, dtype, shape, layouts)


@drawn(30)
@given(
    MACHINES, DTYPES, SHAPES, st.integers(0, 15), st.tuples(OPERAND, OPERAND, RESULT),
    st.sampled_from(["sum", "max"]), st.booleans(),
)  # fmt: skip
def test_sums_and_maxima(
    machine: Machine, dtype: str, shape: tuple[int, ...], chosen: int, layouts: Any, op: str, special: bool
) -> None:
    axes = tuple(axis for axis in range(len(shape)) if chosen >> axis & 1)
    op = "sum" if any(shape[axis] == 0 for axis in axes) else op
    proofs.check_reduce(machine, dtype, shape, axes, layouts, op=op, special=special)


@drawn(16)
@given(
    MACHINES,
    DTYPES,
    FULL,
    st.integers(0, 3),
    st.tuples(OPERAND, OPERAND, RESULT),
    st.booleans(),
)
def test_argmax(
    machine: Machine, dtype: str, shape: tuple[int, ...], axis: int, layouts: Any, special: bool
) -> None:
    axes = (axis % len(shape),)
    proofs.check_reduce(machine, dtype, shape, axes, layouts, op="argmax", special=special)


@drawn(16)
@given(MACHINES, st.sampled_from(["float32", "float64", "int64", "bool"]), SHAPES, st.tuples(OPERAND, RESULT))
def test_copies(machine: Machine, dtype: str, shape: tuple[int, ...], layouts: Any) -> None:
    proofs.check_copy(machine, dtype, shape, layouts)


@drawn(14)
@given(
    MACHINES, DTYPES, FULL, st.integers(0, 3), st.sampled_from([0, 1, 7]),
    st.tuples(RESULT, RESULT, RESULT),
)  # fmt: skip
def test_rows_by_index(
    machine: Machine, dtype: str, shape: tuple[int, ...], axis: int, count: int, layouts: Any
) -> None:
    proofs.check_rows(machine, dtype, shape, axis % len(shape), count, layouts)


@drawn(8)
@given(
    MACHINES,
    DTYPES,
    FULL,
    st.integers(0, 3),
    st.tuples(RESULT, RESULT, RESULT),
)
def test_elements_by_index(
    machine: Machine, dtype: str, shape: tuple[int, ...], axis: int, layouts: Any
) -> None:
    proofs.check_along(machine, dtype, shape, axis % len(shape), layouts)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 1001])
def test_random_numbers_are_the_hosts(count: int) -> None:
    for dtype in ("float32", "float64"):
        proofs.check_random(host(), dtype, count)


def test_an_output_may_be_an_input() -> None:
    x, y = np.arange(100.0), np.arange(100.0) ** 2

    def write(code: Code, p: Value, q: Value) -> None:
        a, b = Array(p, "double", (1,)), Array(q, "double", (1,))
        elementwise(code, (100,), [a, b], [a, b], lambda code, x, y: [code.add(x, y), code.sub(y, x)])

    a, b = Native(host()).add(write, 2)(x, y)
    same_bits(a, x + y)
    same_bits(b, y - x)


def test_elementwise_code_rounds_every_product() -> None:
    x = np.random.default_rng(0).random(1000)

    def write(code: Code, p: Value, q: Value) -> None:
        arrays = Array(p, "double", (1,)), Array(q, "double", (1,))
        elementwise(code, (1000,), arrays[:1], arrays[1:], lambda code, x: code.add(code.mul(x, x), x))

    same_bits(Native(host()).add(write, 2)(x, x)[1], x * x + x)


@pytest.mark.parametrize("axis", [0, 1])
def test_long_float32_sums_keep_their_digits(axis: int) -> None:
    proofs.check_long_sum(axis)


@pytest.mark.parametrize("kernel", [contract, dot], ids=["contract", "dot"])
def test_long_products_keep_their_digits(kernel: Any) -> None:
    proofs.check_long_product(kernel)


def test_a_sum_of_nothing_is_0() -> None:
    def write(code: Code, p: Value, q: Value) -> None:
        reduce(code, (3, 0), [1], [Array(p, "double", (0, 1))], [Array(q, "double", (1, 0))], SUM)

    assert Native(host()).add(write, 2)(np.zeros(0), np.ones(3))[1].tolist() == [0, 0, 0]
