"""Embedding: torch's rows and gradients, indices that come again, padding, and indices that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamina.backends import Backend
from lamina.layers import Embedding
from lamina.layers.proofs import Subject, compare_with_torch


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # a backend keeps no state
)
@given(
    rows=st.integers(1, 6),
    width=st.integers(1, 4),
    shape=st.lists(st.integers(0, 4), max_size=3),
    data=st.data(),
)
def test_it_is_torchs(rows: int, width: int, shape: list[int], data: Any, backend64: Backend) -> None:
    torch = pytest.importorskip("torch", reason="the oracle is torch.nn")
    padding = data.draw(st.one_of(st.none(), st.integers(-rows, rows - 1)))
    x = np.random.default_rng(0).integers(0, rows, shape)
    layer = Embedding(rows, width, padding, backend=backend64)
    assert layer.output_shape(tuple(shape)) == (*shape, width)
    report = compare_with_torch(layer, torch.nn.Embedding(rows, width, padding), x)
    assert report.passed, str(report)


def test_gradients_of_an_index_that_comes_again_add_up(backend64: Backend) -> None:
    layer = Embedding(4, 2, backend=backend64)
    g = np.arange(1.0, 11.0).reshape(5, 2)
    found = Subject(layer).run(np.array([2, 0, 2, 2, 0]), grad_output=g)
    expected = np.array([g[1] + g[4], [0.0, 0.0], g[0] + g[2] + g[3], [0.0, 0.0]])
    np.testing.assert_array_equal(found["weight"], expected)
    assert "input" not in found


@pytest.mark.parametrize("index", [1, -3])
def test_padding_starts_as_zeros_and_gets_no_gradient(index: int, backend: Backend) -> None:
    layer = Embedding(4, 2, index, backend=backend)
    assert layer.padding_idx == 1
    zero = np.all(layer.state_dict()["weight"] == 0.0, axis=1)
    assert zero.tolist() == [False, True, False, False]
    found = Subject(layer).run(np.array([[0, 1], [1, 3]]))
    assert np.all(found["output"][0, 1] == 0.0)
    assert np.any(found["weight"] != 0.0, axis=1).tolist() == [True, False, False, True]
