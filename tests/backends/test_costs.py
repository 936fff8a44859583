"""The rules for shapes, FLOPs and bytes: closed forms, and the shapes of real results."""

from __future__ import annotations

from typing import Any

import pytest
from rows import each_op

from lamina.backends import Backend, Window, get_backend
from lamina.backends.conformance import all_cases
from lamina.backends.conformance.checks import result_meta
from lamina.backends.meta import Meta
from lamina.backends.ops import OPS
from lamina.backends.shape_backend import Cost, ShapeBackend

N, I, O = 7, 5, 3  # noqa: E741


def cost(op: str, *args: Any, **kwargs: Any) -> Cost:
    backend: Any = ShapeBackend("cpu", "float32")
    getattr(backend, op)(*args, **kwargs)
    total: Cost = backend.costs[""]
    return total


def f32(*shape: int) -> Meta:
    return Meta(shape, "float32")


FLOPS: list[tuple[str, tuple[Any, ...], dict[str, Any], int]] = [
    ("matmul", (f32(4, 5), f32(5, 6)), {}, 2 * 4 * 5 * 6),
    ("matmul", (f32(2, 1, 4, 5), f32(3, 5, 6)), {}, 2 * 6 * 4 * 5 * 6),
    ("matmul", (f32(4, 0), f32(0, 6)), {}, 0),
    ("linear", (f32(N, I), f32(O, I), f32(O)), {}, 2 * N * I * O + N * O),
    ("linear", (f32(N, I), f32(O, I)), {}, 2 * N * I * O),
    ("linear_grad", (f32(N, O), f32(N, I)), {}, 2 * N * I * O + N * O),
    ("linear_grad", (f32(N, O), f32(N, I)), {"bias": False}, 2 * N * I * O),
    ("exp", (f32(4, 5),), {}, 20),
    ("add", (f32(4, 1), f32(5)), {}, 20),
    ("add", (f32(4), 1.0), {}, 4),
    ("equal", (f32(4), f32(3, 1)), {}, 12),
    ("where", (Meta((4,), "bool"), f32(4), 0.0), {}, 4),
    ("sum", (f32(4, 5),), {"axis": 0}, 20),
    ("max", (f32(4, 5),), {}, 20),
    ("argmax", (f32(4, 5),), {"axis": 1}, 20),
    # max, subtract, exp, sum, divide
    ("softmax", (f32(N, I),), {"axis": 1}, 5 * N * I + N),
    # max, subtract, exp, sum, log, subtract
    ("log_softmax", (f32(N, I),), {"axis": 1}, 5 * N * I + N),
    ("relu", (f32(N),), {}, N),
    ("square", (f32(N),), {}, N),
    ("mean", (f32(N, I),), {}, N * I + 1),
    ("unfold", (f32(2, 3, 8, 8), Window.of((8, 8), (3, 3))), {}, 0),
    ("fold", (f32(2, 27, 36), Window.of((8, 8), (3, 3))), {}, 2 * 27 * 36),
    ("index_add", (f32(9, 2), Meta((4,), "int64"), f32(4, 2)), {"axis": 0}, 8),
    ("scatter_add", (f32(9, 2), Meta((4, 2), "int64"), f32(4, 2)), {"axis": 0}, 8),
    ("slice_add", (f32(9), f32(4), (1,), (5,)), {}, 4),
    ("sgd_step", (f32(N), f32(N), 0.1), {}, 2 * N),
    *[(op, (f32(4, 5), *rest), {}, 0) for op, rest in (
        ("reshape", ((20,),)), ("permute_dims", ((1, 0),)), ("broadcast_to", ((2, 4, 5),)),
        ("pad", (((1, 1), (0, 0)),)), ("slice", ((0, 0), (2, 2))), ("copy", ()), ("astype", ("float64",)),
    )],
]  # fmt: skip


@pytest.mark.parametrize(("op", "args", "kwargs", "flops"), FLOPS)
def test_flops(op: str, args: tuple[Any, ...], kwargs: dict[str, Any], flops: int) -> None:
    assert cost(op, *args, **kwargs).flops == flops


BYTES: list[tuple[str, tuple[Any, ...], dict[str, Any], int]] = [
    ("matmul", (f32(4, 5), f32(5, 6)), {}, 4 * (20 + 30 + 24)),
    ("exp", (f32(4, 5),), {}, 4 * 40),
    ("add", (f32(4, 1), f32(5)), {}, 4 * (4 + 5 + 20)),
    ("add", (f32(4), 1.0), {}, 4 * 8),
    ("equal", (f32(4), f32(4)), {}, 4 * 8 + 4),
    ("sum", (f32(4, 5),), {}, 4 * 21),
    ("argmax", (f32(4, 5),), {"axis": 1}, 4 * 20 + 8 * 4),
    ("concat", ([f32(2), f32(3)],), {}, 4 * 10),
    ("astype", (f32(4), "float64"), {}, 4 * 4 + 8 * 4),
    ("unfold", (f32(1, 1, 4), Window.of((4,), (2,))), {}, 4 * (4 + 6)),
    ("reshape", (f32(4, 5), (20,)), {}, 0),
    ("permute_dims", (f32(4, 5), (1, 0)), {}, 0),
    ("broadcast_to", (f32(5), (4, 5)), {}, 0),
    ("slice", (f32(5), (0,), (2,)), {}, 0),
    ("full", ((5,), 1.0), {}, 4 * 5),
]


@pytest.mark.parametrize(("op", "args", "kwargs", "size"), BYTES)
def test_bytes(op: str, args: tuple[Any, ...], kwargs: dict[str, Any], size: int) -> None:
    assert cost(op, *args, **kwargs).bytes == size


def test_costs_are_counted_in_their_scope() -> None:
    backend: Any = ShapeBackend("cpu", "float32")
    with backend.scope("model"), backend.scope("0"):
        backend.exp(f32(4))
    backend.exp(f32(3))
    assert (backend.costs["model.0"].flops, backend.costs[""].flops) == (4, 3)


@each_op(op for op in all_cases() if OPS[op].gives == "tensor")
@pytest.mark.parametrize("name", ["numpy", "torch"])
def test_shapes_are_those_of_real_results(op: str, name: str) -> None:
    if name == "torch":
        pytest.importorskip("torch", reason="the results are torch's")
    backend: Backend = get_backend(name)
    for case in all_cases()[op]:
        with backend.session():
            real = case.call(backend, "float32")
        meta = result_meta(case, "float32", "float32")
        assert (tuple(backend.shape(real)), backend.dtype(real)) == tuple(meta), case.label
