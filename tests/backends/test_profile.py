"""`profile`: counts against closed forms, times, layers, memory; and no value changes."""

from __future__ import annotations

import dataclasses
import math
import threading
import time
import tracemalloc
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from rows import each_op

from lamina.backends import Backend, get_backend
from lamina.backends.conformance import all_cases
from lamina.backends.decorators.profile import ProfileBackend
from lamina.backends.decorators.report import Report, Row, duration, si, size
from lamina.backends.meta import Meta
from lamina.backends.numpy_backend import NumpyBackend
from lamina.backends.ops import OPS
from lamina.backends.shape_backend import ShapeBackend
from lamina.layers import (
    Conv2d,
    Dropout,
    Linear,
    MaxPool2d,
    Module,
    MSELoss,
    ReLU,
    Residual,
    Sequential,
    named_scopes,
    without_input_gradient,
)
from lamina.train.optimizers import SGD, Adam

N, I, O = 6, 5, 3  # noqa: E741


@pytest.fixture(params=["numpy", "torch"])
def profile(request: pytest.FixtureRequest) -> ProfileBackend:
    if request.param == "torch":
        pytest.importorskip("torch", reason="it profiles torch")
    backend = get_backend(f"profile+{request.param}")
    assert isinstance(backend, ProfileBackend)
    return backend


def ones(backend: Backend, *shape: int) -> Any:
    return backend.full(shape, 1.0)


def _meta(array: Any) -> Meta:
    return Meta(array.shape, array.dtype.name)


def flops(backend: ProfileBackend) -> dict[tuple[str, bool], int]:
    return {(row.layer, row.backward): row.flops for row in backend.report().by_layer()}


# -- FLOPs and bytes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("input_gradient", [True, False])
def test_linear_in_closed_form(profile: ProfileBackend, bias: bool, input_gradient: bool) -> None:
    layer = Linear(I, O, bias=bias, backend=profile)
    x, g = ones(profile, N, I), ones(profile, N, O)
    for steps in (1, 2):
        profile.reset()
        with named_scopes(layer):
            for _ in range(steps):
                layer.zero_grad()
                layer(x)
                with without_input_gradient(None if input_gradient else layer):
                    layer.backward(g)
        product = 2 * N * I * O
        expected = {
            ("Linear", False): steps * (product + N * O * bias),
            # dW and dx are products, db is a sum.
            ("Linear", True): steps * (product + N * O * bias + product * input_gradient),
        }
        assert flops(profile) == expected


@pytest.mark.parametrize("batch", [2, 40])
def test_convolution_in_closed_form(profile: ProfileBackend, batch: int) -> None:
    channels, outputs, kernel, side = 3, 4, 3, 20
    conv = Conv2d(channels, outputs, kernel, backend=profile)
    model = Sequential({"conv": conv})
    places = (side - kernel + 1) ** 2
    x, g = ones(profile, batch, channels, side, side), ones(profile, batch, outputs, *[side - kernel + 1] * 2)
    profile.reset()
    with named_scopes(model):
        model(x)
        model.backward(g)
    products = 2 * batch * outputs * channels * kernel**2 * places
    by_op = {(row.layer, row.backward, row.op): row.flops for row in profile.report().rows}
    assert by_op["conv", False, "matmul"] == products
    assert by_op["conv", False, "add"] == batch * outputs * places  # the bias
    assert flops(profile)["conv", False] == products + batch * outputs * places
    assert by_op["conv", True, "matmul"] == 2 * products  # dL/dw and dL/dx
    assert by_op["conv", True, "fold"] == batch * channels * kernel**2 * places
    # Sums over samples and places: of g for the bias, and of the blocks' weight gradients.
    rest = flops(profile)["conv", True] - 2 * products - by_op["conv", True, "fold"]
    blocks = (rest - batch * outputs * places) / (outputs * channels * kernel**2)
    assert blocks == int(blocks) >= 0


@each_op(op for op in all_cases() if OPS[op].shape is not None or OPS[op].kind == "derived")
def test_costs_are_those_of_the_op_table(op: str) -> None:
    backend = get_backend("profile+numpy")
    assert isinstance(backend, ProfileBackend)
    for case in all_cases()[op]:
        args, kwargs = case.map(lambda tensor: tensor.handle(backend, "float32"))
        metas, options = case.map(lambda tensor: _meta(tensor.value("float32")))
        counter: Any = ShapeBackend()
        getattr(counter, op)(*metas, **options)
        backend.reset()
        with backend.session():
            getattr(backend, op)(*args, **kwargs)
        total = backend.report().total
        expected = counter.costs[""]
        assert (total.calls, total.flops, total.bytes) == (1, expected.flops, expected.bytes), case.label


def test_transfers_and_cells_count_what_they_move(profile: ProfileBackend) -> None:
    x = profile.from_host(np.ones((4, 5)))
    flat, views = profile.cells({"a": (4, 5), "b": (2,)})
    profile.assign(views["a"], x)
    profile.assign(views["a"], views["a"])
    profile.to_host(x)
    profile.item(profile.sum(x))
    assert profile.shape(flat) == (22,)
    moved = {row.op: row.bytes for row in profile.report().rows}
    assert moved == {"from_host": 80, "cells": 88, "assign": 160, "to_host": 80, "item": 4, "sum": 84}


def test_a_changed_float_option_is_not_a_new_cache_entry(profile: ProfileBackend) -> None:
    x, g = ones(profile, 7), ones(profile, 7)
    profile.sgd_step(x, g, 0.1)
    known = len(profile._costs)
    for rate in (0.2, 0.3):
        profile.sgd_step(x, g, rate)
    assert len(profile._costs) == known


def test_the_cache_of_costs_is_bounded(profile: ProfileBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamina.backends.decorators.profile.MOST_COMBINATIONS", 3)
    for extent in range(1, 9):
        profile.exp(ones(profile, extent))
        assert len(profile._costs) <= 3
    assert profile.report().total.flops == 36


# -- layers ------------------------------------------------------------------------------------------


def test_layers_and_passes_have_rows_of_their_own(profile: ProfileBackend) -> None:
    b = profile
    model = Sequential(
        {
            "first": Linear(4, 4, backend=b),
            "block": Residual(Linear(4, 4, backend=b), ReLU(backend=b), shortcut=Linear(4, 4, backend=b)),
            "last": Linear(4, 2, backend=b),
        }
    )
    loss, optimizer = MSELoss(backend=b), SGD(model.parameters(), lr=0.1)
    x, y = ones(b, 3, 4), ones(b, 3, 2)
    profile.reset()
    with named_scopes(model):
        loss(model(x), y)
        model.backward(loss.backward())
    optimizer.step()
    layers = ["first", "block.body.0", "block.body.1", "block.shortcut", "block", "last", ""]
    passes = [(row.layer, row.backward) for row in profile.report().by_layer()]
    assert set(passes) == {*((name, way) for name in layers[:-1] for way in (False, True)), ("", False)}
    places = [passes.index((name, False)) for name in layers[:-1]]
    assert [passes[i + 1] for i in places] == [(name, True) for name in layers[:-1]]
    text = str(profile.report())
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("block.shortcut "))
    assert lines[at + 1].startswith("  backward ")
    named = str(profile.report().layer_table(kinds={"first": "Linear"}))
    assert "\nfirst Linear  " in named
    assert "(no layer)" in text


def test_an_error_leaves_the_scope(profile: ProfileBackend) -> None:
    x: Any = object()
    with pytest.raises(TypeError), profile.scope("a"):
        profile.exp(x)
    with profile.scope("a"):
        ones(profile, 2)
    ones(profile, 2)
    rows = profile.report().rows
    assert {(row.layer, row.op) for row in rows} == {("a", "full"), ("", "full")}


def test_a_scope_belongs_to_its_thread(profile: ProfileBackend) -> None:
    with profile.scope("a"):
        thread = threading.Thread(target=ones, args=(profile, 2))
        thread.start()
        thread.join()
    assert [(row.layer, row.op) for row in profile.report().rows] == [("", "full")]


class Net(Module):
    """A user's container."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.fc = Linear(4, 4, backend=backend)
        self.blocks = [Linear(4, 4, backend=backend), Sequential(ReLU(backend=backend))]

    def forward(self, x: Any) -> Any:
        return self.blocks[1](self.blocks[0](self.fc(x)))

    def backward(self, grad_output: Any) -> Any:
        return self.fc.backward(self.blocks[0].backward(self.blocks[1].backward(grad_output)))


def test_the_layers_of_a_users_container_are_named(profile: ProfileBackend) -> None:
    net = Net(profile)
    x = ones(profile, 2, 4)
    profile.reset()
    with named_scopes(net):
        net.backward(net(x))
    names = ["fc", "blocks.0", "blocks.1.0"]
    assert set(flops(profile)) == {(name, way) for name in names for way in (False, True)}
    assert [name for name, _ in net.named_modules()] == ["", "fc", "blocks.0", "blocks.1", "blocks.1.0"]
    profile.reset()
    net(x)
    assert set(flops(profile)) == {("", False)}  # outside the `with`


def test_names_cost_raw_backends_nothing() -> None:
    net = Net(get_backend("numpy"))
    with named_scopes(net):
        assert all("forward" not in vars(module) for _, module in net.named_modules())


# -- time, memory, steps -----------------------------------------------------------------------------


class Slow(NumpyBackend):
    """A slow numpy, on a device that must be waited for."""

    waited = 0

    def exp(self, x: Any, *, out: Any = None) -> Any:
        time.sleep(0.02)
        return super().exp(x, out=out)

    def synchronize(self) -> None:
        self.waited += 1


def test_time_is_that_of_the_op() -> None:
    backend = ProfileBackend(Slow())
    x = ones(backend, 3)
    for _ in range(2):
        backend.exp(x)
    row = next(row for row in backend.report().rows if row.op == "exp")
    assert row.calls == 2
    assert 0.04 <= row.seconds < 0.4
    assert row.flops_per_second == pytest.approx(6 / row.seconds)


def test_other_devices_are_waited_for() -> None:
    near, far = Slow(), Slow()
    far.device = "far:0"
    for inner in (near, far):
        backend = ProfileBackend(inner)
        backend.exp(ones(backend, 3))
    assert (near.waited, far.waited) == (0, 2)


def test_memory_lives_as_long_as_its_handles(profile: ProfileBackend) -> None:
    x = ones(profile, 100)
    assert profile.report().total.peak == 400
    view = profile.reshape(profile.reshape(x, (10, 10)), (100,))
    part = profile.slice(x, (0,), (3,))
    y = profile.exp(x)
    row = profile.report().total
    assert (row.allocated, row.new, row.peak) == (800, 2, 800)
    del x
    assert profile.exp(y, out=y) is y
    assert profile.report().total.peak == 800
    del view, part
    z = profile.exp(y)
    assert profile.report().total.peak == 800  # x's storage is free again
    flat, views = profile.cells({"a": (50,), "b": (50,)})
    assert profile.report().total.peak == 1200
    del flat, views["a"]
    ones(profile, 1)
    assert profile.report().total.peak == 1204  # b holds the buffer of both
    del views, y, z
    profile.reset()
    ones(profile, 1)
    assert profile.report().total.peak == 4


def test_the_memory_of_a_step_is_near_what_numpy_takes() -> None:
    tracemalloc.start()
    try:
        b = get_backend("profile+numpy")
        assert isinstance(b, ProfileBackend)
        model = Sequential(Linear(200, 300, backend=b), ReLU(backend=b), Linear(300, 200, backend=b))
        loss, optimizer = MSELoss(backend=b), Adam(model.parameters())
        x = ones(b, 1000, 200)

        def step() -> None:
            optimizer.zero_grad()
            loss(model(x), x)
            with without_input_gradient(model):
                model.backward(loss.backward())
            optimizer.step()

        step()
        b.reset()
        tracemalloc.reset_peak()
        step()
        _, real = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Temporaries inside an op do not count.
    assert 0.7 * real < b.report().total.peak <= real


def test_a_compiled_step_has_a_row(profile: ProfileBackend) -> None:
    x = ones(profile, 10)

    def twice(batch: tuple[Any, ...], numbers: Mapping[str, float]) -> tuple[Any, ...]:
        scaled = profile.multiply(batch[0], numbers["scale"])
        return (profile.multiply(scaled, numbers["scale"]),)

    run = profile.compile(twice)
    profile.reset()
    assert profile.report().steps == ()
    (scaled,) = run((x,), batch_size=4, numbers={"scale": np.array([1.0, 2.0, 3.0])})
    assert profile.to_host(scaled).tolist() == [1.0] * 4 + [4.0] * 4 + [9.0] * 2
    report = profile.report()
    (row,) = report.steps
    assert (row.op, row.calls, row.flops, row.bytes) == ("twice", 3, 20, 4 * 4 * 10)
    assert row.seconds >= sum(r.seconds for r in report.rows if r.op == "multiply")
    assert report.total.flops == 20
    assert {"slice", "concat"} <= {r.op for r in report.rows}
    assert "\ntwice " in str(report)
    with pytest.raises(KeyError):
        run((x,), batch_size=4)
    profile.multiply(x, 2.0)
    assert profile.report().steps[0].flops == 20
    profile.reset()
    assert profile.report().steps == ()


def test_a_timeline_nests(profile: ProfileBackend) -> None:
    model = Sequential({"a": Linear(4, 4, backend=profile)})
    model(ones(profile, 2, 4))
    assert profile.timeline is None
    profile.timeline = []
    run, x = profile.compile(lambda batch, numbers: (model(batch[0]),)), ones(profile, 2, 4)
    profile.reset()
    with named_scopes(model):
        run((x,), batch_size=2)
    kinds = [(event.kind, event.name) for event in profile.timeline]
    assert kinds == [("op", "linear"), ("layer", "a"), ("step", "<lambda>")]
    op, layer, whole = profile.timeline
    assert whole.start <= layer.start <= op.start <= op.end <= layer.end <= whole.end
    profile.reset()
    assert profile.timeline == []


# -- the report --------------------------------------------------------------------------------------


def test_the_report_adds_up_and_stays(profile: ProfileBackend) -> None:
    model = Sequential(
        Conv2d(1, 2, 3, backend=profile), MaxPool2d(2, backend=profile), Dropout(0.5, backend=profile)
    )
    y = model(ones(profile, 2, 1, 8, 8))
    model.backward(y)
    report = profile.report()
    for rows in (report.by_layer(), report.by_op()):
        for field in ("calls", "flops", "bytes", "new", "allocated"):
            assert sum(getattr(row, field) for row in rows) == getattr(report.total, field)
        assert sum(row.seconds for row in rows) == pytest.approx(report.total.seconds)
        assert max(row.peak for row in rows) == report.total.peak
    assert [row.seconds for row in report.by_op()] == sorted(
        (r.seconds for r in report.by_op()), reverse=True
    )
    before = str(report)
    model(ones(profile, 2, 1, 8, 8))
    assert str(report) == before
    assert str(profile.report()) != before
    assert Row(**report.rows[0].to_dict()) == report.rows[0]


def test_nothing_ran() -> None:
    report = Report("profile+numpy", "float32", ())
    assert str(report) == "profile+numpy float32: nothing ran"
    assert report.total == Row()
    assert Row().intensity == Row().flops_per_second == 0.0


def test_a_table_can_be_read() -> None:
    rows = (
        Row("0", False, "linear", 4, 2e-3, 4_000_000, 2048, 2, 1024, 4096),
        Row("", False, "add", 2, 1e-3),
    )
    lines = str(Report("profile+numpy", "float32", rows)).splitlines()
    assert " ".join(lines[2].split()) == "layer calls time share FLOPs FLOP/s bytes new peak"
    assert " ".join(lines[4].split()) == "0 4 2 ms 67% 4 M 2 G 2 KiB 1 KiB 4 KiB"
    assert " ".join(lines[5].split()) == "(no layer) 2 1 ms 33% 0 0 B 0 B 0 B"
    assert " ".join(lines[7].split()) == "total 6 3 ms 100% 4 M 1.33 G 2 KiB 1 KiB 4 KiB"
    assert len({len(line) for line in lines[2:8]}) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (si(0), "0"), (si(999), "999"), (si(1000), "1 k"), (si(12_345), "12.3 k"), (si(999_999), "1.00 M"),
        (size(0), "0 B"), (size(1536), "1.50 KiB"), (size(3 * 2**30), "3 GiB"),
        (duration(2.5e-6), "2.50 µs"), (duration(0.25), "250 ms"), (duration(90), "90 s"),
    ],
)  # fmt: skip
def test_numbers_are_short(text: str, expected: str) -> None:
    assert text == expected


# -- no value changes --------------------------------------------------------------------------------


def test_handles_are_the_inner_backends_own(profile: ProfileBackend) -> None:
    x = profile.inner.full((2,), 3.0)  # made without it: counted, and not followed
    y = profile.add(x, 1.0)
    assert type(y) is type(x)
    assert profile.inner.to_host(y).tolist() == [4.0, 4.0]
    assert profile.report().total.peak == 8
    profile.reshape(x, (1, 2))
    assert profile.report().total.peak == 8


def test_it_stands_within_strict() -> None:
    backend: Any = get_backend("strict+profile+numpy")
    backend.exp(backend.full((3,), 0.0))
    assert backend.spec == "strict+profile+numpy"
    assert backend.inner.report().total.flops == 3


def test_counted_storage_is_the_real_storage(profile: ProfileBackend) -> None:
    def handles() -> Iterator[Any]:
        yield profile.from_host(np.ones((3, 4)))
        yield profile.astype(profile.full((5,), 1.0), "float64")
        yield profile.arange(0, 7)

    kept = list(handles())
    real = sum(math.prod(h.shape) * h.itemsize for h in kept)
    assert profile._memory.live == real
    assert dataclasses.asdict(profile.report().total)["peak"] == real
