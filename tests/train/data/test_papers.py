"""The papers' tasks: disc in its versions, cubes, digits."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from lamina.train.data import DISC_VARIANTS, circle, cubes, digits, digits_splits, disc, disc_variant

# From the table in the papers' notes, with its precision.
SHARES = {
    "jin": 0.500,
    "carlier": 0.500,
    "chahed": 0.125,
    "boschin": 0.159,
    "boschin-origin": 0.040,
    "felisaz": 0.340,
}


def test_every_variant_has_a_share() -> None:
    assert set(DISC_VARIANTS) == set(SHARES)


@pytest.mark.parametrize("variant", SHARES)
def test_share_of_label_1(variant: str) -> None:
    drawn = disc(100_000, variant=variant).targets.mean()
    assert drawn == pytest.approx(SHARES[variant], abs=6e-3)


@pytest.mark.parametrize(
    ("variant", "point", "label"),
    [
        ("jin", (0.5, 0.5), 1),
        ("jin", (0.5, 0.89), 1),
        ("jin", (0.5, 0.91), 0),
        ("jin", (0.0, 0.0), 0),
        ("chahed", (0.0, 0.0), 1),
        ("chahed", (0.39, 0.0), 1),
        ("chahed", (0.5, 0.5), 0),
        ("boschin", (0.5, 0.72), 1),
        ("boschin", (0.5, 0.73), 0),
        ("boschin-origin", (0.22, 0.0), 1),
        ("boschin-origin", (0.23, 0.0), 0),
        ("felisaz", (0.1, 0.1), 1),
        ("felisaz", (0.5, 0.5), 0),
        ("felisaz", (0.9, 0.9), 1),
    ],
)
def test_label_of_a_point(variant: str, point: tuple[float, float], label: int) -> None:
    assert disc_variant(variant).labels(np.array([point])).tolist() == [label]


def test_disc_has_points_and_classes() -> None:
    data = disc(50)
    assert data.inputs.shape == (50, 2)
    assert data.inputs.dtype == np.float64
    assert ((data.inputs >= 0) & (data.inputs < 1)).all()
    assert data.classes == ("outside", "inside")
    assert disc(5, variant="felisaz").classes == ("ring", "corners")


def test_points_depend_on_seed_stream_and_split_alone() -> None:
    points = disc(20).inputs
    np.testing.assert_array_equal(points, disc(20, variant="felisaz").inputs)
    np.testing.assert_array_equal(points, disc(30).inputs[:20])
    for other in (
        disc(20, seed=1),
        disc(20, stream="x"),
        disc(20, split="test"),
        disc(20, split="validation"),
    ):
        assert not np.array_equal(points, other.inputs)


@pytest.mark.parametrize("variant", SHARES)
def test_labels_change_across_the_circle_inside_the_square(variant: str) -> None:
    rule = disc_variant(variant)
    for arc in circle(variant):
        angle = np.linspace(0, math.pi / 2 if rule.centre == (0.0, 0.0) else 2 * math.pi, 64)
        outward = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        points = rule.centre + arc.radius * outward
        assert ((points > -1e-12) & (points < 1 + 1e-12)).all()
        assert (rule.labels(points - 1e-6 * outward) != rule.labels(points + 1e-6 * outward)).all()


def test_circles() -> None:
    (one,) = circle()
    assert one.centre == (0.5, 0.5)
    assert one.radius == pytest.approx(0.3989, abs=1e-4)
    assert [arc.radius for arc in circle("felisaz")] == [pytest.approx(1 / math.sqrt(2 * math.pi)), 1.0]


def test_cubes() -> None:
    data = cubes(500)
    assert data.shape == (3, 4, 4)
    distance = np.array([math.dist(x.ravel(), [0.5] * 48) for x in data.inputs])
    np.testing.assert_array_equal(data.targets, (distance < 2).astype(int))
    assert cubes(50_000).targets.mean() == pytest.approx(0.508, abs=0.01)
    assert not np.array_equal(data.inputs, cubes(500, split="test").inputs)
    assert not np.array_equal(data.inputs, cubes(500, seed=1).inputs)


def test_digits() -> None:
    pytest.importorskip("sklearn", reason="the digits ship inside scikit-learn")
    data = digits()
    assert data.inputs.shape == (1797, 1, 8, 8)
    assert (data.inputs.min(), data.inputs.max()) == (0.0, 1.0)
    assert data.classes == tuple("0123456789")
    assert data.targets[:10].tolist() == list(range(10))


def test_digits_are_those_of_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="the digits ship inside scikit-learn")
    pixels, labels = datasets.load_digits(return_X_y=True)
    for _ in range(2):
        data = digits()
        np.testing.assert_array_equal(data.inputs.reshape(-1, 64), pixels / 16)
        np.testing.assert_array_equal(data.targets, labels)
        monkeypatch.setattr(Path, "is_file", lambda path: False)  # scikit-learn then reads its own file


def test_digits_split_is_fixed_and_stratified() -> None:
    pytest.importorskip("sklearn", reason="the digits ship inside scikit-learn")
    splits = digits_splits()
    assert {part: len(data) for part, data in splits.parts().items()} == {
        "train": 1258,
        "validation": 180,
        "test": 359,
    }
    for data in splits.parts().values():
        assert np.ptp(np.bincount(data.targets) / len(data)) < 0.02
    # Another split would make accuracies of older runs incomparable.
    assert splits.test.targets[:12].tolist() == [0, 0, 8, 0, 5, 0, 4, 0, 0, 4, 0, 0]
