from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from idx_files import write_idx

from lamina.train.data import Splits, cubes, disc, load_splits


def sizes(splits: Splits) -> dict[str, int]:
    return {part: len(data) for part, data in splits.parts().items()}


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    file = tmp_path / "flowers.csv"
    rows = [f"{i},{i * i},{'rose' if i % 2 else 'fern'}" for i in range(100)]
    file.write_text("a,b,kind\n" + "\n".join(rows) + "\n")
    return file


def test_disc() -> None:
    splits = load_splits("disc", seed=3, variant="chahed", n=200)
    assert sizes(splits) == {"train": 200, "validation": 20, "test": 200}
    np.testing.assert_array_equal(splits.train.inputs, disc(200, seed=3).inputs)
    np.testing.assert_array_equal(
        splits.test.targets, disc(200, variant="chahed", seed=3, split="test").targets
    )
    assert sizes(load_splits("disc", validation=0)) == {"train": 1000, "test": 1000}


def test_cubes() -> None:
    splits = load_splits("cubes", n=50, validation=0.5, seed=1)
    assert sizes(splits) == {"train": 50, "validation": 25, "test": 50}
    np.testing.assert_array_equal(splits.test.inputs, cubes(50, seed=1, split="test").inputs)


def test_digits_do_not_depend_on_the_seed() -> None:
    pytest.importorskip("sklearn", reason="the digits ship inside scikit-learn")
    one, other = load_splits("digits", seed=1), load_splits("digits", seed=2)
    np.testing.assert_array_equal(one.test.inputs, other.test.inputs)
    assert one.train.shape == (1, 8, 8)


def test_csv(csv_file: Path) -> None:
    splits = load_splits(csv_file, seed=1)
    assert sizes(splits) == {"train": 70, "validation": 10, "test": 20}
    assert [part.targets.mean() for part in splits.parts().values()] == [0.5, 0.5, 0.5]
    rows = np.concatenate([part.inputs[:, 0] for part in splits.parts().values()])
    assert sorted(rows.tolist()) == list(range(100))
    assert sizes(load_splits(str(csv_file), validation=0, test=0.5)) == {"train": 50, "test": 50}
    assert not np.array_equal(splits.train.inputs, load_splits(csv_file, seed=2).train.inputs)


def test_csv_options(tmp_path: Path) -> None:
    file = tmp_path / "numbers.tsv"
    file.write_text("y\tx\n" + "".join(f"{i % 2}\t{i}\n" for i in range(20)))
    splits = load_splits(file, target="y", task="regression")
    assert splits.train.feature_names == ("x",)
    assert splits.train.classes is None


def test_npz(tmp_path: Path) -> None:
    x = np.arange(40.0).reshape(20, 2)
    x[7, 1] = np.nan
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(20) % 2)
    assert sum(sizes(load_splits(tmp_path / "a.npz")).values()) == 20


def test_idx_folder(tmp_path: Path) -> None:
    for part, n in (("train", 20), ("t10k", 6)):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", np.zeros((n, 2, 2), np.uint8))
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", (np.arange(n) % 2).astype(np.uint8))
    assert sizes(load_splits(tmp_path)) == {"train": 18, "validation": 2, "test": 6}
    assert sizes(load_splits(tmp_path, validation=0)) == {"train": 20, "test": 6}
