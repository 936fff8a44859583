"""Pictures of runs: what is drawn, where, and what is refused."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.backends.drawing import Graph, fonts
from lamina.backends.errors import DataError, OptionError, ShapeError
from lamina.backends.host import Host
from lamina.train import pictures
from lamina.train.files.atomic import OutputError
from lamina.train.loop.history import History
from lamina.train.pictures.figure import COLOURS


class Seen:
    """The figure and the axes of the last picture, kept when it is saved."""

    figure: Any = None

    @property
    def axes(self) -> list[Any]:
        return list(self.figure.axes)

    def legend(self, axes: Any = None) -> list[str]:
        legend = self.figure.legends[0] if axes is None else axes.get_legend()
        return [text.get_text() for text in legend.get_texts()]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    from matplotlib.figure import Figure

    kept, save = Seen(), Figure.savefig

    def savefig(figure: Any, *args: Any, **options: Any) -> None:
        kept.figure = figure
        save(figure, *args, **options, dpi=40)  # fewer pixels, the same layout

    monkeypatch.setattr(Figure, "savefig", savefig)
    return kept


def record(**columns: list[float]) -> History:
    history = History()
    for row in zip(*columns.values(), strict=True):
        history.append(**dict(zip(columns, row, strict=True)))
    return history


def is_png(path: Path) -> bool:
    return path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_learning_curves(tmp_path: Path, seen: Seen) -> None:
    history = record(epoch=[1, 2, 3], train_loss=[1.0, 0.1, 0.01], train_accuracy=[0.5, 0.7, 0.9])
    history.append(epoch=4, train_loss=0.005, train_accuracy=0.95, validation_loss=0.2)
    pictures.learning_curves(history, tmp_path / "a.png", title="a $5 run, or $6", baseline=0.5)
    loss, accuracy = seen.axes
    assert is_png(tmp_path / "a.png")
    assert (loss.get_yscale(), accuracy.get_yscale()) == ("log", "linear")
    assert seen.legend(loss) == ["train", "validation"]
    assert seen.legend(accuracy) == ["train", "majority class 50.0%"]
    np.testing.assert_array_equal(loss.lines[0].get_xdata(), [1, 2, 3, 4])
    np.testing.assert_array_equal(loss.lines[1].get_xdata(), [4])
    assert accuracy.lines[-1].get_ydata()[0] == 0.5


@pytest.mark.parametrize(
    ("losses", "scale"),
    [([1.0, 0.04], "linear"), ([1.0, 0.03], "log"), ([1.0, 0.0], "linear"), ([9.0, -1.0], "linear")],
)
def test_loss_scale(losses: list[float], scale: str, tmp_path: Path, seen: Seen) -> None:
    pictures.learning_curves(record(train_loss=losses), tmp_path / "a.png")
    assert [axes.get_yscale() for axes in seen.axes] == [scale]


def test_losses_that_are_not_finite_are_marked(tmp_path: Path, seen: Seen) -> None:
    losses = [1.0, math.nan, math.inf, 2.0]
    pictures.learning_curves(record(train_loss=losses, validation_loss=[math.nan] * 4), tmp_path / "a.png")
    assert seen.legend(seen.axes[0]) == [
        "train",
        "train: not finite (2 of 4)",
        "validation",
        "validation: not finite (4 of 4)",
    ]
    np.testing.assert_array_equal(seen.axes[0].lines[1].get_xdata(), [2, 3])


def test_one_epoch_is_visible_on_whole_ticks(tmp_path: Path, seen: Seen) -> None:
    pictures.learning_curves(record(epoch=[1], train_loss=[0.5]), tmp_path / "a.png")
    axes = seen.axes[0]
    assert axes.lines[0].get_marker() == "o"
    assert all(tick == round(tick) for tick in axes.get_xticks())


def test_a_history_without_curves(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no loss or accuracy to draw; it has: epoch"):
        pictures.learning_curves(record(epoch=[1]), tmp_path / "a.png")


def disc(n: int = 200) -> tuple[Host, Host]:
    points = np.random.default_rng(0).random((n, 2)).astype(np.float32)
    return points, (np.hypot(*(points - 0.5).T) < 0.4).astype(np.int64)


def test_decision_boundary(tmp_path: Path, seen: Seen) -> None:
    points, labels = disc()
    blocks: list[tuple[tuple[int, ...], Any]] = []

    def score(block: Host) -> Host:
        blocks.append((block.shape, block.dtype))
        return np.asarray(0.3 - np.hypot(*(block - 0.5).T))

    circle = [((0.5, 0.5), 0.4), ((0.0, 0.0), 0.1)]
    path = tmp_path / "a.png"
    pictures.decision_boundary(
        score, points, labels, path, classes=["_out", "in"], circle=circle, threshold=0.0
    )
    wrong = int(((np.hypot(*(points - 0.5).T) < 0.3) != labels).sum())
    assert wrong > 0
    assert seen.legend() == [" _out", "in", f"misclassified: {wrong} of 200", "true boundary"]
    axes = seen.axes[0]
    assert (axes.get_xlim(), axes.get_ylim(), axes.get_aspect()) == ((0, 1), (0, 1), 1)
    assert len(axes.collections[-1].get_offsets()) == wrong
    assert sum(shape[0] for shape, _ in blocks) == 400 * 400 + 200
    assert max(shape[0] for shape, _ in blocks) <= 16384
    assert {dtype for _, dtype in blocks} == {np.dtype(np.float32)}
    image = axes.images[0].get_array()
    assert tuple(image[200, 200]) != tuple(image[5, 5])
    assert is_png(path)


def test_several_classifiers_side_by_side(tmp_path: Path, seen: Seen) -> None:
    points, labels = disc()
    scores = {f"radius {r}": lambda p, r=r: r - np.hypot(*(p - 0.5).T) for r in (0.2, 0.4, 0.6)}
    path = tmp_path / "a.png"
    pictures.decision_boundaries(scores, points, labels, path, classes=["out", "in"], threshold=0.0)
    wrong = {name: int(((score(points) >= 0) != labels).sum()) for name, score in scores.items()}
    assert len(set(wrong.values())) == 3
    assert [axes.get_title() for axes in seen.axes] == [f"{n}: {k} of 200 wrong" for n, k in wrong.items()]
    assert seen.legend() == ["out", "in", "misclassified"]
    assert is_png(path)


def test_regions_lie_where_the_scores_say(tmp_path: Path, seen: Seen) -> None:
    points, _ = disc()
    labels = (points[:, 0] > 0.5) + 2 * (points[:, 1] > 0.5)

    def score(block: Host) -> Host:
        return np.asarray(np.eye(4)[(block[:, 0] > 0.5) + 2 * (block[:, 1] > 0.5)])

    options: dict[str, Any] = {"classes": list("abcd"), "resolution": 40}
    pictures.decision_boundary(score, points, np.eye(4)[labels], tmp_path / "a.png", **options)
    axes = seen.axes[0]
    image = axes.images[0].get_array()
    assert axes.images[0].origin == "lower"
    corners = [image[5, 5], image[5, 35], image[35, 5], image[35, 35]]
    for k, corner in enumerate(corners):
        from matplotlib.colors import to_rgb

        np.testing.assert_allclose(corner, 0.68 + 0.32 * np.array(to_rgb(COLOURS[k])))
    assert seen.legend() == ["a", "b", "c", "d", "misclassified: 0 of 200"]


def test_nan_scores_are_white_and_wrong(tmp_path: Path, seen: Seen) -> None:
    points, labels = disc(50)
    options: dict[str, Any] = {"classes": ["out", "in"], "resolution": 20}
    pictures.decision_boundary(
        lambda p: np.full(len(p), np.nan), points, labels, tmp_path / "a.png", **options
    )
    assert "misclassified: 50 of 50" in seen.legend()
    assert "no prediction (NaN)" in seen.legend()
    assert (seen.axes[0].images[0].get_array() == 1).all()


def test_points_outside_the_unit_square_are_all_shown(tmp_path: Path, seen: Seen) -> None:
    points = np.array([[-3.0, 2.0], [5.0, 4.0]])
    options: dict[str, Any] = {"classes": ["a", "b"], "resolution": 10}
    pictures.decision_boundary(lambda p: p[:, :1], points, [0, 1], tmp_path / "a.png", **options)
    low, high = zip(seen.axes[0].get_xlim(), seen.axes[0].get_ylim(), strict=True)
    assert (points > low).all()
    assert (points < high).all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"inputs": np.zeros((3, 4))}, ShapeError, r"expected inputs \(N, 2\) with N labels, got \(3, 4\)"),
        ({"labels": [0, 1]}, ShapeError, "with 2 labels"),
        ({"inputs": np.full((3, 2), np.nan)}, DataError, "finite inputs"),
        ({"classes": ["a"]}, OptionError, "at least 2 names, got 1"),
        ({"score": lambda p: np.eye(3)[[2] * len(p)]}, OptionError, "a name for class 2, got 2"),
        ({"score": lambda p: np.zeros(7)}, ShapeError, r"expected scores \(100,\) .* got \(7,\)"),
        ({"path": "a.pdf"}, OptionError, r"ends in .png or .svg, got 'a.pdf'"),
    ],
)
def test_decision_boundary_refuses(
    change: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    arguments: dict[str, Any] = {
        "score": lambda p: p[:, 0],
        "inputs": [[0.1, 0.2], [0.9, 0.3], [0.4, 0.8]],
        "labels": [0, 1, 0],
        "path": tmp_path / "a.png",
        "classes": ["a", "b"],
        "resolution": 10,
    }
    with pytest.raises(error, match=message):
        pictures.decision_boundary(**(arguments | change))
    assert os.listdir(tmp_path) == []


def test_confusion_matrix(tmp_path: Path, seen: Seen) -> None:
    pictures.confusion_matrix([[90, 10], [0, 100]], ["no", "yes"], tmp_path / "a.png", "Test")
    axes = seen.axes[0]
    assert axes.get_title() == "Test\naccuracy 95.0% (190 of 200)"
    cells = {text.get_position(): (text.get_text(), text.get_color()) for text in axes.texts}
    assert cells == {
        (0, 0): ("90", "white"),
        (1, 0): ("10", "black"),
        (0, 1): ("0", "#AAAAAA"),
        (1, 1): ("100", "white"),
    }


def test_many_classes_with_long_names(tmp_path: Path, seen: Seen) -> None:
    names = [f"a name that is much too long for an axis, number {i}" for i in range(30)]
    pictures.confusion_matrix(np.eye(30, dtype=int) * 1234, names, tmp_path / "a.png")
    labels = [label.get_text() for label in seen.axes[0].get_yticklabels()]
    assert len(set(labels)) == 30
    assert max(map(len, labels)) <= 28
    assert len(seen.axes[0].texts) == 30
    assert is_png(tmp_path / "a.png")


@pytest.mark.parametrize(("k", "cells"), [(41, 41), (300, 256), (1000, 256)])
def test_very_many_classes_are_a_map_without_numbers(k: int, cells: int, tmp_path: Path, seen: Seen) -> None:
    counts = np.eye(k, dtype=int)
    counts[0, 1] = 1  # wrong, also where both classes are of one group
    pictures.confusion_matrix(counts, list(map(str, range(k))), tmp_path / "a.png")
    axes = seen.axes[0]
    assert axes.get_title() == f"accuracy {k / (k + 1):.1%} ({k} of {k + 1})"
    assert axes.images[0].get_array().shape == (cells, cells)
    assert axes.images[0].get_array().max() == 1
    assert not axes.texts
    assert len(axes.get_xticklabels()) <= 25
    assert max(axes.figure.get_size_inches() * 150) < 2000


def test_very_many_classes_in_the_plane(tmp_path: Path, seen: Seen) -> None:
    points, names = np.random.default_rng(0).random((600, 2)), list(map(str, range(300)))
    pictures.decision_boundary(
        lambda x: np.eye(300)[(x[:, 0] * 299).astype(int)],
        points,
        np.arange(600) % 300,
        tmp_path / "a.png",
        classes=names,
        resolution=50,
    )
    assert [text.partition(":")[0] for text in seen.legend()] == ["300 classes", "misclassified"]
    assert sum(len(dots.get_offsets()) for dots in seen.axes[0].collections[:-1]) == 600


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("日本", "\\u65e5\\u672c"),
        ("a\udcffb", "a\\udcffb"),
        ("a\u0300 ü ж α…", "a\u0300 ü ж α…"),
        ("x\x07y", "x\\x07y"),
        ("🌹", "\\U0001f339"),
    ],
)
def test_characters_that_no_font_has_are_written_as_codes(
    name: str, shown: str, tmp_path: Path, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fonts, "OTHERS", ())
    fonts._has.cache_clear()
    pictures.confusion_matrix([[1, 0], [0, 1]], [name, "b"], tmp_path / "a.png", title=name)
    axes = seen.axes[0]
    assert axes.get_xticklabels()[0].get_text() == shown
    assert axes.get_title().startswith(shown)
    graph = Graph(name)
    graph.add(name)
    for end in "png", "svg":
        graph.render(tmp_path / f"b.{end}")
    fonts._has.cache_clear()


def test_an_installed_font_draws_what_the_default_lacks(
    tmp_path: Path, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.font_manager import findfont, get_font

    codes = {name: get_font(findfont(name)).get_charmap() for name in ("STIXGeneral", fonts.DEFAULT)}
    name = chr(min(c for c in codes["STIXGeneral"] if c not in codes[fonts.DEFAULT] and chr(c).isprintable()))
    monkeypatch.setattr(fonts, "OTHERS", ("absent", "STIXGeneral"))
    fonts._has.cache_clear()
    pictures.confusion_matrix([[1, 0], [0, 1]], [name, "b"], tmp_path / "a.png")
    assert seen.axes[0].get_xticklabels()[0].get_text() == name
    fonts._has.cache_clear()


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError("x"), "a.png cannot be drawn: there is not enough memory"),
        (ValueError("two\n lines"), "a.png cannot be drawn: ValueError: two lines"),
        (OutputError("Cannot write"), "a.png cannot be drawn: Cannot write"),
        (None, ""),
    ],
)
def test_an_attempt_at_a_picture(error: Exception | None, line: str) -> None:
    def draw() -> None:
        if error is not None:
            raise error

    assert pictures.attempt("a.png", draw) == line


@pytest.mark.parametrize(
    ("matrix", "error", "message"),
    [
        ([[1, 2, 3]], ShapeError, r"expected \(2, 2\) for 2 class names, got \(1, 3\)"),
        ([[0, 0], [0, 0]], DataError, "not all 0"),
        ([[1, -1], [0, 0]], DataError, "whole counts >= 0"),
        ([[0.5, 0.5], [0.0, 1.0]], DataError, "whole counts"),
    ],
)
def test_confusion_matrix_refuses(matrix: Any, error: type[Exception], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        pictures.confusion_matrix(matrix, ["a", "b"], tmp_path / "a.png")


def test_regression_scatter(tmp_path: Path, seen: Seen) -> None:
    pictures.regression_scatter(
        [1.0, 2.0, 3.0, 9.0], [1.0, 2.0, 5.0, math.nan], tmp_path / "a.png", title="T"
    )
    axes = seen.axes[0]
    assert axes.get_title() == "T\n$R^2$ = -1.0000, MSE = 1.33"
    assert seen.legend(axes) == ["predicted = true", "3 values", "not finite: 1 left out"]
    assert axes.get_xlim() == axes.get_ylim()
    assert axes.collections[0].get_offsets().tolist() == [[1, 1], [2, 2], [3, 5]]


def test_regression_scatter_refuses(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match=r"of one shape.*got \(2,\) and \(2, 1\)"):
        pictures.regression_scatter([1.0, 2.0], [[1.0], [2.0]], tmp_path / "a.png")
    with pytest.raises(DataError, match="none of the 1"):
        pictures.regression_scatter([1.0], [math.nan], tmp_path / "a.png")


def test_svg_is_text_and_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a.svg", "b.SVG"):
        pictures.regression_scatter([1.0, 2.0], [1.0, 2.5], tmp_path / name)
    text = (tmp_path / "a.svg").read_text()
    assert re.search(r"<svg [^>]*>", text)
    assert text == (tmp_path / "b.SVG").read_text()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="gone': the folder does not exist"):
        pictures.regression_scatter([1.0, 2.0], [1.0, 2.0], tmp_path / "gone" / "a.png")


def test_drawing_leaves_the_settings_of_matplotlib_alone(tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    pictures.regression_scatter([1.0, 2.0], [1.0, 2.0], tmp_path / "a.png")
    assert dict(matplotlib.rcParams) == before


def test_matplotlib_comes_late_and_pyplot_never(tmp_path: Path) -> None:
    code = (
        "import sys; from lamina.train import pictures; assert 'matplotlib' not in sys.modules\n"
        "pictures.regression_scatter([1.0, 2.0], [1.0, 2.0], sys.argv[1])\n"
        "assert 'matplotlib.figure' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
        "assert 'torch' not in sys.modules"
    )
    # Not in the checkout, whose folders would shadow installed packages of the same names.
    environment = {**os.environ, "MPLBACKEND": "nonsense"}
    command = [sys.executable, "-c", code, str(tmp_path / "a.png")]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment)


@pytest.mark.usefixtures("whole_pictures")
@pytest.mark.parametrize(
    ("panels", "inside"),
    [(1, "in"), (1, "inside"), (1, "inside of the disc"), (1, "inside of the larger disc"), (4, "inside")],
)
def test_square_axes_beside_a_legend_keep_their_labels(panels: int, inside: str, tmp_path: Path) -> None:
    """Nothing is drawn on the border of the picture, so nothing is cut off."""
    from matplotlib.image import imread

    points = np.random.default_rng(0).random((200, 2))
    labels = (points[:, 0] > 0.5).astype(np.int64)
    scores = {f"network {k}": lambda x: np.eye(2)[(x[:, 1] > 0.5).astype(int)] for k in range(panels)}
    pictures.decision_boundaries(
        scores, points, labels, tmp_path / "boundary.png", classes=("outside", inside), resolution=20
    )
    pixels = imread(tmp_path / "boundary.png")[..., :3]
    for border in (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:]):
        assert border.min() == 1.0
