"""bench/speed.py, a script that is in no package: run on small files written by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "speed.py"


def row(work: str, widths: list[int], *, missing: Any = None, **contenders: tuple[float, float]) -> Any:
    names = {"jit": "jit+numpy", "nn": "torch.nn", "scan": "JAX scan"}
    times = {names[k]: {"median": median, "min": least} for k, (median, least) in contenders.items()}
    return {
        "group": f"compiled step: {work}",
        "name": f"test_compiled[{work}]",
        "stats": {"median": 1.0, "min": 1.0},
        "extra_info": {
            "cpu": "A small one",
            "contenders": times,
            "missing": missing or {},
            "operations": 2000,
            "peak": {"median": 8e9, "max": 9e9},
            "compile": {"cold": 0.25, "cached": 0.012},
            "load": 1.5,
            "versions": {"numpy": "2.0", "jax": "0.7"},
            "work": {"widths": widths, "batch": 5},
        },
    }


def write(path: Path, *rows: Any) -> Path:
    content = {"datetime": "2026-11-26T10:00:00+00:00", "benchmarks": rows}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(
        tmp_path / "compiled.json",
        row("2-25-2, SGD", [2, 25, 2], jit=(5e-7, 4e-7), nn=(2e-4, 1e-4), scan=(1e-5, 9e-6)),
        row("2-25-2, Adam", [2, 25, 2], jit=(1e-6, 9e-7), nn=(2e-4, 1e-4), missing={"JAX scan": "no jax"}),
        row("4 x 8-8", [8] * 5, jit=(1e-6, 1e-6), nn=(2e-4, 2e-4)),
        row("2 x 8-8", [8] * 3, jit=(5e-7, 5e-7), nn=(1e-4, 1e-4)),
        row("4 x 16-16", [16] * 5, jit=(2e-6, 2e-6), nn=(2e-4, 2e-4)),
    )


def network(work: str, *, processes: Any = None, **contenders: tuple[float, float]) -> Any:
    """Return a row of test_compiled_images.py: a training step."""
    found = row(work, [], **contenders)
    info = found["extra_info"] | {"processes": processes or {}}
    return found | {"group": f"compiled: {work}", "extra_info": info}


def layer(work: str, ours: tuple[float, float], theirs: tuple[float, float]) -> Any:
    """Return a row of test_compiled_images.py: a layer."""
    info = {"cpu": "A small one", "reference_median": theirs[0], "reference_min": theirs[1]}
    stats = {"median": ours[0], "min": ours[1]}
    return {"group": f"compiled: {work}, both", "stats": stats, "extra_info": info}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    first = {"first": 1.5, "first_peak": 3 << 20, "peak": 2 << 20}
    cached = {"first": 0.02, "first_peak": 1 << 20, "peak": 2 << 20}
    return write(
        tmp_path / "images.json",
        layer("1x1 (8, 64)", (2e-3, 1e-3), (3e-3, 2e-3)),
        network("LeNet", jit=(2e-3, 1e-3), nn=(8e-3, 7e-3), processes={"jit+numpy": first, "cached": cached}),
    )


def test_images_are_tables_of_steps_and_of_layers(images: Path) -> None:
    done = speed(images)
    assert done.returncode == 0, done.stderr
    titles, _, ours, theirs, *layers = cells(done.stdout)
    assert ours == ["LeNet", "jit+numpy", "2 ms (1)", "", "1.5 s, 20 ms", "3 MiB, 1 MiB", "2 MiB"]
    assert theirs == ["", "torch.nn", "8 ms (7)", "4x", "", "", ""]
    assert len(titles) == len(ours)
    assert layers[2] == ["1x1 (8, 64)", "3 ms", "2 ms", "1.50 (2.00)"]


def test_one_command_writes_both_tables(file: Path, images: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    marks = "<!-- images, from bench/speed.py -->\n<!-- to here -->\nmiddle\n"
    page.write_text(f"{marks}<!-- from bench/speed.py -->\n<!-- to here -->\nbelow\n", encoding="utf-8")
    done = speed(file, images, "--write", page)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    above, below = page.read_text(encoding="utf-8").split("middle")
    assert "LeNet" in above
    assert "LeNet" not in below
    assert "2-25-2, SGD" in below
    assert below.endswith("below\n")


def speed(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


def cells(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_table_has_times_ratios_and_the_share_of_the_peak(file: Path) -> None:
    done = speed(file)
    assert done.returncode == 0, done.stderr
    titles, _, first, second, *_ = cells(done.stdout)
    named = dict(zip(titles, first, strict=True))
    assert named["step"] == "2-25-2, SGD"
    assert named["jit+numpy"] == "500 ns (400)"
    assert (named["of the peak"], named["peak"]) == ("56%", "9 GFLOP/s")
    assert named["torch.nn"] == "200 µs (100), 400x"
    assert named["JAX scan"] == "10 µs (9), 20x"
    assert named["compile, cached"] == "250 ms, 12 ms"
    named = dict(zip(titles, second, strict=True))
    assert (named["of the peak"], named["torch.nn"], named["JAX scan"]) == ("25%", "200 µs (100), 200x", "")


def test_networks_of_equal_layers_are_a_table_of_rates(file: Path) -> None:
    titles, _, *rows = cells(speed(file).stdout)[4:]
    named = [dict(zip(titles, cells, strict=True)) for cells in rows]
    assert [x["GFLOP/s"] for x in named] == ["4 x 8-8", "2 x 8-8", "4 x 16-16"]
    assert [x["jit+numpy"] for x in named] == ["2", "4", "1"]
    assert named[0]["torch.nn"] == "0.01"


def test_page_says_where_when_and_what_is_missing(file: Path) -> None:
    text = speed(file).stdout
    for part in ("A small one", "numpy 2.0", "jax 0.7", "load 1.5 to 1.5", "2026-11-26"):
        assert part in text
    assert "Not measured: JAX scan: no jax." in text


def test_a_page_gets_the_tables_between_its_marks(file: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- from bench/speed.py -->\nold\n<!-- to here -->\nbelow\n", encoding="utf-8")
    for _ in range(2):
        done = speed(file, "--write", page)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
    text = page.read_text(encoding="utf-8")
    assert text.startswith("above\n<!-- from bench/speed.py -->\n\nA small one")
    assert text.endswith("<!-- to here -->\nbelow\n")
    assert "old" not in text
    assert text.count("2-25-2, SGD") == 1


def test_plot_is_a_picture(file: Path, tmp_path: Path) -> None:
    picture = tmp_path / "new" / "speed.png"
    done = speed(file, "--plot", picture)
    assert done.returncode == 0, done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot read"),
        ("not json", "is not a JSON file"),
        ("[1]", "was not written by pytest-benchmark"),
        ('{"benchmarks": [{"group": "ops: add"}]}', "has no compiled steps"),
        (json.dumps({"benchmarks": [row("w", [1, 2], nn=(1.0, 1.0))]}), "'compiled step: w' is incomplete"),
        (json.dumps({"benchmarks": [row("w", [1, 2], jit=(0.0, 0.0))]}), "expected positive times"),
        ('{"benchmarks": [{"group": "compiled step: w"}]}', "is incomplete"),
        (json.dumps({"benchmarks": [network("w", nn=(1.0, 1.0))]}), "'w' is incomplete"),
        (json.dumps({"benchmarks": [layer("w", (0.0, 0.0), (1.0, 1.0))]}), "expected positive times"),
    ],
)
def test_a_wrong_file_is_an_error_without_a_traceback(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "wrong.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    done = speed(path)
    assert done.returncode == 2
    assert says in done.stderr
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_page_without_marks_stays_as_it_is(file: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("text", encoding="utf-8")
    done = speed(file, "--write", page)
    assert done.returncode == 2
    assert "expected the marks" in done.stderr
    assert page.read_text(encoding="utf-8") == "text"


def test_a_picture_needs_networks_of_equal_layers(tmp_path: Path) -> None:
    file = write(tmp_path / "few.json", row("w", [2, 3], jit=(1.0, 1.0)))
    done = speed(file, "--plot", tmp_path / "speed.png")
    assert done.returncode == 2
    assert "equal layers" in done.stderr
