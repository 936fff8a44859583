"""Compiled training steps beside eager ones, torch.nn and JAX, all pinned to one core, in one run.

`pytest bench/test_compiled.py --benchmark-json=.benchmarks/compiled.json`, then
`python bench/speed.py .benchmarks/compiled.json`. JAX takes part if it is installed (`pip install jax`), and
torch.compile if there is a C++ compiler. Times are those of the processor in all threads of this process:
what other programs take of the core does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from compiled import Race, compile_times, one_core, wanted
from contenders import JIT, MAKERS, NUMPY, SCAN, Work

pytest.importorskip("llvmlite", reason="compiled steps need llvmlite")
torch = pytest.importorskip("torch")

PAPERS = (2, 25, 25, 25, 2)
NETWORKS: tuple[dict[str, Any], ...] = (
    *({"widths": PAPERS, "batch": n, "loss": "MSE", "optimizer": "SGD"} for n in (1, 5, 20, 100, 200)),
    {"widths": PAPERS, "batch": 20, "loss": "MSE", "optimizer": "Adam"},
    {
        "widths": (2, 100, 50, 20, 1),
        "batch": 64,
        "loss": "sum of squares",
        "optimizer": "SGD",
        "penalty": 0.05,
        "batch_norm": True,
        "last_relu": True,
        "named": "2-100-50-20-1 with BatchNorm and L2 penalty",
    },
    {"widths": (64, 128, 64, 10), "batch": 64, "loss": "cross-entropy", "optimizer": "Adam"},
    {"widths": (784, 1024, 1024, 10), "batch": 256, "loss": "cross-entropy", "optimizer": "Adam"},
)
TABLE = [Work(**network, dtype=dtype) for dtype in ("float32", "float64") for network in NETWORKS]
DEPTHS, WIDTHS = (1, 2, 4, 8, 16, 30), (8, 16, 32, 64, 128, 256, 512)
BATCH = 64


def square(depth: int, width: int) -> Work:
    """Return a network of equal layers."""
    name = f"{depth} x {width}-{width}"
    return Work((width,) * (depth + 1), BATCH, "MSE", "SGD", "float32", named=name)


GRID = list(dict.fromkeys([*(square(d, 64) for d in DEPTHS), *(square(4, w) for w in WIDTHS)]))


@pytest.fixture(scope="module", autouse=True)
def core() -> Iterator[None]:
    """Keep all threads of this process on one core."""
    with one_core():
        yield


@pytest.fixture
def compare(benchmark: Any, pytestconfig: pytest.Config, monkeypatch: Any, tmp_path: Path) -> Any:
    """Return `compare(work, names)`: check that all compute the same, time them in turns, report all."""
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path))

    def run(work: Work, names: tuple[str, ...]) -> None:
        race = Race(work, wanted(names, pytestconfig.getoption("--contenders")), MAKERS)
        benchmark.group = f"compiled step: {work}"
        benchmark._mode = "race"
        if benchmark.disabled:
            return
        benchmark.extra_info.update(
            race.run(),
            operations=work.operations,
            compile=compile_times(work, tmp_path, monkeypatch),
            work={"widths": list(work.widths), "batch": work.batch},
        )
        stats = benchmark._make_stats(1)
        for value in race.times[JIT]:
            stats.update(value)

    return run


@pytest.mark.filterwarnings("default")  # of torch.compile and JAX
@pytest.mark.parametrize("work", TABLE, ids=str)
def test_compiled(compare: Callable[..., None], work: Work) -> None:
    compare(work, tuple(MAKERS))


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("work", GRID, ids=str)
def test_compiled_square(compare: Callable[..., None], work: Work) -> None:
    compare(work, (JIT, NUMPY, "torch.nn", SCAN))
