"""Predictions of a saved model: columns by name, class names, units."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from idx_files import write_idx

from lamina.backends import DataError, use_backend
from lamina.train.runs.experiment import Experiment
from lamina.train.runs.folder import save_run
from lamina.train.runs.names import LOSSES
from lamina.train.runs.new_data import read_new_data
from lamina.train.runs.predictor import Predictor
from lamina.train.runs.recipe import Recipe

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 3))
YES = X[:, 0] + X[:, 1] > 0
WORDS = np.where(YES, "yes", "no")
PRICE = 1e6 * (X[:, 0] - X[:, 2]) + 5e6


def write(path: Path, columns: dict[str, Any], *, header: bool = True) -> Path:
    lines = [",".join(columns)] if header else []
    lines += [
        ",".join(map(str, row))
        for row in zip(*(np.asarray(c).tolist() for c in columns.values()), strict=True)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


FEATURES = {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2]}


@pytest.fixture(autouse=True)
def on_numpy() -> Any:
    with use_backend("numpy"):
        yield


def trained(tmp_path: Path, columns: dict[str, Any], *, header: bool = True, **options: Any) -> Predictor:
    source = write(tmp_path / "train.csv", columns, header=header)
    experiment = Experiment.prepare(Recipe(str(source), **{"epochs": 15, "lr": 0.02, **options}))
    experiment.run()
    (tmp_path / "run").mkdir()
    save_run(experiment, tmp_path / "run")
    return Predictor.load(tmp_path / "run" / "model.safetensors")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A model of two classes, trained for one epoch on columns a, b, c."""
    with use_backend("numpy"):
        return trained(tmp_path_factory.mktemp("words"), {**FEATURES, "answer": WORDS}, epochs=1)


def test_columns_are_selected_by_name(tmp_path: Path) -> None:
    predictor = trained(tmp_path, {**FEATURES, "answer": WORDS})
    whole = read_new_data(predictor, str(tmp_path / "train.csv"))
    assert whole.targets is not None
    want = predictor(whole.inputs)
    labels = predictor.labels(want)
    assert np.mean(np.array(labels) == WORDS) > 0.9
    np.testing.assert_array_equal(np.array(predictor.classes)[whole.targets], WORDS)
    shuffled = {"c": X[:, 2], "answer": WORDS, "id": np.arange(90), "a": X[:, 0], "b": X[:, 1]}
    for name, columns, known in (
        ("features only", FEATURES, False),
        ("other order and one more", shuffled, True),
        ("no target but another column", {"id": np.arange(90), **FEATURES}, False),
    ):
        new = read_new_data(predictor, str(write(tmp_path / f"{name}.csv", columns)))
        np.testing.assert_array_equal(predictor(new.inputs), want, err_msg=name)
        assert (new.targets is not None) == known, name
        assert not new.note
    bare = read_new_data(predictor, str(write(tmp_path / "bare.csv", FEATURES, header=False)))
    np.testing.assert_array_equal(predictor(bare.inputs), want)


def test_a_target_by_number_or_name(tmp_path: Path) -> None:
    for folder, header, target in (("number", False, "1"), ("name", True, "answer")):
        place = tmp_path / folder
        place.mkdir()
        columns = {"a": X[:, 0], "answer": WORDS, "b": X[:, 1], "c": X[:, 2]}
        predictor = trained(place, columns, header=header, target=target)
        new = read_new_data(predictor, str(place / "train.csv"))
        assert new.targets is not None
        assert np.mean(np.array(predictor.labels(predictor(new.inputs))) == WORDS) > 0.9


def test_class_names_and_a_header_of_numbers_stay_text(tmp_path: Path) -> None:
    source = write(
        tmp_path / "codes.csv", {"2019": X[:, 0], "2020": X[:, 1], "2021": np.where(YES, "00501", "501")}
    )
    experiment = Experiment.prepare(Recipe(str(source), header=True, epochs=3, lr=0.02))
    experiment.run()
    save_run(experiment, tmp_path)
    predictor = Predictor.load(tmp_path / "model.safetensors")
    assert (predictor.classes, predictor.features) == (("00501", "501"), ("2019", "2020"))
    new = read_new_data(predictor, str(source))
    assert new.targets is not None
    assert len(new.inputs) == 90
    assert set(predictor.labels(predictor(new.inputs))) == {"00501", "501"}
    with pytest.raises(DataError, match="expected 2 columns of features, got 3"):
        read_new_data(predictor, str(source), header=False)


@pytest.mark.parametrize("rows", [3, 90])
def test_few_rows_are_read_as_the_model_was_trained(tmp_path: Path, rows: int) -> None:
    """Three rows with three different numbers look like regression, but the model has classes."""
    predictor = trained(tmp_path, {**FEATURES, "answer": np.arange(90) % 3 + 4})
    assert predictor.classes == ("4", "5", "6")
    few = write(
        tmp_path / "few.csv",
        {**{k: v[:rows] for k, v in FEATURES.items()}, "answer": (np.arange(90) % 3 + 4)[:rows]},
    )
    new = read_new_data(predictor, str(few))
    assert new.targets is not None
    np.testing.assert_array_equal(new.targets, np.arange(rows) % 3)


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        (np.where(YES, 1, 0), "expected the classes no, yes, got '0'"),
        (np.where(np.arange(90) == 4, "", WORDS), "got an empty cell"),
        (np.where(np.arange(90) == 4, "maybe", WORDS), "got 'maybe'"),
    ],
)
def test_unusable_targets_are_noted(words: Predictor, tmp_path: Path, answer: Any, note: str) -> None:
    new = read_new_data(words, str(write(tmp_path / "new.csv", {**FEATURES, "answer": answer})))
    assert new.targets is None
    assert note in new.note
    assert new.inputs.shape == (90, 3)


def test_predictions_are_in_the_units_of_the_data(tmp_path: Path) -> None:
    predictor = trained(tmp_path, {**FEATURES, "price": PRICE}, epochs=60)
    new = read_new_data(predictor, str(tmp_path / "train.csv"))
    assert new.targets is not None
    np.testing.assert_array_equal(new.targets[:, 0], PRICE)
    assert np.abs(predictor(new.inputs)[:, 0] - PRICE).mean() < 3e5
    words = read_new_data(predictor, str(write(tmp_path / "words.csv", {**FEATURES, "price": WORDS})))
    assert words.targets is None
    assert "expected a number, got" in words.note


def test_arrays_with_and_without_targets(tmp_path: Path) -> None:
    predictor = trained(tmp_path, {**FEATURES, "answer": YES.astype(int)}, epochs=1)
    np.savez(tmp_path / "both.npz", x=X, y=YES)
    np.savez(tmp_path / "alone.npz", x=X)
    np.savez(tmp_path / "bad.npz", x=X, y=PRICE)
    both, alone, bad = (
        read_new_data(predictor, str(tmp_path / f"{name}.npz")) for name in ("both", "alone", "bad")
    )
    assert both.targets is not None
    np.testing.assert_array_equal(both.targets, YES)
    assert alone.targets is bad.targets is None
    assert not alone.note
    assert "expected a class label" in bad.note


def test_a_folder_of_images(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (40, 4, 4)).astype(np.uint8)
    labels = (np.arange(40) % 2).astype(np.uint8)
    for part, rows in (("train", slice(0, 30)), ("t10k", slice(30, 40))):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", images[rows])
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", labels[rows])
    experiment = Experiment.prepare(Recipe(str(tmp_path), epochs=1))
    experiment.run()
    out = tmp_path / "run"
    out.mkdir()
    save_run(experiment, out)
    predictor = Predictor.load(out / "model.safetensors")
    for new in (
        read_new_data(predictor, str(tmp_path)),
        read_new_data(predictor, str(tmp_path), test_set=True),
    ):
        assert new.inputs.shape == (10, 1, 4, 4)
        assert new.targets is not None
        np.testing.assert_array_equal(new.targets, labels[30:])


@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "mse"])
def test_probabilities_belong_to_the_predicted_class(tmp_path: Path, loss: str) -> None:
    predictor = trained(tmp_path, {**FEATURES, "answer": WORDS}, loss=loss)
    outputs = predictor(X)
    found = predictor.certainties(outputs)
    assert predictor.link
    assert ((found >= 0.5) & (found <= 1)).all()
    assert np.mean(np.array(predictor.labels(outputs)) == WORDS) > 0.9
    # Predictions with a high probability are right more often.
    right = np.array(predictor.labels(outputs)) == WORDS
    assert right[found >= np.median(found)].mean() >= right.mean()


def test_a_score_of_nan_has_no_class(words: Predictor) -> None:
    inputs = X.copy()
    inputs[1, 1] = np.nan
    outputs = words(inputs)
    assert words.labels(outputs)[1] == "?"
    certainties = words.certainties(outputs)
    assert np.isnan(certainties[1])
    assert np.isfinite(np.delete(certainties, 1)).all()


def test_a_model_does_not_decide_what_is_opened(words: Predictor, tmp_path: Path) -> None:
    assert words.recipe is not None
    with pytest.raises(DataError, match=r"trained on '.*train.csv', which is opened only if you name it"):
        read_new_data(words, None)
    test = read_new_data(words, words.recipe.source, test_set=True)
    assert test.inputs.shape == (18, 3)
    huge = replace(words, recipe=Recipe("disc", n=10**12))
    with pytest.raises(DataError, match="at most 10,000,000 samples, got 1,000,000,000,000"):
        read_new_data(huge, None)
    with pytest.raises(DataError, match="expected the training's data set, 'disc', got"):
        read_new_data(huge, "x.csv", test_set=True)
