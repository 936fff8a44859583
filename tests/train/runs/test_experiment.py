"""Whole runs: accuracy, one history on every backend, repeatability, the folder of a run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.backends import DataError, get_backend, use_backend
from lamina.backends.host import blas_threads, limited_threads
from lamina.train import Callback
from lamina.train.loop.history import History
from lamina.train.runs.experiment import Experiment
from lamina.train.runs.folder import draw_run, save_run
from lamina.train.runs.recipe import Recipe


def ran(backend: str, dtype: str = "float32", **options: Any) -> Experiment:
    with use_backend(backend, dtype=dtype):
        experiment = Experiment.prepare(Recipe(**options))
        experiment.run()
    return experiment


def sha256(experiment: Experiment) -> str:
    digest = hashlib.sha256()
    for name, value in experiment.model.state_dict().items():
        digest.update(name.encode() + value.tobytes())
    return digest.hexdigest()


# -- accuracy, in a part of the default epochs (docs/training.md has the means of five seeds of all) ------


def test_dense_learns_digits() -> None:
    pytest.importorskip("sklearn", reason="the digits come from scikit-learn")
    options: dict[str, Any] = {"source": "digits", "epochs": 10}
    accuracies = [ran("numpy", **options, seed=seed).results["test_accuracy"] for seed in (0, 1)]
    assert np.mean(accuracies) >= 0.955, accuracies


def test_a_cnn_learns_digits() -> None:
    pytest.importorskip("torch", reason="this one runs on torch")
    pytest.importorskip("sklearn", reason="the digits come from scikit-learn")
    assert ran("torch", source="digits", model="cnn", epochs=3).results["test_accuracy"] >= 0.98


def test_jins_network_learns_cubes() -> None:
    results = ran("numpy", source="cubes", model="jin", epochs=25, seed=2).results
    assert results["test_accuracy"] >= 0.68 > results["baseline_accuracy"] + 0.2, results


def test_dense_learns_the_disc() -> None:
    pytest.importorskip("torch", reason="this one runs on torch")
    options: dict[str, Any] = {"source": "disc", "epochs": 20}
    accuracies = [ran("torch", **options, seed=seed).results["test_accuracy"] for seed in (0, 1)]
    assert np.mean(accuracies) >= 0.98, accuracies


# -- one history on every backend ------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-9), ("float32", 1e-4)])
def test_numpy_and_torch_agree_on_the_history(dtype: str, rtol: float) -> None:
    pytest.importorskip("torch", reason="torch is what numpy is compared with")
    pytest.importorskip("sklearn", reason="the digits come from scikit-learn")
    first, second = (
        ran(name, dtype, source="digits", epochs=3).trainer.history for name in ("numpy", "torch")
    )
    assert first.names == second.names
    for name in set(first.names) - {"seconds"}:
        # In float32 one prediction of the 180 in validation may differ.
        near = 1 / 180 if dtype == "float32" and name.endswith("accuracy") else 0.0
        np.testing.assert_allclose(
            first.column(name), second.column(name), rtol=rtol, atol=near, err_msg=name
        )


@pytest.mark.parametrize("model", ["cnn", "jin"])
def test_numpy_and_torch_agree_on_convolutions(model: str) -> None:
    pytest.importorskip("torch", reason="torch is what numpy is compared with")
    options: dict[str, Any] = {"source": "cubes", "model": model, "n": 100, "epochs": 3}
    first, second = (ran(name, "float64", **options).trainer.history for name in ("numpy", "torch"))
    for name in set(first.names) - {"seconds"}:
        np.testing.assert_allclose(first.column(name), second.column(name), rtol=1e-9, err_msg=name)


@pytest.mark.parametrize(
    "options", [{"source": "disc", "n": 200}, {"source": "cubes", "n": 60, "model": "cnn"}]
)
def test_equal_seeds_give_equal_weights(backend: Any, options: dict[str, Any]) -> None:
    options = {**options, "epochs": 2}
    spec = backend.spec
    first, again, other = (ran(spec, **options, seed=seed) for seed in (5, 5, 6))
    assert sha256(first) == sha256(again) != sha256(other)
    assert (
        first.trainer.history.column("train_loss").tolist()
        == again.trainer.history.column("train_loss").tolist()
    )


def test_a_strict_stack_trains_digits_as_its_inner_backend_does() -> None:
    pytest.importorskip("sklearn", reason="the digits come from scikit-learn")
    strict, plain = (ran(spec, source="digits", epochs=1) for spec in ("strict+numpy", "numpy"))
    assert sha256(strict) == sha256(plain)
    assert strict.results["backend"] == "strict+numpy"


# -- the user's data ----------------------------------------------------------------------------------


def table(path: Path, scale: float = 1.0, n: int = 120) -> Path:
    x = np.random.default_rng(0).normal(size=(n, 3))
    y = scale * (x[:, 0] - x[:, 2] + 5)
    rows = "\n".join(",".join(map(repr, map(float, (*row, value)))) for row, value in zip(x, y, strict=True))
    path.write_text(f"a,b,c,price\n{rows}\n")
    return path


def test_regression_does_not_depend_on_the_unit(tmp_path: Path) -> None:
    results = [
        ran("numpy", source=str(table(tmp_path / f"{scale:g}.csv", scale)), epochs=20).results
        for scale in (1e-6, 1e6)
    ]
    for result, scale in zip(results, (1e-6, 1e6), strict=True):
        assert result["test_r2"] > 0.95
        assert 0.01 < result["test_rmse"] / scale < 0.5
    assert results[0]["test_r2"] == pytest.approx(results[1]["test_r2"], rel=1e-3)


def test_a_cnn_takes_images_with_real_targets(tmp_path: Path) -> None:
    """The target is the brightness of the image."""
    rng = np.random.default_rng(0)
    y = rng.uniform(0, 1, 300)
    x = y[:, None, None, None] * rng.uniform(0.5, 1, (300, 2, 5, 6))
    np.savez(tmp_path / "bright.npz", x=x, y=y)
    experiment = ran("numpy", source=str(tmp_path / "bright.npz"), model="cnn", epochs=5)
    assert experiment.recipe.standardize is False
    assert experiment.network.outputs == 1
    assert experiment.results["test_r2"] > 0.8, experiment.results


@pytest.mark.parametrize("standardize", [True, False])
def test_nan_is_reported_with_its_row(tmp_path: Path, standardize: bool) -> None:
    path = table(tmp_path / "a.csv")
    lines = path.read_text().splitlines()
    lines[8] = "1,2,3,nan" if not standardize else "nan,2,3,4"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"row 7, column 0" if standardize else "NaN or infinite"):
        ran("numpy", source=str(path), task="regression", standardize=standardize, epochs=1)


# -- the folder ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_pictures")
def test_the_folder_of_a_run(tmp_path: Path) -> None:
    experiment = ran("numpy", source="disc", n=100, epochs=2)
    files = save_run(experiment, tmp_path)
    drawn, failed = draw_run(experiment, tmp_path)
    assert not failed
    files += drawn
    names = ["model.safetensors", "run.json", "history.json", "curves.png", "confusion.png", "boundary.png"]
    assert [path.name for path in files] == names
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    record = json.loads((tmp_path / "run.json").read_text())
    assert Recipe.from_dict(record["recipe"]) == experiment.recipe
    assert record["results"]["test_accuracy"] == experiment.results["test_accuracy"]
    assert History.from_json(tmp_path / "history.json").names == experiment.trainer.history.names


class Explodes(Callback):
    """Makes the learning rate huge from the last step of an epoch on."""

    def __init__(self, epoch: int, step: int) -> None:
        self.at = (epoch, step)

    def on_step(self, trainer: Any, step: int) -> None:
        if (trainer.epoch + 1, step + 1) == self.at:
            trainer.optimizer.groups[0].options["lr"] = 1e30


@pytest.mark.parametrize("validation", [None, 0.0])
@pytest.mark.parametrize("best", [None, True, False])
@pytest.mark.parametrize("at", [(1, 2), (3, 2), (3, 7), (4, 7)])
def test_an_exploded_run_keeps_the_last_finite_weights(
    validation: float | None, best: bool | None, at: tuple[int, int]
) -> None:
    """The last step of the last epoch may be at fault too: its loss is from before it."""
    options: dict[str, Any] = {"source": "disc", "n": 224, "epochs": 4, "optimizer": "sgd", "loss": "mse"}
    with use_backend("numpy"):
        experiment = Experiment.prepare(Recipe(**options, validation=validation, best=best))
        states = [experiment.model.state_dict()]
        keep = Keeps(states)
        experiment.trainer.callbacks = [Explodes(*at), keep, *experiment.trainer.callbacks]
        results = experiment.run()
    assert experiment.exploded
    assert results["exploded"]
    kept = results["kept_epoch"]
    assert kept < at[0]
    assert kept == at[0] - 1 or best is not False
    for name, value in experiment.model.state_dict().items():
        np.testing.assert_array_equal(value, states[kept][name])
    assert np.isfinite(results["test_loss"])
    assert results["epochs"] == len(experiment.trainer.history) >= at[0]


class Keeps(Callback):
    def __init__(self, states: list[Any]) -> None:
        self.states = states

    def on_epoch_end(self, trainer: Any, row: Any) -> bool:
        self.states.append(trainer.model.state_dict())
        return False


@pytest.mark.parametrize("validation", [None, 0.0])
@pytest.mark.parametrize("best", [None, True, False])
def test_patience_and_best(validation: float | None, best: bool | None) -> None:
    options = {"source": "disc", "n": 100, "epochs": 60, "patience": 3, "lr": 0.05}
    experiment = ran("numpy", **options, best=best, validation=validation)
    part = "train" if validation == 0 else "validation"
    results, losses = experiment.results, experiment.trainer.history.column(f"{part}_loss")
    assert results["epochs"] < 60
    assert results["stopped"] == f"{part}_loss did not improve for 3 epochs"
    keeps_best = validation is None if best is None else best
    assert results["kept_epoch"] == (int(losses.argmin()) + 1 if keeps_best else results["epochs"])
    assert results["best_epoch"] == (None if validation == 0 else int(losses.argmin()) + 1)
    data = getattr(experiment.splits, part)
    kept = experiment.trainer.evaluate(data)["loss"]
    assert kept == pytest.approx(losses.min() if keeps_best else losses[-1], rel=1e-5)


def test_a_run_limits_the_threads_for_its_duration_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAMINA_THREADS", raising=False)
    before = blas_threads()
    ran("numpy", source="disc", n=40, epochs=1)
    assert blas_threads() == before
    first, second = limited_threads(1), limited_threads(1)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert blas_threads() == 1
    second.__exit__(None, None, None)
    assert blas_threads() == before


def test_a_picture_that_cannot_be_drawn_is_one_line(tmp_path: Path) -> None:
    experiment = ran("numpy", source="disc", n=100, epochs=1)
    for name in ("curves.png", "boundary.png"):
        (tmp_path / name).mkdir()
    drawn, failed = draw_run(experiment, tmp_path)
    assert [path.name for path in drawn] == ["confusion.png"]
    assert [line.partition(":")[0] for line in failed] == [
        "curves.png cannot be drawn",
        "boundary.png cannot be drawn",
    ]
    assert all("that is a folder" in line and "\n" not in line for line in failed)


def test_it_computes_on_its_backend() -> None:
    experiment = ran("numpy", "float64", source="disc", n=50, epochs=1)
    assert experiment.backend is get_backend("numpy", dtype="float64")
    assert experiment.results["dtype"] == "float64"
