"""Convolutions as native code: no columns are made, whatever the window, the groups and the samples."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from native import machines

from lamina.backends import Window, get_backend
from lamina.backends.decorators.jit.bound import Bound
from lamina.backends.decorators.jit.builder import Builder
from lamina.backends.decorators.jit.compiler import native_all
from lamina.backends.decorators.jit.emit import windows
from lamina.backends.decorators.jit.generate import PASSES, RULES
from lamina.backends.decorators.jit.instructions import Call, Program, Value
from lamina.backends.decorators.jit.kernels import (
    along,
    depthwise,
    direct,
    direct_weights,
    rows,
    totals,
    weights,
)
from lamina.backends.decorators.jit.machine import Machine
from lamina.backends.decorators.jit.passes import samples
from lamina.backends.decorators.jit.passes.fuse import fuse
from lamina.backends.decorators.jit.program import apply, interpret
from lamina.backends.host import Host
from lamina.backends.meta import Meta
from lamina.layers import Conv2d
from lamina.layers.random import seeded

pytest.importorskip("llvmlite", reason="it compiles the steps")


class Case(NamedTuple):
    """A convolution of images (C, *size, N)."""

    samples: int
    channels: int
    outputs: int
    groups: int
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]

    @property
    def window(self) -> Window:
        """Over the images, with the samples as the last axis."""
        return Window.of(
            (*self.size, self.samples),
            (*self.kernel, 1),
            (*self.stride, 1),
            (*self.padding, (0, 0)),
            (*self.dilation, 1),
        )


def drawn(seed: int) -> Case:
    """Return a case of these: one to three axes, any options, samples that fill vectors or do not."""
    source = np.random.default_rng(seed)
    rank = 1 + seed % 3
    groups = int(source.choice([1, 1, 2, 3]))
    pick: Any = lambda options: tuple(int(source.choice(options)) for _ in range(rank))  # noqa: E731
    kernel, dilation = pick([1, 2, 3, 5] if rank < 3 else [1, 2, 3]), pick([1, 1, 2])
    padding = tuple((int(a), int(b)) for a, b in source.integers(0, 3, (rank, 2)))
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = tuple(
        max(s - a - b, 1) + int(source.integers(0, 5)) for s, (a, b) in zip(spans, padding, strict=True)
    )
    return Case(
        int(source.choice([1, 3, 8, 16, 21, 40])),
        groups * int(source.integers(1, 5)),
        groups * int(source.choice([1, 2, 5, 14])),
        groups,
        size,
        kernel,
        pick([1, 1, 2, 3]),
        padding,
        dilation,
    )


CASES = [drawn(seed) for seed in range(20)]
DEPTHWISE = [
    Case(3, 4, 4, 4, (9, 19), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    Case(2, 3, 3, 3, (10, 37), (5, 3), (1, 1), ((0, 3), (4, 0)), (2, 3)),
    Case(2, 2, 2, 2, (40,), (4,), (2,), ((1, 2),), (1,)),
    Case(3, 2, 2, 2, (7, 20), (3, 2), (2, 3), ((2, 1), (1, 1)), (1, 2)),
]
"""One channel a group: planes by themselves, if the samples come first."""


def program(case: Case, dtype: str) -> Program:
    """Return the three maps of a convolution, each with elementwise ops behind it; the samples lie last."""
    b: Any = Builder()  # type: ignore[abstract]  # made by funnelled
    window, g = case.window, case.groups
    depth, length = case.channels * window.places, window.positions
    lead: Any = lambda n, *rest: (n, *rest) if g == 1 else (g, n // g, *rest)  # noqa: E731
    shapes = {
        "x": (1, case.channels, *window.size),
        "w": lead(case.outputs, depth // g),
        "g": lead(case.outputs, length),
        "b": lead(case.outputs, 1),
    }
    x, w, grad, bias = inputs = tuple(Value(Meta(s, dtype), name) for name, s in shapes.items())
    turned = (1, 0) if g == 1 else (0, 2, 1)
    columns = b.reshape(b.unfold(x, window), lead(depth, length))
    y = b.maximum(b.add(b.matmul(w, columns), bias), 0.0)
    dw = b.multiply(b.matmul(grad, b.permute_dims(columns, turned)), 0.5)
    product = b.matmul(b.permute_dims(w, turned), grad)
    dx = b.add(b.fold(b.reshape(product, (1, depth, length)), window), x)
    return Program(inputs, (), tuple(b.body), (y, dw, dx))


def layer(case: Case, dtype: str) -> Program:
    """Return the same maps as `Conv2d` writes them: of images (N, C, *size), which it transposes."""
    b: Any = Builder()  # type: ignore[abstract]  # made by funnelled
    window, g, n = case.window, case.groups, case.samples
    counts, rank = window.counts[:-1], len(case.size)
    depth, length = case.channels * window.places, window.positions
    lead: Any = lambda n, *rest: (n, *rest) if g == 1 else (g, n // g, *rest)  # noqa: E731
    last, first = (*range(1, rank + 2), 0), (rank + 1, *range(rank + 1))
    shapes = {
        "x": (n, case.channels, *case.size),
        "w": lead(case.outputs, depth // g),
        "g": (n, case.outputs, *counts),
        "b": lead(case.outputs, 1),
    }
    x, w, g_, bias = inputs = tuple(Value(Meta(s, dtype), name) for name, s in shapes.items())
    turned = (1, 0) if g == 1 else (0, 2, 1)
    image = b.reshape(b.permute_dims(x, last), (1, case.channels, *window.size))
    columns = b.reshape(b.unfold(image, window), lead(depth, length))
    y = b.maximum(b.add(b.matmul(w, columns), bias), 0.0)
    y = b.permute_dims(b.reshape(y, (case.outputs, *counts, n)), first)
    grad = b.reshape(b.permute_dims(g_, last), lead(case.outputs, length))
    dw = b.multiply(b.matmul(grad, b.permute_dims(columns, turned)), 0.5)
    product = b.matmul(b.permute_dims(w, turned), grad)
    dx = b.fold(b.reshape(product, (1, depth, length)), window)
    dx = b.add(b.permute_dims(b.reshape(dx, (case.channels, *window.size)), first), x)
    return Program(inputs, (), tuple(b.body), (y, dw, dx))


def check(cases: list[Case], dtype: str, machine: Machine | None = None, write: Any = program) -> None:
    """Compare native code with float64: each error is at most k u f(|x|), of k roundings of u at most."""
    programs = [write(case, dtype) for case in cases]
    source = np.random.default_rng(0)
    unit = {"float64": 2.0 * 2.0**-53, "float32": 2.0**-24}[dtype]  # what float64 is compared with errs, too
    for case, code, one in zip(cases, native_all(programs, machine=machine), programs, strict=True):
        groups = fuse(apply(one, PASSES), RULES)
        assert not any(group.root is not None and group.root.op == "unfold" for group in groups), case
        data = [source.standard_normal(v.meta.shape).astype(dtype) for v in one.inputs]
        outputs = [np.full(v.meta.shape, np.nan, dtype) for v in one.outputs]
        bound = Bound(code, data, None, {}, outputs, {}, 1)
        bound.run()
        expected, sizes = exact(case, data, write), exact(case, [np.abs(x) for x in data], write)
        places, columns = case.window.places, case.window.positions
        inputs, results = case.channels // case.groups, case.outputs // case.groups
        terms = inputs * places + 2, columns + 1, results * places + 2
        for actual, wanted, size, k in zip(outputs, expected, sizes, terms, strict=True):
            assert (np.abs(actual - wanted) <= k * unit * size).all(), f"an error beyond the bar: {case}"


def exact(case: Case, data: list[Host], write: Any) -> list[Host]:
    """Return the results of the interpreter in float64."""
    b = get_backend("numpy", dtype="float64")
    inputs = [b.from_host(x.astype("float64")) for x in data]
    found = interpret(write(case, "float64"), b, inputs, numbers={}, cells={})
    return [b.to_host(x) for x in found]


def test_convolutions_of_all_kinds() -> None:
    check(CASES[::2], "float64")
    check(CASES[1::2], "float32")


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every layer alone keep its samples first."""
    monkeypatch.setenv("LAMINA_CACHE", "off")
    monkeypatch.setattr(samples, "_BYTE", 1e12)


@pytest.mark.usefixtures("apart")
def test_convolutions_with_the_samples_first() -> None:
    programs = [apply(layer(case, "float32"), PASSES) for case in CASES if case.samples > 1]
    calls = [i for one in programs for i in one.body if isinstance(i, Call)]
    assert not any(call.op == "permute_dims" for call in calls)
    check(CASES[::2], "float64", write=layer)
    check(CASES[1::2], "float32", write=layer)
    check(CASES[:10:3], "float32", machines()[-1], layer)


@pytest.mark.usefixtures("apart")
def test_planes_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    check(DEPTHWISE, "float64", write=layer)
    check(DEPTHWISE, "float32", machines()[-1], layer)
    for module in (depthwise, totals, weights):  # totals that move
        monkeypatch.setattr(module, "LONGEST", 2)
    check([*DEPTHWISE, *CASES[:8:3]], "float64", write=layer)


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("sizes", [(3, 3, 5, 4, 1), (10, 40, 70, 40, 1), (5, 6, 4, 7, 2), (9000, 2, 3, 1, 1)])
def test_a_pointwise_convolution_is_a_product_of_each_sample(sizes: tuple[int, ...]) -> None:
    """The gradient of its weights is one product, whose sum runs over samples and places."""
    samples, channels, outputs, side, groups = sizes
    source, found = np.random.default_rng(0), []
    x = source.standard_normal((samples, channels, side, side))
    g = source.standard_normal((samples, outputs, side, side))
    for name in ("jit+numpy", "numpy"):
        b = get_backend(name, dtype="float64")
        with seeded(0):
            one = Conv2d(channels, outputs, 1, groups=groups, backend=b)

        def step(batch: Any, numbers: Any, one: Conv2d = one) -> tuple[Any, ...]:
            one.zero_grad()
            return one(batch[0]), one.backward(batch[1])

        results = b.compile(step)((b.from_host(x), b.from_host(g)), batch_size=samples)
        found.append([b.to_host(value) for value in (*results, one.weight.grad)])  # type: ignore[arg-type]
    for actual, wanted in zip(*found, strict=True):
        np.testing.assert_allclose(actual, wanted, atol=1e-13 * np.abs(wanted).max(), rtol=1e-12)


def test_samples_in_blocks_and_smaller_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMINA_CACHE", "off")
    monkeypatch.setattr(rows, "BUDGET", 1 << 12)
    check(CASES[:12:3], "float32")
    check(CASES[1:12:3], "float64", machines()[-1])


def test_a_long_row_is_added_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of any number, with and without elements after them, give the same sums."""
    monkeypatch.setenv("LAMINA_CACHE", "off")
    assert direct_weights._pieces(16 * 8192 + 3, 16) == [(0, 1, 8192, 3)]
    assert direct_weights._pieces(16 * 8193 + 3, 16) == [(0, 1, 8192, 0), (8192, 1, 1, 0), (8193, 1, 0, 3)]
    monkeypatch.setattr(direct_weights, "LONGEST", 2)
    line = Case(3, 2, 5, 1, (43,), (3,), (1,), ((1, 0),), (1,))
    check([line, *CASES[:6:2]], "float64")
    check([line, *CASES[1:6:2]], "float32")


# -- planted faults --------------------------------------------------------------------------------


def a_border_is_counted_twice(patch: pytest.MonkeyPatch) -> None:
    """Rows outside the image are read from the slots of others."""
    patch.setattr(along.Along, "taps_of", lambda self, code, result: (0, self.taps))


def a_tap_is_left_out(patch: pytest.MonkeyPatch) -> None:
    right = along.Along.classes
    patch.setattr(along.Along, "classes", lambda self: list(right(self))[:1])


def a_tile_ends_early(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(direct, "cut", lambda extent, size: [(0, extent // size, size)] if extent >= size else [])


def a_residue_of_the_stride_is_lost(patch: pytest.MonkeyPatch) -> None:
    right = windows.residues
    patch.setattr(windows, "residues", lambda axis: right(axis)[: max(axis.step - 1, 1)])


def a_gradient_of_weights_loses_a_row(patch: pytest.MonkeyPatch) -> None:
    def results_of(self: Any, code: Any, tap: Any) -> Any:
        first, count = right(self, code, tap)
        return first, code.sum([(count, 1), (-1, 1)])

    right = along.Along.results_of
    patch.setattr(along.Along, "results_of", results_of)


STRIDED = Case(5, 3, 6, 1, (7, 9), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1))
PLAIN = Case(40, 2, 29, 1, (6, 7), (3, 3), (1, 1), ((1, 2), (2, 1)), (1, 1))
DEEP = Case(3, 4, 29, 1, (6, 7), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
FAULTS = [
    (a_border_is_counted_twice, PLAIN),
    (a_tap_is_left_out, STRIDED),
    (a_tile_ends_early, PLAIN),
    (a_residue_of_the_stride_is_lost, STRIDED),
    (a_gradient_of_weights_loses_a_row, PLAIN),
]


def a_plane_loses_its_last_tap(patch: pytest.MonkeyPatch) -> None:
    right = depthwise.Plane.products
    patch.setattr(depthwise.Plane, "products", lambda self, height: list(right(self, height))[:-1])


def a_block_of_totals_is_turned_wrongly(patch: pytest.MonkeyPatch) -> None:
    right = weights.turned
    patch.setattr(weights, "turned", lambda code, rows: right(code, rows)[::-1])


@pytest.mark.parametrize("write", [program, layer])
@pytest.mark.parametrize(("plant", "case"), FAULTS, ids=[plant.__name__ for plant, _ in FAULTS])
@pytest.mark.usefixtures("apart")
def test_a_planted_fault_is_caught(
    plant: Any, case: Case, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    check([case], "float64", write=write)
    plant(monkeypatch)
    with pytest.raises(AssertionError, match="an error beyond the bar"):
        check([case], "float64", write=write)


@pytest.mark.parametrize(
    ("plant", "case"),
    [(a_plane_loses_its_last_tap, DEPTHWISE[0]), (a_block_of_totals_is_turned_wrongly, DEEP)],
)
@pytest.mark.usefixtures("apart")
def test_a_planted_fault_of_samples_apart_is_caught(
    plant: Any, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError, match="an error beyond the bar"):
        check([case], "float64", write=layer)
