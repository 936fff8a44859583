"""Kernels in strips: small tensors are cut too here, down to single rows; layers compute what they did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rows import each

from lamina.backends import get_backend
from lamina.backends.decorators.jit.decorator import JitBackend
from lamina.backends.decorators.jit.emit import strips as written
from lamina.backends.decorators.jit.generate import PASSES, RULES
from lamina.backends.decorators.jit.passes import fuse as fused
from lamina.backends.decorators.jit.passes import strips as cut
from lamina.backends.decorators.jit.passes.views import as_made
from lamina.backends.decorators.jit.program import apply, check
from lamina.backends.meta import Meta
from lamina.layers import (
    BatchNorm1d,
    BatchNorm2d,
    CrossEntropyLoss,
    GroupNorm,
    LayerNorm,
    LogSoftmax,
    Module,
    Softmax,
)

Patch = pytest.MonkeyPatch
BARS = {"float64": (1e-12, 1e-12), "float32": (1.3e-6, 1e-5)}
"""rtol and atol, against eager code in float64."""


@pytest.fixture(params=[1, 200], ids=["single rows", "several rows"])
def small(request: Any, monkeypatch: Patch) -> None:
    """Cut tensors of every size, into strips of so many bytes."""
    monkeypatch.setenv("LAMINA_CACHE", "off")
    monkeypatch.setattr(cut, "LEAST", 0)
    monkeypatch.setattr(cut, "BESIDE", 1)
    monkeypatch.setattr(cut, "CACHED", request.param)
    monkeypatch.setattr(fused, "LARGE", 0)


# name: the layer or the loss, and the shape of its input
ROWS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "batch, images": (lambda b: BatchNorm2d(6, backend=b), (4, 6, 3, 5)),
    "batch, rows": (lambda b: BatchNorm1d(20, backend=b), (6, 20)),
    "batch, plain": (lambda b: BatchNorm2d(3, affine=False, backend=b), (2, 3, 4, 4)),
    "layer": (lambda b: LayerNorm(9, backend=b), (8, 9)),
    "layer, three axes": (lambda b: LayerNorm((3, 5), backend=b), (4, 2, 3, 5)),
    "group": (lambda b: GroupNorm(2, 6, backend=b), (4, 6, 3, 3)),
    "softmax": (lambda b: Softmax(1, backend=b), (12, 17)),
    "softmax, first axis": (lambda b: Softmax(0, backend=b), (5, 18)),
    "softmax, images": (lambda b: Softmax(1, backend=b), (3, 5, 4, 4)),
    "log-softmax": (lambda b: LogSoftmax(-1, backend=b), (6, 33)),
    "cross-entropy": (lambda b: CrossEntropyLoss(label_smoothing=0.1, backend=b), (12, 7)),
}


def step_of(made: Any, b: Any) -> Callable[..., tuple[Any, ...]]:
    def step(batch: Any, numbers: Any) -> tuple[Any, ...]:
        if not isinstance(made, Module):
            return made(*batch), made.backward()
        made.zero_grad()
        y = made(batch[0])
        return y, made.backward(batch[1])

    return step


def outcome(row: tuple[Callable[[Any], Any], tuple[int, ...]], dtype: str, *, compiled: bool) -> list[Any]:
    """Return the results of three steps, and the gradients after them."""
    make, shape = row
    b: Any = JitBackend(get_backend("numpy", dtype=dtype))  # type: ignore[abstract]  # made by funnelled
    made, source = make(b), np.random.default_rng(1)
    step = step_of(made, b)
    data = [source.normal(0.5, 1, (3 * shape[0], *shape[1:])).astype("float32") for _ in range(2)]
    data = [x.astype(dtype) for x in data]
    if not isinstance(made, Module):
        made.validate = False
        data[1] = source.integers(0, shape[1], len(data[0]))
    tensors = tuple(b.from_host(x, dtype=x.dtype.name) for x in data)
    run = (b if compiled else b.inner).compile(step)
    results = [b.to_host(x) for x in run(tensors, batch_size=shape[0])]
    cells = [b.to_host(p.grad) for p in made.parameters()] if isinstance(made, Module) else []
    state = list(made.state_dict().values()) if isinstance(made, Module) else []
    return [*results, *cells, *state]


def differs(name: str, dtype: str) -> bool:
    found = outcome(ROWS[name], dtype, compiled=True)
    right = outcome(ROWS[name], "float64", compiled=False)
    rtol, atol = BARS[dtype]
    return not all(np.allclose(x, y, rtol=rtol, atol=atol) for x, y in zip(found, right, strict=True))


@each(ROWS, name=str)
def test_layers(small: None, case: str) -> None:
    for dtype in BARS:
        assert not differs(case, dtype), dtype


def groups(make: Callable[[Any], Any], *shapes: tuple[int, ...]) -> list[Any]:
    """Return the groups of a layer's step, forward and backward."""
    b: Any = JitBackend(get_backend("numpy", dtype="float32"))  # type: ignore[abstract]  # made by funnelled
    traced = b.trace(step_of(make(b), b), [Meta(shape, "float32") for shape in shapes])
    program = as_made(apply(check(traced.program), PASSES))
    return cut.strips(program, fused.fuse(program, RULES))


@pytest.mark.parametrize(
    ("make", "shape", "extent"),
    [
        (lambda b: BatchNorm2d(32, backend=b), (32, 32, 32, 32), 32),
        (lambda b: GroupNorm(4, 32, backend=b), (32, 32, 32, 32), 32),
        (lambda b: LayerNorm(512, backend=b), (256, 512), 256),
        (lambda b: Softmax(1, backend=b), (256, 1024), 256),
    ],
)
def test_large_layers_are_one_loop(make: Any, shape: tuple[int, ...], extent: int) -> None:
    """All passes over the images or rows are strips of one loop; what is left is small."""
    found = groups(make, shape, shape)
    (strips,) = (group for group in found if isinstance(group, cut.Strips))
    assert strips.extent == extent
    assert len(strips.groups) > 4
    assert extent % strips.rows == 0
    size = np.prod(shape)
    for group in found:
        reduces = group.root is not None and cut.reduced_axes(group) == (0,)
        assert group is strips or reduces or all(value.meta.size < size for value in group.results)


def test_small_layers_have_no_strips() -> None:
    found = groups(lambda b: BatchNorm1d(100, backend=b), (64, 100), (64, 100))
    assert not any(isinstance(group, cut.Strips) for group in found)


# -- planted faults ----------------------------------------------------------------------------------


def a_strip_is_read_twice(patch: Patch) -> None:
    """The second strip begins where the first one does."""
    right = written._Slicer._operand

    def operand(self: Any, x: Any, axis: int) -> Any:
        found = right(self, x, axis)
        self.places = {inner: (value, 0) for inner, (value, _) in self.places.items()}
        return found

    patch.setattr(written._Slicer, "_operand", operand)


def places_are_used_too_early(patch: Patch) -> None:
    """What only the strip needs lies in one place."""
    right = written._Slicer.place

    def place(self: Any, groups: Any) -> int:
        size = right(self, groups)
        self.local = dict.fromkeys(self.local, 0)
        return size

    patch.setattr(written._Slicer, "place", place)


def a_sum_over_strips_is_a_sum_of_one(patch: Patch) -> None:
    """A reduction of the axis that is cut is taken for one that keeps it."""
    right = cut.reduced_axes
    patch.setattr(cut, "reduced_axes", lambda group: tuple(a for a in right(group) if a))


def a_result_stays_in_its_strip(patch: Patch) -> None:
    """What other groups read is not written."""
    right = cut._needed
    patch.setattr(cut, "_needed", lambda *all: set(list(right(*all))[:1]))


def sums_wait_for_nobody(patch: Patch) -> None:
    """A sum that needs another one's result is computed in its loop."""

    def alike(group: Any, other: Any) -> bool:
        roots = [one.root for one in (group, other)]
        if any(root is None or root.op != "sum" for root in roots):
            return False
        axes = {cut.reduced_axes(one) for one in (group, other)}
        return len(axes) == 1 and cut.domain(group) == cut.domain(other)

    patch.setattr(cut, "_alike", alike)


FAULTS = [
    (sums_wait_for_nobody, "layer"),
    (a_strip_is_read_twice, "layer"),
    (places_are_used_too_early, "softmax"),
    (a_sum_over_strips_is_a_sum_of_one, "layer"),
]


@pytest.mark.parametrize(("plant", "name"), FAULTS, ids=[plant.__name__ for plant, _ in FAULTS])
def test_a_planted_fault_is_caught(
    plant: Callable[[Patch], None], name: str, monkeypatch: Patch, small: None
) -> None:
    plant(monkeypatch)
    assert differs(name, "float64")


def test_a_result_that_stays_in_its_strip_is_missed(monkeypatch: Patch, small: None) -> None:
    a_result_stays_in_its_strip(monkeypatch)
    with pytest.raises(KeyError):  # the kernel that reads it has no operand
        outcome(ROWS["layer"], "float64", compiled=True)
