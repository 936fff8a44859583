from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.backends.errors import DataError
from lamina.train.data import Dataset, Splits, one_hot


def labelled(labels: list[int], n_classes: int | None = None) -> Dataset:
    k = max(labels) + 1 if n_classes is None else n_classes
    inputs = np.arange(len(labels), dtype=np.float64).reshape(-1, 1)
    return Dataset("toy", inputs, np.array(labels), tuple(f"c{i}" for i in range(k)))


def regression(n: int = 4, k: int = 1) -> Dataset:
    return Dataset("toy", np.arange(2.0 * n).reshape(n, 2), np.ones((n, k)), feature_names=("a", "b"))


def test_length_shape_and_outputs() -> None:
    images = Dataset("i", np.zeros((3, 1, 8, 8), np.float32), np.array([0, 1, 0], np.int32), ["no", "yes"])  # type: ignore[arg-type]
    assert (len(images), images.shape, images.n_outputs) == (3, (1, 8, 8), 2)
    assert images.targets.dtype == np.int64
    assert images.classes == ("no", "yes")
    assert regression(k=3).n_outputs == 3


def test_subset_keeps_order_and_names() -> None:
    part = regression().subset([2, 0])
    np.testing.assert_array_equal(part.inputs, [[4.0, 5.0], [0.0, 1.0]])
    assert part.feature_names == ("a", "b")


labels_of_any_kind = st.lists(st.integers(0, 4), min_size=12, max_size=80)
cuts = st.lists(st.integers(2, 9), min_size=2, max_size=3).map(lambda w: [v / sum(w) for v in w])


@settings(deadline=None)
@given(labels_of_any_kind, cuts, st.integers(0, 2**32), st.booleans())
def test_split_is_a_partition(labels: list[int], fractions: list[float], seed: int, strata: bool) -> None:
    parts = labelled(labels).split(fractions, seed=seed, stratified=strata)
    rows = np.concatenate([part.inputs[:, 0] for part in parts])
    assert sorted(rows.tolist()) == list(range(len(labels)))
    for part in parts:
        np.testing.assert_array_equal(part.targets, np.array(labels)[part.inputs[:, 0].astype(int)])


@settings(deadline=None)
@given(labels_of_any_kind, cuts, st.integers(0, 2**32))
def test_a_stratified_split_keeps_each_class_to_within_one_row(
    labels: list[int], fractions: list[float], seed: int
) -> None:
    counts = np.bincount(labels)
    for part, fraction in zip(labelled(labels).split(fractions, seed=seed), fractions, strict=True):
        got = np.bincount(part.targets, minlength=len(counts))
        assert (np.abs(got - counts * fraction) <= 1 + 1e-9).all()


def test_split_is_a_function_of_the_seed() -> None:
    data = labelled([0, 1] * 30)
    one, again, other = (data.split((0.5, 0.5), seed=s)[0].inputs.ravel().tolist() for s in (3, 3, 4))
    assert one == again
    assert one != other
    assert one != sorted(one), "a part must come shuffled"


def test_many_small_classes_fill_every_part() -> None:
    # Rounded class by class alone, 80/20 of one row each would leave the test part empty.
    train, test = labelled(list(range(40))).split((0.8, 0.2), seed=0)
    assert (len(train), len(test)) == (32, 8)


def test_regression_splits_by_rows() -> None:
    train, test = regression(10).split((0.7, 0.3), seed=0)
    assert (len(train), len(test)) == (7, 3)


def test_check_finite_counts_all() -> None:
    data = regression()
    data.check_finite()
    inputs = data.inputs.copy()
    inputs[2, 1], inputs[3, 0] = np.nan, np.inf
    with pytest.raises(DataError, match=r"finite inputs, got 2 of 8 numbers NaN.*is nan in row 2, column 1 "):
        Dataset("toy", inputs, data.targets).check_finite()


def test_splits_keep_order() -> None:
    a, b = labelled([0, 1, 1]), labelled([1, 0])
    assert list(Splits(a, b, a).parts()) == ["train", "validation", "test"]
    assert list(Splits(a, None, b).parts()) == ["train", "test"]


def test_one_hot() -> None:
    np.testing.assert_array_equal(one_hot(np.array([2, 0]), 3), [[0, 0, 1], [1, 0, 0]])
