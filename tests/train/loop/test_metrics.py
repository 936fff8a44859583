"""Metrics by hand and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lamina.train.loop.metrics import (
    accuracy,
    confusion_matrix,
    majority_baseline,
    mean_squared_error,
    predicted_classes,
    r2,
    target_classes,
)

NAN = math.nan


def test_predicted_classes_of_scores() -> None:
    assert predicted_classes([[1, 3, 2], [5, 5, 0], [NAN, 1, 2]]).tolist() == [1, 0, -1]
    assert predicted_classes(np.array([[1, 2]], np.float32)).dtype == np.int64


def test_predicted_classes_of_one_score() -> None:
    scores = [[0.5], [0.51], [-1.0], [NAN]]
    assert predicted_classes(scores).tolist() == [0, 1, 0, -1]
    assert predicted_classes(np.ravel(scores)).tolist() == [0, 1, 0, -1]
    assert predicted_classes(scores, threshold=0.0).tolist() == [1, 1, 0, -1]


@pytest.mark.parametrize(
    "targets",
    [
        [2, 0, 1],
        [[2], [0], [1]],
        np.array([2.0, 0.0, 1.0], np.float32),
        [[0, 0, 1], [1, 0, 0], [0, 1, 0]],
        [[-1.0, -1, 1], [1, -1, -1], [-1, 1, -1]],
    ],
)
def test_target_classes(targets: object) -> None:
    assert target_classes(targets).tolist() == [2, 0, 1]  # type: ignore[arg-type]


def test_target_classes_of_two_signs() -> None:
    assert target_classes([-1, 1, -1]).tolist() == [0, 1, 0]
    assert target_classes([True, False]).tolist() == [1, 0]


def test_accuracy() -> None:
    scores = [[1, 0], [0, 1], [0, 1], [NAN, 0]]
    assert accuracy(scores, [0, 1, 0, 0]) == 0.5
    assert accuracy(scores, [[1, 0], [0, 1], [0, 1], [1, 0]]) == 0.75
    assert accuracy([[0.2], [0.9], [-0.3]], [[1.0], [1.0], [0.0]]) == pytest.approx(2 / 3)
    assert accuracy([0.2, 0.9, -0.3], [1, 1, -1], threshold=0.0) == 1.0


def test_confusion_matrix_rows_are_true_classes() -> None:
    true, guessed = [0, 0, 1, 2, 2, 2], np.array([0, 1, 1, 0, 2, 2])
    expected = [[1, 1, 0], [0, 1, 0], [1, 0, 2]]
    assert confusion_matrix(true, guessed).tolist() == expected
    assert confusion_matrix(np.eye(3)[true], guessed, 3).tolist() == expected
    assert confusion_matrix([0], [0], 4).shape == (4, 4)


def test_confusion_matrix_equals_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    true, guessed = rng.integers(7, size=(2, 500))
    np.testing.assert_array_equal(confusion_matrix(true, guessed), sklearn.confusion_matrix(true, guessed))


def test_majority_baseline() -> None:
    assert majority_baseline([0, 1, 1, 1]) == 0.75
    assert majority_baseline([0, 1, 1], [0, 0, 0, 1]) == 0.25
    assert majority_baseline(np.eye(2)[[0, 1, 1]], [[1.0], [0.0]]) == 0.5


def test_a_column_and_a_row_of_numbers_are_not_broadcast() -> None:
    assert mean_squared_error([[1.0], [2.0]], [1.0, 4.0]) == 2.0
    assert r2([[1.0], [2.0], [3.0]], [1.0, 2.0, 3.0]) == 1.0


def test_mean_squared_error_sums_in_float64() -> None:
    assert mean_squared_error(np.full(3, 300.0, np.float16), np.zeros(3, np.float16)) == 90000.0


def test_r2() -> None:
    assert r2([2.0, 2.0, 2.0], [1.0, 2.0, 3.0]) == 0.0
    assert r2([5.0, 5.0], [5.0, 5.0]) == 1.0
    assert r2([5.0, 6.0], [5.0, 5.0]) == 0.0
    assert np.mean([0.1] * 3) != 0.1
    assert r2([0.1, 0.2, 0.1], [0.1] * 3) == 0.0
    assert r2([0.1] * 3, [0.1] * 3) == 1.0
    assert math.isnan(r2([NAN, 5.0], [5.0, 5.0]))


def test_r2_equals_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    true = rng.normal(size=(50, 3))
    guess = true + rng.normal(size=(50, 3))
    assert r2(guess, true) == pytest.approx(sklearn.r2_score(true, guess), rel=1e-12)
