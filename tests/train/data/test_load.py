from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from idx_files import write_idx

from lamina.backends.errors import DataError, OptionError
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


def test_npz_and_check_finite(tmp_path: Path) -> None:
    x = np.arange(40.0).reshape(20, 2)
    x[7, 1] = np.nan
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(20) % 2)
    assert sum(sizes(load_splits(tmp_path / "a.npz")).values()) == 20
    with pytest.raises(DataError, match=r"^a.npz: expected finite inputs, got 1 of .* numbers NaN"):
        load_splits(tmp_path / "a.npz", check_finite=True)


def test_idx_folder(tmp_path: Path) -> None:
    for part, n in (("train", 20), ("t10k", 6)):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", np.zeros((n, 2, 2), np.uint8))
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", (np.arange(n) % 2).astype(np.uint8))
    assert sizes(load_splits(tmp_path)) == {"train": 18, "validation": 2, "test": 6}
    assert sizes(load_splits(tmp_path, validation=0)) == {"train": 20, "test": 6}


@pytest.mark.parametrize("source", ["dics", "Disc", ""])
def test_unknown_name(source: str) -> None:
    with pytest.raises(DataError, match=r"Unknown data set .*Available: disc, cubes, digits") as caught:
        load_splits(source)
    assert ("Did you mean 'disc'?" in str(caught.value)) == bool(source)


def test_unknown_paths(csv_file: Path) -> None:
    with pytest.raises(DataError, match=r"no such file or folder. Did you mean 'flowers.csv'"):
        load_splits(csv_file.with_name("flower.csv"))
    with pytest.raises(DataError, match=r"no such file or folder"):
        load_splits(csv_file.parent / "absent" / "a.csv")
    other = csv_file.with_suffix(".xlsx")
    other.write_bytes(b"PK")
    with pytest.raises(DataError, match=r"expected a .csv, .tsv or .npz file, or a folder"):
        load_splits(other)


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("digits", {"variant": "jin"}, "variant = 'jin': expected a data set of kind disc, got 'digits'"),
        ("digits", {"validation": 0.2}, "expected a data set of kind"),
        ("cubes", {"variant": "jin"}, "expected a data set of kind"),
        ("disc", {"test": 0.2}, "of kind CSV, NPZ, got"),
        ("disc", {"target": "y"}, "of kind CSV, got"),
        ("disc", {"task": "regression"}, "of kind CSV, NPZ, got"),
        ("disc", {"validation": 1.0}, "expected validation to be a finite number, at least 0 and below 1"),
        ("disc", {"validation": -0.1}, "expected validation to be a finite number, at least 0 and below 1"),
        ("disc", {"variant": "jim"}, "Did you mean 'jin'"),
        ("disc", {"task": "x"}, "expected task to be one of"),
    ],
)
def test_options_that_do_not_apply(source: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        load_splits(source, **options)


def test_shares_that_leave_nothing(csv_file: Path) -> None:
    cases: list[dict[str, Any]] = [{"test": 0.0}, {"test": 1.0}, {"validation": 0.5, "test": 0.5}]
    for options in cases:
        with pytest.raises(OptionError, match=r"expected (test|validation \+ test)"):
            load_splits(csv_file, **options)
    with pytest.raises(OptionError, match="expected a data set of kind"):
        load_splits(csv_file, n=10)
    with pytest.raises(DataError, match="expected 0, or a share of at least one of 3 rows"):
        load_splits("disc", n=3, validation=0.1)
