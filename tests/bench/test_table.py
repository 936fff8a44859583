"""bench/table.py, a script that is in no package: run on small files written by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "table.py"


def row(
    group: str, backend: str, ours: tuple[float, float], theirs: tuple[float, float], name: str = "torch.nn"
) -> dict[str, Any]:
    (median, fastest), (their_median, their_fastest) = ours, theirs
    times = {"reference_median": their_median, "reference_min": their_fastest}
    return {
        "group": group,
        "name": "test[work]",
        "stats": {"median": median, "min": fastest},
        "extra_info": {"backend": backend, "reference": name, **times},
    }


def write(path: Path, *rows: dict[str, Any]) -> Path:
    run = {"machine_info": {"lamina": {"cpu": "A [small] one", "blas_threads": 1}}, "benchmarks": rows}
    path.write_text(json.dumps(run), encoding="utf-8")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(
        tmp_path / "numpy.json",
        row("step: tiny", "numpy", (50e-6, 40e-6), (200e-6, 120e-6)),
        row("ops: add", "numpy", (2.0, 1.0), (1.0, 1.0)),
    )


@pytest.fixture
def others(tmp_path: Path) -> list[Path]:
    return [
        write(tmp_path / "torch.json", row("step: tiny", "torch", (400e-6, 100e-6), (200e-6, 120e-6))),
        write(
            tmp_path / "cuda.json",
            row("ops: add", "torch:cuda", (4e-9, 2e-9), (2e-9, 2e-9), "torch.nn:cuda"),
        ),
    ]


def table(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


def cells(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_ratio_is_the_reference_time_divided_by_ours(file: Path, others: list[Path]) -> None:
    done = table(file, *others, "--markdown")
    assert done.returncode == 0, done.stderr
    titles, _, tiny, add = cells(done.stdout)
    named = dict(zip(titles, tiny, strict=True))
    assert named["torch.nn"] == "200 µs"
    assert (named["numpy"], named["numpy: ratio"]) == ("50 µs", "4.00 (3.00)")
    assert (named["torch"], named["torch: ratio"]) == ("400 µs", "0.50 (1.20)")
    assert named["torch:cuda"] == named["torch:cuda: ratio"] == ""
    named = dict(zip(titles, add, strict=True))
    assert (named["numpy"], named["numpy: ratio"]) == ("2 s", "0.50 (1.00)")
    assert (named["torch:cuda"], named["torch:cuda: ratio"]) == ("4 ns", "0.50 (1.00)")


def test_runs_of_one_backend_are_named_after_their_files(file: Path, tmp_path: Path) -> None:
    old = write(tmp_path / "old.json", row("step: tiny", "numpy", (1e-3, 1e-3), (1e-3, 1e-3)))
    done = table(old, file, "--markdown", "--only", "step")
    titles, _, tiny = cells(done.stdout)
    assert titles[2:] == ["numpy (old)", "numpy (old): ratio", "numpy (numpy)", "numpy (numpy): ratio"]
    assert tiny[2:] == ["1 ms", "1.00 (1.00)", "50 µs", "4.00 (3.00)"]


def test_every_op_layer_loss_and_optimizer_is_measured() -> None:
    pytest.importorskip("torch")
    import test_tables

    from lamina import layers
    from lamina.backends.ops import OPS
    from lamina.train import optimizers

    measured = {*test_tables.LAYERS, *test_tables.LOSSES}
    measured |= {name.split()[0] for name in test_tables.OPTIMIZERS}
    public = (getattr(module, name) for module in (layers, optimizers) for name in module.__all__)
    kinds = (layers.Module, layers.Loss, optimizers.Optimizer)
    named = {kind.__name__ for kind in public if isinstance(kind, type) and issubclass(kind, kinds)}
    assert named - measured == {"Module", "Loss", "Optimizer"}
    effects = {op for op, spec in OPS.items() if spec.kind in ("storage", "control")}
    assert set(OPS) - set(test_tables.OPS) == {*effects, *test_tables.METADATA}


def test_terminal_shows_all_and_the_machine(file: Path) -> None:
    done = table(file)
    assert done.returncode == 0, done.stderr
    for text in ("step: tiny", "4.00 (3.00)", "A [small] one", "blas threads 1", "higher is better"):
        assert text in done.stdout


def test_only_picks_groups(file: Path) -> None:
    done = table(file, "--markdown", "--only", "step:")
    assert [line[0] for line in cells(done.stdout)[2:]] == ["step: tiny"]


def test_plot_is_a_picture(file: Path, tmp_path: Path) -> None:
    picture = tmp_path / "new" / "ratios.png"
    done = table(file, "--plot", picture)
    assert done.returncode == 0, done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot read"),
        ("not json", "is not a JSON file"),
        ("[1, 2]", "was not written by pytest-benchmark"),
        ('{"benchmarks": []}', "no benchmarks"),
        (
            '{"benchmarks": [{"group": "g", "name": "other", "stats": {"median": 1}}]}',
            "'other' is not one",
        ),
        (json.dumps({"benchmarks": [row("g", "numpy", (0.0, 0.0), (1.0, 1.0))]}), "is not one of"),
    ],
)
def test_a_wrong_file_is_an_error_without_a_traceback(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "wrong.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    done = table(path)
    assert done.returncode == 2
    assert says in done.stderr
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr


def test_no_such_work_is_an_error(file: Path) -> None:
    done = table(file, "--only", "nothing")
    assert done.returncode == 2
    assert "no work named 'nothing'" in done.stderr
