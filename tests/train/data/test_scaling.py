from __future__ import annotations

import json
import math

import numpy as np
import pytest

from lamina.backends.random import generator
from lamina.train.data import Dataset, Scaling, Splits


def data(n: int, stream: str, dtype: str = "float64") -> Dataset:
    inputs = (5 + 3 * generator(0, stream).standard_normal((n, 2, 50))).astype(dtype)
    return Dataset(stream, inputs, np.zeros((n, 1)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_standardized_has_mean_0_and_deviation_1(dtype: str) -> None:
    # 100 features: more than one of the blocks that fit() works in.
    scaled, scaling = data(200, "a", dtype).standardized()
    assert scaled.inputs.dtype == dtype
    assert scaling.mean.shape == (2, 50)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(scaled.inputs.mean(axis=0), 0, atol=tolerance)
    np.testing.assert_allclose(scaled.inputs.std(axis=0), 1, atol=tolerance)


def test_by_another_set_or_scaling() -> None:
    train, test = data(50, "a"), data(20, "b")
    scaling = Scaling.fit(train.inputs)
    expected = (test.inputs - train.inputs.mean(axis=0)) / train.inputs.std(axis=0)
    for by in (train, scaling):
        np.testing.assert_allclose(test.standardized(by)[0].inputs, expected, rtol=1e-12, atol=1e-13)


def test_splits_use_train_alone() -> None:
    train, test = data(50, "a"), data(20, "b")
    scaled, scaling = Splits(train, None, test).standardized()
    np.testing.assert_array_equal(scaled.test.inputs, scaling.apply(test.inputs))
    np.testing.assert_array_equal(scaling.mean, Scaling.fit(train.inputs).mean)
    assert scaled.validation is None


@pytest.mark.parametrize("value", [0.1, -1e300, 7.0])
def test_a_constant_feature_becomes_0(value: float) -> None:
    # The mean of a thousand 0.1 is not 0.1: without care the rounding error would be scaled to 1.
    inputs = np.full((1000, 1), value)
    scaling = Scaling.fit(inputs)
    assert scaling.scale.tolist() == [1.0]
    assert not scaling.apply(inputs).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_are_pairwise_and_in_float64(dtype: str) -> None:
    # Added up one after the other, these go wrong by 1e-13 in float64 and by 1e-4 in float32.
    inputs = np.stack([np.full(200_000, 0.1), np.ones(200_000)], axis=1).astype(dtype)
    inputs[0, 0] = 0.2
    exact = math.fsum(inputs[:, 0].tolist()) / len(inputs)
    assert abs(Scaling.fit(inputs).mean[0] - exact) < 1e-15


def test_large_values_do_not_overflow() -> None:
    scaling = Scaling.fit(np.array([[1e200], [-1e200]]))
    np.testing.assert_allclose(scaling.scale, [1e200])


def test_dict_survives_json_to_the_last_bit() -> None:
    scaling = Scaling.fit(data(30, "a").inputs)
    again = Scaling.from_dict(json.loads(json.dumps(scaling.to_dict())))
    np.testing.assert_array_equal(again.mean, scaling.mean)
    np.testing.assert_array_equal(again.scale, scaling.scale)
