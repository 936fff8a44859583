"""<Ax, y> = <x, A'y> for the adjoint pairs, over shapes and values drawn by Hypothesis."""

from __future__ import annotations

import adjoint
import numpy as np
import pytest
from adjoint import Pair
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamina.backends import Backend, Window

Shape = tuple[int, ...]
drawn = settings(
    deadline=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
shapes = st.lists(st.integers(0, 4), min_size=1, max_size=4).map(tuple)
full_shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


def check(backend: Backend, pair: Pair, data: st.DataObject) -> None:
    source = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x, y = source.standard_normal(pair.inputs), source.standard_normal(pair.outputs)
    adjoint.check(backend, pair, np.asarray(x), np.asarray(y))


@drawn
@given(data=st.data(), rank=st.integers(1, 3))
def test_unfold_fold(backend64: Backend, data: st.DataObject, rank: int) -> None:
    each = st.tuples
    size: Shape = data.draw(each(*[st.integers(1, 6)] * rank))
    padding = data.draw(each(*[each(st.integers(0, 2), st.integers(0, 2))] * rank))
    kernel: Shape = tuple(
        data.draw(st.integers(1, min(3, n + sum(p)))) for n, p in zip(size, padding, strict=True)
    )
    room = [(n + sum(p) - 1) // max(k - 1, 1) for n, p, k in zip(size, padding, kernel, strict=True)]
    dilation: Shape = tuple(data.draw(st.integers(1, max(1, min(3, r)))) for r in room)
    stride: Shape = data.draw(each(*[st.integers(1, 3)] * rank))
    shape = (data.draw(st.integers(0, 2)), data.draw(st.integers(1, 3)), *size)
    window = Window.of(size, kernel, stride, padding, dilation)
    check(backend64, adjoint.unfold_fold(backend64, shape, window), data)


@drawn
@given(data=st.data(), shape=shapes)
def test_pad_slice(backend64: Backend, data: st.DataObject, shape: Shape) -> None:
    widths = data.draw(st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * len(shape)))
    check(backend64, adjoint.pad_slice(backend64, shape, widths), data)


@drawn
@given(data=st.data(), shape=shapes)
def test_slice_slice_add(backend64: Backend, data: st.DataObject, shape: Shape) -> None:
    starts: Shape = tuple(data.draw(st.integers(0, n)) for n in shape)
    stops: Shape = tuple(data.draw(st.integers(a, n)) for a, n in zip(starts, shape, strict=True))
    steps = data.draw(st.none() | st.tuples(*[st.integers(1, 3)] * len(shape)))
    check(backend64, adjoint.slice_slice_add(backend64, shape, starts, stops, steps), data)


@drawn
@given(data=st.data(), shape=full_shapes)
def test_take_index_add(backend64: Backend, data: st.DataObject, shape: Shape) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    picked = data.draw(st.lists(st.integers(0, shape[axis] - 1), max_size=6))
    check(backend64, adjoint.take_index_add(backend64, shape, np.array(picked, np.int64), axis), data)


@drawn
@given(data=st.data(), shape=full_shapes)
def test_take_along_axis_scatter_add(backend64: Backend, data: st.DataObject, shape: Shape) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    extents = (*shape[:axis], data.draw(st.integers(0, 6)), *shape[axis + 1 :])
    source = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    indices = source.integers(0, shape[axis], extents)
    check(backend64, adjoint.along_scatter(backend64, shape, indices, axis), data)


@drawn
@given(data=st.data(), target=shapes)
def test_broadcast_sum(backend64: Backend, data: st.DataObject, target: Shape) -> None:
    lead = data.draw(st.integers(0, len(target)))
    shape: Shape = tuple(data.draw(st.sampled_from([1, n])) for n in target[lead:])
    check(backend64, adjoint.broadcast_sum(backend64, shape, target), data)


@drawn
@given(data=st.data(), shape=shapes)
def test_permute_inverse(backend64: Backend, data: st.DataObject, shape: Shape) -> None:
    axes = tuple(data.draw(st.permutations(range(len(shape)))))
    check(backend64, adjoint.permute_inverse(backend64, shape, axes), data)


@drawn
@given(data=st.data(), shape=shapes)
def test_concat_slices(backend64: Backend, data: st.DataObject, shape: Shape) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    cuts = tuple(sorted(data.draw(st.lists(st.integers(0, shape[axis]), max_size=3))))
    check(backend64, adjoint.concat_slices(backend64, shape, cuts, axis), data)


def test_a_false_adjoint_is_found(backend64: Backend) -> None:
    b = backend64
    wrong = Pair("wrong", (3,), (3,), lambda x: b.multiply(x, 2.0), lambda y: y)
    with pytest.raises(AssertionError, match="wrong"):
        adjoint.check(b, wrong, np.arange(3.0), np.ones(3))
