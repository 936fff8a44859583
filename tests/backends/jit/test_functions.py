"""The functions over vectors: their errors in ULP, their special values, and equal bits at any width."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.special
from native import Native, machines, same_bits

from lamina.backends.decorators.jit.ir import Code, Value, vector
from lamina.backends.decorators.jit.kernels.elementwise import ELEMENTWISE, convert
from lamina.backends.decorators.jit.kernels.functions import FUNCTIONS
from lamina.backends.decorators.jit.kernels.loops import elementwise
from lamina.backends.decorators.jit.kernels.quotient import quotient
from lamina.backends.decorators.jit.kernels.span import Array
from lamina.backends.decorators.jit.machine import Machine, host
from lamina.backends.ops import OPS

Host = np.ndarray[Any, Any]
ELEMENT = {"float32": "float", "float64": "double", "int64": "i64", "bool": "i1"}
SPECIAL = (
    0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 1e-45, -1e-45, 5e-324, 1e-310, -1e-310, 1.2e-38,
    3e38, -3e38, 1e308, -1e308, 88.7, 88.8, -87.4, -103.9, -104.1, 709.7, 709.8, -708.4, -745.1, -745.2,
    2.0, 0.5,
)  # fmt: skip
RANGES = {
    "exp": (-750.0, 712.0), "expm1": (-45.0, 712.0), "log": (0.0, 4.0), "log1p": (-1.0, 4.0),
    "tanh": (-22.0, 22.0), "sigmoid": (-750.0, 40.0), "softplus": (-750.0, 750.0), "erf": (-6.5, 6.5),
}  # fmt: skip
"""Of the samples in float64; those of float32 are cut to its own range of exponents."""


def wide_sigmoid(x: Any) -> Any:
    tail = np.exp(-np.abs(x))
    return np.where(x >= 0, x.dtype.type(1), tail) / (1 + tail)


ORACLES: dict[str, Callable[[Host], Host]] = {
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "tanh": np.tanh,
    "sigmoid": wide_sigmoid, "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    "erf": scipy.special.erf,
}  # fmt: skip
EXACT: dict[str, Callable[[Any], Any]] = {
    "exp": mpmath.exp, "expm1": mpmath.expm1, "log": mpmath.log, "log1p": mpmath.log1p, "tanh": mpmath.tanh,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)), "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "erf": mpmath.erf,
}  # fmt: skip


class Library:
    """Every function in one float type on one machine, compiled at once."""

    def __init__(self, machine: Machine, dtype: str, count: int) -> None:
        self.count, self.dtype = count, dtype
        native = Native(machine)
        element = ELEMENT[dtype]

        def of(name: str) -> Callable[..., None]:
            def write(code: Code, *pointers: Value) -> None:
                arrays = [Array(p, element, (1,)) for p in pointers]
                elementwise(code, (count,), arrays[:-1], arrays[-1:], FUNCTIONS[name])

            return write

        self.calls = {name: native.add(of(name), 3 if name == "pow" else 2) for name in FUNCTIONS}

    def __call__(self, name: str, *arguments: Host) -> Host:
        """Return the function of arrays of any length."""
        size = len(arguments[0])
        parts = []
        for start in range(0, size, self.count):
            part = [np.resize(x[start : start + self.count], self.count) for x in arguments]
            parts.append(self.calls[name](*part, np.zeros(self.count, self.dtype))[-1])
        return np.concatenate(parts)[:size]


COUNT = 4099
"""Of a call: some vectors and a tail."""


@pytest.fixture(scope="module")
def libraries() -> list[tuple[Machine, dict[str, Library]]]:
    return [(m, {d: Library(m, d, COUNT) for d in ("float32", "float64")}) for m in machines()]


def samples(name: str, dtype: str, count: int) -> Host:
    """Return numbers in the function's range, of all magnitudes, of all bits, and the special ones."""
    source = np.random.default_rng(5)
    low, high = RANGES[name]
    if dtype == "float32":
        low, high = max(low, -105.0), min(high, 90.0)
    bits = source.integers(0, 2**64, count // 4, dtype=np.uint64)
    patterns = (
        (bits >> np.uint64(32)).astype(np.uint32).view(np.float32)
        if dtype == "float32"
        else bits.view(np.float64)
    )
    sizes = 10.0 ** source.uniform(-46 if dtype == "float32" else -324, 2, count // 4) * source.choice(
        [-1, 1], count // 4
    )
    near = source.uniform(-1.5, 1.5, count // 4)
    with np.errstate(all="ignore"):
        parts = [source.uniform(low, high, count // 4), near, sizes, patterns, SPECIAL]
        return np.concatenate([np.asarray(p).astype(dtype) for p in parts])


@pytest.mark.parametrize("name", RANGES)
def test_float32_within_the_bar(name: str, libraries: list[tuple[Machine, dict[str, Library]]]) -> None:
    x = samples(name, "float32", 200_000)
    with np.errstate(all="ignore"):
        right = ORACLES[name](x.astype(np.float64))
    for machine, library in libraries:
        actual = library["float32"](name, x)
        with np.errstate(invalid="ignore"):  # signalling NaN
            ratio = OPS[name].tolerance.errors(actual, right)
        worst = int(ratio.argmax())
        assert ratio[worst] <= 1, (machine.unit, x[worst], actual[worst], right[worst], ratio[worst])
        zeros = right == 0
        assert np.array_equal(np.signbit(actual[zeros]), np.signbit(right[zeros])), machine.unit


def error_in_ulp(actual: float, x: float, exact: Callable[[Any], Any]) -> float:
    """Return the distance to the exact value; infinite where one is finite and the other is not."""
    with mpmath.workdps(60):
        try:
            right = exact(mpmath.mpf(x))
        except (ZeroDivisionError, ValueError):
            right = mpmath.nan
        if isinstance(right, mpmath.mpc):
            right = mpmath.nan
        rounded = float(right)
        if math.isnan(actual) or math.isnan(rounded) or math.isinf(actual) or math.isinf(rounded):
            return 0.0 if actual == rounded or (math.isnan(actual) and math.isnan(rounded)) else math.inf
        return float(abs(mpmath.mpf(actual) - right) / mpmath.mpf(math.ulp(rounded)))


@pytest.mark.parametrize("name", RANGES)
def test_float64_within_the_bar(name: str, libraries: list[tuple[Machine, dict[str, Library]]]) -> None:
    x = samples(name, "float64", 1600)
    every = [library["float64"](name, x) for _, library in libraries]
    for i, point in enumerate(x.tolist()):
        for actual in {values[i] for values in map(np.ndarray.tolist, every)}:
            error = error_in_ulp(actual, point, EXACT[name])
            assert error <= OPS[name].tolerance.ulp, (point, actual, error)


def test_float64_over_dense_samples(libraries: list[tuple[Machine, dict[str, Library]]]) -> None:
    """Where numpy's long double has more digits than float64, it is the oracle of many more samples."""
    wide = np.longdouble if np.finfo(np.longdouble).nmant > 60 else np.float64
    slack = 0.0 if wide is np.longdouble else 1.0
    for name in RANGES:
        if name == "erf":  # numpy has none
            continue
        x = samples(name, "float64", 40_000)
        with np.errstate(all="ignore"):
            right = ORACLES[name](x.astype(wide))
            actual = libraries[0][1]["float64"](name, x)
            rounded = right.astype(np.float64)
            error = np.abs(actual - right) / np.spacing(np.abs(rounded)).astype(wide)
        same = (actual == rounded) | (np.isnan(actual) & np.isnan(rounded))
        bar = OPS[name].tolerance.ulp + slack
        assert np.all(same | (error <= bar)), (name, x[~(same | (error <= bar))][:3])


def test_pow_within_the_bar(libraries: list[tuple[Machine, dict[str, Library]]]) -> None:
    source = np.random.default_rng(6)
    bases = np.concatenate(
        [source.uniform(0, 10, 700), -source.uniform(0, 10, 300), 10.0 ** source.uniform(-30, 30, 500)]
    )
    exponents = np.concatenate(
        [source.uniform(-20, 20, 700), source.integers(-30, 30, 300), source.uniform(-1.2, 1.2, 500)]
    )
    for _, library in libraries:
        for dtype in ("float32", "float64"):
            x, y = bases.astype(dtype), exponents.astype(dtype)
            values = library[dtype]("pow", x, y)
            if dtype == "float32":
                right = np.power(x.astype(np.float64), y.astype(np.float64))
                assert OPS["pow"].tolerance.errors(values, right).max() <= 1
                continue
            for a, b, actual in zip(x.tolist(), y.tolist(), values.tolist(), strict=True):
                error = error_in_ulp(actual, a, lambda m, b=b: mpmath.power(m, b))
                assert error <= OPS["pow"].tolerance.ulp, (a, b, actual, error)


def test_special_powers_are_those_of_c(libraries: list[tuple[Machine, dict[str, Library]]]) -> None:
    numbers = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        2.0,
        -2.0,
        0.5,
        3.0,
        -3.0,
        2.5,
        math.inf,
        -math.inf,
        math.nan,
        2.0**53 + 2,
        1e300,
        5e-324,
    ]
    x, y = (np.array(v).reshape(-1) for v in np.meshgrid(numbers, numbers))
    with np.errstate(all="ignore"):
        for dtype in ("float32", "float64"):
            a, b = x.astype(dtype), y.astype(dtype)
            right = np.power(a, b)
            for _, library in libraries:
                actual = library[dtype]("pow", a, b)
                exact = np.isnan(right) | np.isinf(right) | (right == 0) | (np.abs(right) == 1)
                same_bits(actual[exact], right[exact])
                np.testing.assert_allclose(actual, right, rtol=1e-6 if dtype == "float32" else 1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_vectors_and_single_elements_give_equal_bits(dtype: str) -> None:
    element, size = ELEMENT[dtype], np.dtype(dtype).itemsize
    for machine in machines():
        lanes = machine.lanes(element)
        x = np.random.default_rng(1).uniform(0.1, 3, 4 * lanes).astype(dtype)
        x[:4] = [np.nan, 0, 1e-310, np.inf]

        def write(code: Code, *pointers: Value, lanes: int = lanes) -> None:
            for width, out in zip((lanes, 1), pointers[1:], strict=True):
                with code.loop(4 * lanes // width) as i:
                    here = (i, width * size)
                    value = code.load(code.at(pointers[0], here), vector(element, width))
                    for f, (name, function) in enumerate(FUNCTIONS.items()):
                        result = function(code, *[value] * (2 if name == "pow" else 1))
                        code.store(result, code.at(out, here, (f * 4 * lanes, size)))

        room = np.zeros(len(x) * len(FUNCTIONS), dtype)
        _, wide, narrow = Native(machine).add(write, 3)(x, room, room)
        same_bits(wide, narrow)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_simple_ops_equal_numpy(dtype: str) -> None:
    x = np.array([0, -0.0, 1, -1, 3, -7, 2**20, np.inf, -np.inf, np.nan], "float64")
    x = x if dtype.startswith("float") else x[:7]
    a, b = (np.array(v).reshape(-1).astype(dtype) for v in np.meshgrid(x, x))
    names = {
        "bool": ["equal", "less", "less_equal", "greater", "logical_not"],
        "int64": sorted(set(ELEMENTWISE) - {"divide", "sqrt", "logical_not", "where"}),
    }.get(dtype, sorted(set(ELEMENTWISE) - {"logical_not", "where"}))
    oracles: dict[str, Any] = {"abs": np.absolute}
    with np.errstate(all="ignore"):
        for name in names:
            oracle = oracles.get(name) or getattr(np, name)
            one = name in ("negative", "abs", "sign", "sqrt", "square", "logical_not")
            right = oracle(a) if one else oracle(a, b)

            def write(code: Code, *p: Value, name: str = name, right: Host = right, one: bool = one) -> None:
                arrays = [Array(q, ELEMENT[dtype], (1,)) for q in (p[:1] if one else p[:2])]
                out = Array(p[2], ELEMENT[right.dtype.name], (1,))
                elementwise(code, (len(a),), arrays, [out], ELEMENTWISE[name])

            actual = Native(host()).add(write, 3)(a, b, np.zeros_like(right))[2]
            assert np.array_equal(actual, right, equal_nan=right.dtype.kind == "f"), (name, actual, right)


@pytest.mark.parametrize("target", ["float32", "float64", "int64", "bool"])
@pytest.mark.parametrize("source", ["float32", "float64", "int64", "bool"])
def test_conversions_equal_numpy(source: str, target: str) -> None:
    x = np.array([0, -0.0, 1, -1.75, 2.5, 1e9, -3e7]).astype(source)
    if source.startswith("float") and target != "int64":
        x = np.append(x, [np.nan, np.inf]).astype(source)

    def write(code: Code, p: Value, q: Value) -> None:
        arrays = [Array(p, ELEMENT[source], (1,)), Array(q, ELEMENT[target], (1,))]
        elementwise(code, x.shape, arrays[:1], arrays[1:], lambda code, x: convert(code, x, ELEMENT[target]))

    same_bits(Native(host()).add(write, 2)(x, np.zeros(x.shape, target))[1], x.astype(target))


def test_a_float_without_an_integer_becomes_the_nearest() -> None:
    x = np.array([np.nan, np.inf, -np.inf, 1e300, -1e300])

    def write(code: Code, p: Value, q: Value) -> None:
        arrays = [Array(p, "double", (1,)), Array(q, "i64", (1,))]
        elementwise(code, (5,), arrays[:1], arrays[1:], lambda code, x: convert(code, x, "i64"))

    top = 2**63 - 1
    result = Native(host()).add(write, 2)(x, np.zeros(5, np.int64))[1]
    assert result.tolist() == [0, top, -top - 1, top, -top - 1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("machine", machines(), ids=lambda machine: machine.unit)
def test_quotients_by_multiply_adds(machine: Machine, dtype: str) -> None:
    """Those of a product's kernel: infinities, NaN and zeros as in division, all else within a unit."""
    info = np.finfo(dtype)
    source, lanes = np.random.default_rng(3), 64
    exponents = source.uniform(info.minexp, info.maxexp, (2, 200 * lanes))
    x, y = (np.exp2(exponents) * source.choice([-1, 1], exponents.shape)).astype(dtype)
    x[: 80 * lanes], y[: 80 * lanes] = source.uniform(-2, 2, (2, 80 * lanes))  # quotients near 1
    with np.errstate(all="ignore"):
        special = np.array(SPECIAL).astype(dtype)
    x = np.concatenate([x, *(np.repeat(special, lanes) for _ in special)])
    y = np.concatenate([y, *(np.repeat(np.roll(special, i), lanes) for i in range(len(special)))])

    def write(code: Code, p: Value, q: Value, out: Value) -> None:
        arrays = [Array(pointer, ELEMENT[dtype], (1,)) for pointer in (p, q, out)]
        with code.contracted():
            elementwise(code, x.shape, arrays[:2], arrays[2:], quotient)

    found = Native(machine).add(write, 3)(x, y, np.zeros_like(x))[2]
    with np.errstate(all="ignore"):
        right = x / y
        small = np.abs(right) < 4 * info.tiny
        ordinary = np.isfinite(right) & ~small
        off = np.abs(found - right)
        assert (off[ordinary] <= np.spacing(np.abs(right[ordinary]))).all()
        assert (off[: 80 * lanes] == 0).mean() > 0.9999
        assert (off[small] <= 2 * info.smallest_subnormal).all()
        np.testing.assert_array_equal(found[~np.isfinite(right)], right[~np.isfinite(right)])
