from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.backends.errors import DataError
from lamina.train.data import batch_count, batches, order

sizes = st.integers(1, 200)
seeds = st.integers(0, 2**64 - 1)


@settings(deadline=None)
@given(sizes, sizes, seeds, st.integers(0, 1000), st.booleans())
def test_batches_cover_each_row_once(n: int, size: int, seed: int, epoch: int, shuffle: bool) -> None:
    found = list(batches(n, size, seed=seed, epoch=epoch, shuffle=shuffle))
    assert sorted(np.concatenate(found).tolist()) == list(range(n))
    assert all(len(batch) == size for batch in found[:-1])
    assert len(found) == batch_count(n, size)


@settings(deadline=None)
@given(sizes, sizes, seeds)
def test_drop_last_leaves_full_batches(n: int, size: int, seed: int) -> None:
    if n < size:
        with pytest.raises(DataError, match="expected batch_size of at most"):
            batches(n, size, seed=seed, epoch=0, drop_last=True)
        return
    found = list(batches(n, size, seed=seed, epoch=0, drop_last=True))
    assert [len(batch) for batch in found] == [size] * (n // size)
    assert batch_count(n, size, drop_last=True) == len(found)
    np.testing.assert_array_equal(np.concatenate(found), order(n, seed=seed, epoch=0)[: n // size * size])


def test_order_is_a_function_of_seed_and_epoch() -> None:
    first = order(100, seed=1, epoch=2)
    assert first.dtype == np.int64
    np.testing.assert_array_equal(first, order(100, seed=1, epoch=2))
    assert not np.array_equal(first, order(100, seed=1, epoch=3))
    assert not np.array_equal(first, order(100, seed=2, epoch=2))


def test_without_shuffle_rows_stand() -> None:
    rows = order(5, seed=1, epoch=2, shuffle=False)
    assert rows.dtype == np.int64
    assert rows.tolist() == [0, 1, 2, 3, 4]
