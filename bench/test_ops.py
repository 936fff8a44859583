"""Single ops of the protocol beside torch's functions, both in inference mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend, Window

torch = pytest.importorskip("torch")

Case = tuple[list[Any], Callable[..., Any], Callable[..., Any]]


def _normal(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def _indices(high: int, *shape: int) -> Any:
    return np.random.default_rng(high).integers(0, high, shape)


# name: inputs, our op (backend, *inputs), torch's (*inputs)
OPS: dict[str, Case] = {
    "add (5, 25)": ([_normal(5, 25), _normal(25, 5).T.copy()], lambda b, x, y: b.add(x, y), torch.add),
    "add (1000000,)": (
        [_normal(1_000_000), _normal(1_000_000)[::-1].copy()],
        lambda b, x, y: b.add(x, y),
        torch.add,
    ),
    "exp (1000000,)": ([_normal(1_000_000)], lambda b, x: b.exp(x), torch.exp),
    "sum axis 0 of (1024, 1024)": (
        [_normal(1024, 1024)],
        lambda b, x: b.sum(x, axis=0),
        lambda x: torch.sum(x, 0),
    ),
    "matmul (5, 25)(25, 25)": (
        [_normal(5, 25), _normal(25, 25)],
        lambda b, x, y: b.matmul(x, y),
        torch.matmul,
    ),
    "matmul 1024³": (
        [_normal(1024, 1024), _normal(1024, 1024).T.copy()],
        lambda b, x, y: b.matmul(x, y),
        torch.matmul,
    ),
    "softmax (256, 1024)": (
        [_normal(256, 1024)],
        lambda b, x: b.softmax(x, axis=-1),
        lambda x: torch.softmax(x, -1),
    ),
    "unfold 3x3 of (16, 16, 28, 28)": (
        [_normal(16, 16, 28, 28)],
        lambda b, x: b.unfold(x, Window.of((28, 28), (3, 3))),
        lambda x: torch.nn.functional.unfold(x, (3, 3)),
    ),
    "take 4096 rows of (10000, 256)": (
        [_normal(10_000, 256), _indices(10_000, 4096)],
        lambda b, x, i: b.take(x, i, axis=0),
        lambda x, i: torch.index_select(x, 0, i),
    ),
}


@pytest.mark.parametrize("op", OPS)
def test_op(race: Callable[..., None], op: str) -> None:
    arrays, our_op, their_op = OPS[op]

    def ours(backend: Backend) -> Any:
        inputs = [backend.from_host(a) for a in arrays]
        return lambda: our_op(backend, *inputs)

    def theirs(device: str) -> Any:
        inputs = [torch.tensor(a, device=device) for a in arrays]
        return lambda: their_op(*inputs)

    race(f"ops: {op}", ours, theirs, gradients=False)


def test_adam_step(race: Callable[..., None]) -> None:
    size = 1_000_000
    start, slope = _normal(size), _normal(size)[::-1].copy()

    def ours(b: Backend) -> Any:
        flat = [b.cells({"flat": (size,)})[0] for _ in range(3)]
        b.assign(flat[0], b.from_host(start))
        gradient, t = b.from_host(slope), 0

        def step() -> Any:
            nonlocal t
            t += 1
            new = b.adam_step(
                flat[0],
                gradient,
                flat[1],
                flat[2],
                learning_rate=1e-3,
                beta1=0.9,
                beta2=0.999,
                epsilon=1e-8,
                correction1=1.0 - 0.9**t,
                correction2=1.0 - 0.999**t,
                out=tuple(flat),
            )
            for cell, value in zip(flat, new, strict=True):
                b.assign(cell, value)
            return flat[0]

        return step

    def theirs(device: str) -> Any:
        parameter = torch.nn.Parameter(torch.tensor(start, device=device))
        parameter.grad = torch.tensor(slope, device=device)
        optimizer = torch.optim.Adam([parameter])

        def step() -> Any:
            optimizer.step()
            return parameter

        return step

    race(f"ops: adam_step ({size},)", ours, theirs, seconds=0.3, repeats=3)
