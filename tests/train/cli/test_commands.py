"""The commands in ordinary use."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import command
import numpy as np
import pytest
from idx_files import write_idx
from typer.testing import CliRunner

from lamina.train.cli import app, train
from lamina.train.files import OutputError

pytestmark = pytest.mark.without_torch
RESULTS = {
    "test_loss",
    "seconds",
    "epochs",
    "stopped",
    "parameters",
    "seed",
    "backend",
    "folder",
}


@pytest.mark.parametrize("command", ["", "train", "summary", "predict", "backends", "cache"])
def test_help_fits_80_columns_without_markup(lamina: Any, command: str) -> None:
    text = lamina(f"{command} --help").stdout
    assert max(map(len, text.splitlines())) <= 80
    assert "--help" in text
    assert "[/" not in text


def test_every_option_of_train_is_explained(lamina: Any) -> None:
    text = " ".join(lamina("train --help").stdout.replace("│", " ").split())
    for words in (
        "--hidden",
        "[default: cosine]",
        "disc 25,25,25",
        "dense, cnn, lenet, resnet, jin, jin_naive (default: dense)",
        "exponential:0.9",
        "(default: runs/NAME-K)",
    ):
        assert words in text


def test_version(lamina: Any) -> None:
    from lamina import __version__

    assert lamina("--version").stdout == f"lamina {__version__}\n"


@pytest.mark.parametrize(
    "source", ["disc --n 60", "cubes --n 60", "words.csv", "ints.csv", "price.csv", "arrays.npz", "idx"]
)
@pytest.mark.usefixtures("files")
def test_train_and_predict(lamina: Any, source: str) -> None:
    found = lamina(f"train {source} --epochs 2 --json").json
    assert set(found) >= RESULTS
    assert ("test_r2" if source == "price.csv" else "test_accuracy") in found
    run = Path(found["folder"])
    assert run == Path("runs") / f"{source.split()[0].split('.')[0]}-1"
    assert all(Path(name).stat().st_size > 0 for name in found["files"])
    data = "" if " " in source else f" {source} --test-set"
    again = lamina(f"predict {run}{data} --json").json
    assert len(again["predictions"]) == found["test_samples"]
    if source == "price.csv":
        assert again["r2"] == pytest.approx(found["test_r2"], rel=1e-4)
        assert again["rmse"] == pytest.approx(found["test_rmse"], rel=1e-4)
    else:
        assert again["accuracy"] == pytest.approx(found["test_accuracy"])


def test_the_default_is_digits(lamina: Any) -> None:
    pytest.importorskip("sklearn", reason="the digits come from scikit-learn")
    found = lamina("train --epochs 1 --json").json
    assert found["source"] == "digits"
    assert 0 < found["baseline_accuracy"] < 0.2 < found["test_accuracy"]


@pytest.mark.parametrize(
    "source", ["cubes --n 40 --model cnn", "digits --model jin", "cubes --n 40 --model jin_naive"]
)
def test_convolutional_models(lamina: Any, source: str) -> None:
    if source.startswith("digits"):
        pytest.importorskip("sklearn", reason="the digits come from scikit-learn")
    found = lamina(f"train {source} --epochs 1 --json").json
    assert set(found) >= RESULTS
    assert json.loads(Path(found["files"][1]).read_text())["recipe"]["model"] == source.split()[-1]
    assert lamina(f"predict {found['folder']} --json").json["accuracy"] == found["test_accuracy"]


def test_lenet_on_idx_files(lamina: Any) -> None:
    """The class is the bright third of the image."""
    rng, labels = np.random.default_rng(0), (np.arange(90) % 3).astype(np.uint8)
    pixels = rng.integers(0, 100, (90, 14, 12)).astype(np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        image[4 * label : 4 * label + 4] += 150
    Path("mnist").mkdir()
    for part, rows in (("train", slice(0, 60)), ("t10k", slice(60, 90))):
        write_idx(f"mnist/{part}-images-idx3-ubyte", pixels[rows])
        write_idx(f"mnist/{part}-labels-idx1-ubyte", labels[rows])
    found = lamina("train mnist --model lenet --epochs 20 --lr 0.003 --json").json
    assert found["test_accuracy"] > 0.9
    assert found["folder"] == str(Path("runs") / "mnist-1")
    again = lamina(f"predict {found['folder']} mnist --json").json
    assert again["accuracy"] == pytest.approx(found["test_accuracy"])
    text = lamina(f"summary {found['folder']}").stdout
    for words in ("Conv2d(1 -> 6, 5x5, padding=2)", "MaxPool2d(2x2)", "Linear(16 -> 120)", "Linear(84 -> 3)"):
        assert words in text


@pytest.mark.usefixtures("small_pictures")
def test_the_output_of_train(lamina: Any) -> None:
    text = lamina("train disc --n 60 --epochs 2 --hidden 4 --activation tanh").stdout
    for words in (
        "disc (jin): 60 train, 6 validation, 60 test; inputs (2,), 2 classes",
        "schedule cosine, epochs 2, batches of 32, seed 0",
        "backend numpy float32",
        "Linear(2 -> 4)",
        "test accuracy ",
        "majority class",
        "2 epochs in",
        "saved in runs/disc-1/: model.safetensors, run.json, history.json, curves.png",
        "next: lamina predict runs/disc-1",
    ):
        assert words in text
    assert "runs/disc-2" in lamina("train disc --n 60 --epochs 1").stdout


def test_options_reach_the_run(lamina: Any) -> None:
    line = (
        "train disc --n 80 --variant carlier --validation 0.25 --hidden 6,5 --activation relu,tanh "
        "--output tanh --init xavier_normal --loss mse --optimizer sgd --lr 0.05 --momentum 0.9 "
        "--weight-decay 0.001 "
        "--schedule warmup:1+cosine --clip-norm 1 --epochs 3 --batch-size 16 --patience 9 --best --seed 7 "
        "--standardize --check-finite --dtype float64 --out here/there --json"
    )
    found = lamina(line).json
    assert (found["folder"], found["dtype"], found["seed"]) == ("here/there", "float64", 7)
    recipe = json.loads(Path("here/there/run.json").read_text())["recipe"]
    assert recipe["hidden"] == [6, 5]
    assert recipe["activation"] == ["relu", "tanh"]
    wanted = {
        "variant": "carlier",
        "optimizer": "sgd",
        "momentum": 0.9,
        "clip_norm": 1.0,
        "best": True,
        "loss": "mse",
    }
    assert wanted.items() <= recipe.items()


def test_the_seed_from_the_environment(lamina: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "train disc --n 40 --epochs 1 --json"
    given = lamina(f"{line} --seed 5").json
    monkeypatch.setenv("LAMINA_SEED", "5")
    found = lamina(line).json
    assert found["seed"] == 5
    assert found["test_loss"] == given["test_loss"]
    assert Path(found["files"][0]).read_bytes() == Path(given["files"][0]).read_bytes()


@pytest.mark.usefixtures("files")
def test_predict_selects_columns_and_writes_a_file(lamina: Any) -> None:
    lamina("train words.csv --epochs 3 --out run")
    whole = lamina("predict run words.csv --json").json
    for name in ("features.csv", "other_order.csv", "arrays.npz", "ints.csv"):
        assert lamina(f"predict run {name} --json").json["predictions"] == whole["predictions"]
    assert lamina("predict run/model.safetensors words.csv --json").json == whole
    assert 0 <= whole["accuracy"] <= 1
    shown = lamina("predict run words.csv --out all.csv").stdout
    assert "... and 90 more (--out FILE writes all of them)" in shown
    assert "accuracy 0." in shown
    with open("all.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["prediction"] for row in rows] == [row["prediction"] for row in whole["predictions"]]
    assert "no score: expected the classes no, yes, got '0'" in lamina("predict run ints.csv").stdout
    assert "note" in lamina("predict run ints.csv --json").json
    assert "expected a column 'b', got a, bb, c" in lamina("predict run wrong.csv", code=2).stderr
    assert "folder does not exist" in lamina("predict run features.csv --out no/where.csv", code=2).stderr
    first = lamina("predict run nan.csv --json").json["predictions"][0]
    assert first == {"prediction": "?", "probability": None}


@pytest.mark.usefixtures("files")
def test_predict_without_the_training_data(lamina: Any) -> None:
    lamina("train words.csv --epochs 1 --out run")
    Path("words.csv").unlink()
    said = " ".join(lamina("predict run", code=2).stderr.split())
    assert "the model was trained on 'words.csv', which is opened only if you name it; add --test-set" in said
    assert "--test-set: expected DATA" in lamina("predict run --test-set", code=2).stderr
    said = " ".join(lamina("predict run words.csv --test-set", code=2).stderr.split())
    assert "the data set of the training cannot be read: words.csv: expected a file or folder" in said
    assert "Name another file" in said
    lamina("predict run features.csv")


@pytest.mark.usefixtures("files")
def test_a_damaged_model_is_refused(lamina: Any) -> None:
    found = Path(lamina("train disc --n 40 --epochs 1 --json").json["files"][0])
    data = bytearray(found.read_bytes())
    data[-5] ^= 1
    found.write_bytes(data)
    for line in ("predict", "summary"):
        assert "damaged" in lamina(f"{line} {found.parent}", code=2).stderr


def test_nan_without_the_check_is_reported(lamina: Any, files: Path) -> None:
    whole = files / "nan.csv"
    whole.write_text(whole.read_text() + "nan,1,1,yes\n" * 50)
    result = lamina("train nan.csv --no-standardize --epochs 3", code=3)
    flat = " ".join(result.stdout.split())
    assert "Stopped after 1 epoch: the training loss became nan in epoch 1; the data have NaN" in flat
    assert "Kept: the untrained network, whose numbers are finite." in flat
    assert "next:" not in flat  # the test set has NaN too
    found = lamina("train nan.csv --no-standardize --epochs 3 --json", code=3).json
    assert found["exploded"]
    assert (found["test_loss"], found["kept_epoch"]) == (None, 0)
    assert sorted(path.name for path in Path(found["folder"]).iterdir()) == [
        "checkpoints",
        "curves.png",
        "history.json",
        "model.safetensors",
        "run.json",
    ]


def test_steps_with_nan_are_skipped_and_the_first_is_located(lamina: Any, files: Path) -> None:
    whole = files / "nan.csv"
    whole.write_text(whole.read_text() + "nan,1,1,yes\n" * 5)
    line = "train nan.csv --no-standardize --epochs 3 --validation 0 --batch-size 4"
    line += " --skip-nonfinite --trace-nonfinite"
    flat = " ".join(lamina(line, code=1).stdout.split())  # the test set has NaN too
    assert re.search(r"\d+ steps with a NaN or infinity in the loss or the gradients: skipped\.", flat)
    assert "NaN first appeared in the inputs, in step " in flat
    assert "Kept" not in flat
    found = lamina(f"{line} --json", code=1).json
    assert (found["skipped_steps"] > 0, found["exploded"], found["kept_epoch"]) == (True, False, 3)
    assert found["nonfinite"].startswith("NaN first appeared in the inputs")


@pytest.mark.parametrize("flags", ["", " --no-best", " --validation 0", " --validation 0 --best"])
def test_an_exploded_training_has_its_own_exit_code_and_a_finite_model(lamina: Any, flags: str) -> None:
    line = f"train disc --n 40 --epochs 9 --optimizer sgd --loss mse --lr 1e30{flags} --out run"
    flat = " ".join(lamina(line, code=3).stdout.split())
    assert "nan in epoch 1; the data are finite; try a smaller learning rate than 1e+30." in flat
    assert "Kept: the untrained network, whose numbers are finite." in flat
    assert json.loads(Path("run/history.json").read_text())["rows"][0]["train_loss"] == "NaN"
    lamina("predict run --json")


def test_a_rising_validation_loss_is_said_and_its_lowest_epoch_kept(lamina: Any) -> None:
    rng = np.random.default_rng(0)
    np.savetxt("noise.csv", rng.normal(size=(120, 9)), delimiter=",", header="a,b,c,d,e,f,g,h,y", comments="")
    for flags, kept in (("", "is kept."), (" --no-best", "is kept; --best keeps that of epoch")):
        flat = " ".join(lamina(f"train noise.csv{flags} --epochs 40 --out run{flags[-4:]}").stdout.split())
        assert "The validation loss rose from" in flat
        assert kept in flat
    found = lamina("train noise.csv --epochs 40 --json").json
    assert found["kept_epoch"] == found["best_epoch"] < found["epochs"] == 40


@pytest.mark.usefixtures("files")
def test_nan_in_the_test_set_alone_is_said(lamina: Any) -> None:
    for seed in range(20):
        found = command.run(["train", "nan.csv", "--no-standardize", "--epochs", "1", "--seed", str(seed)])
        if found.exit_code and "Stopped" not in found.stdout:
            assert (
                "Some outputs for the test set are NaN or infinite; --check-finite locates them"
                in " ".join(found.stdout.split())
            )
            return
    pytest.fail("no seed put the row into the test set")


def test_brackets_are_no_markup(lamina: Any) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{x},[bold]{'b' if x > 0 else 'a'}[/]" for x in rng.normal(size=50)]
    Path("[red]x[1].csv").write_text("x,[/y]\n" + "\n".join(rows) + "\n")
    assert "[red]x[1].csv: 35 train" in lamina("train [red]x[1].csv --epochs 1 --out [run]").stdout
    assert "[bold]" in lamina("predict [run] [red]x[1].csv").stdout
    assert "[/no]" in lamina("train [/no].csv", code=2).stderr


def test_summary(lamina: Any) -> None:
    text = lamina("summary disc --hidden 4").stdout
    assert "Linear(2 -> 4)" in text
    assert "total" in text
    found = lamina("summary disc --hidden 4 --json").json
    assert found["parameters"] == 2 * 4 + 4 + 4 * 2 + 2
    run = lamina("train disc --n 40 --epochs 1 --hidden 4 --json").json["folder"]
    assert lamina(f"summary {run} --json").json == found
    assert (
        "--hidden: expected a data set, got the trained model"
        in lamina(f"summary {run} --hidden 4", code=2).stderr
    )


@pytest.mark.parametrize("command", ["summary", "graph", "profile --steps 1"])
def test_commands_share_the_flags_of_a_network(lamina: Any, command: str) -> None:
    text = lamina(f"{command} --help").stdout
    for option in ("variant", "target", "task", "model", "hidden", "activation", "output", "loss"):
        assert f"--{option} " in text
    assert "--options" not in text
    lamina(f"{command} disc --variant carlier --hidden 3 --activation tanh --output softmax")
    assert "--loss: expected one of" in lamina(f"{command} disc --loss none", code=2).stderr


def test_summary_of_a_convolutional_model(lamina: Any) -> None:
    text = lamina("summary cubes --model jin").stdout
    assert "Conv2d(3 -> 5, 3x3, padding=1)  (N, 5, 4, 4)" in text
    pair = [lamina(f"summary cubes --model {name} --json").json for name in ("jin", "jin_naive")]
    assert pair[0]["parameters"] == pair[1]["parameters"]


def test_backends(lamina: Any) -> None:
    found = lamina("backends --json").json
    assert found["current"] == "numpy"
    assert next(row for row in found["backends"] if row["name"] == "numpy")["available"]
    assert "current: numpy float64" in lamina("backends --dtype float64").stdout


def test_a_strict_stack(lamina: Any) -> None:
    strict, plain = (
        lamina(f"train disc --n 60 --epochs 1 --json --backend {b}").json for b in ("strict+numpy", "numpy")
    )
    assert strict["backend"] == "strict+numpy"
    assert strict["test_loss"] == plain["test_loss"]


def test_standalone_mode_off_returns_the_exit_code() -> None:
    assert CliRunner().invoke(app, ["summary", "disc", "--json"], standalone_mode=False).exit_code == 0


def test_results_are_printed_although_a_file_or_a_picture_fails(
    lamina: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "draw_run", lambda experiment, folder: ([], ["curves.png cannot be drawn: x"]))
    line = "train disc --n 60 --epochs 1"
    assert "curves.png cannot be drawn: x\nsaved in" in lamina(line).stdout
    assert lamina(f"{line} --json").json["not_drawn"] == ["curves.png cannot be drawn: x"]

    def full(experiment: Any, folder: Path) -> None:
        raise OutputError("Cannot write: the disk is full.")

    monkeypatch.setattr(train, "save_run", full)
    assert "test accuracy" in lamina(line, 2).stdout
    found = lamina(f"{line} --json", 2).json
    assert found["error"] == "Cannot write: the disk is full."
    assert "test_accuracy" in found
