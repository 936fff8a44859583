"""Compiled training steps beside eager ones, torch.nn and JAX, all pinned to one core, in one run.

`pytest bench/test_compiled.py --benchmark-json=.benchmarks/compiled.json`, then
`python bench/speed.py .benchmarks/compiled.json`. JAX takes part if it is installed (`pip install jax`), and
torch.compile if there is a C++ compiler. Times are those of the processor in all threads of this process:
what other programs take of the core does not count.
"""

from __future__ import annotations

import importlib
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import settings
from contenders import JIT, MAKERS, NUMPY, SCAN, Contender, Ours, Work
from peak import Peak

from lamina.backends.loop import compilations_of

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

CHECKED, CHECK_RATE = 10, 1e-3
"""The steps whose results must agree, and their learning rate."""
BARS = {"float32 SGD": 1e-3, "float32 Adam": 1e-2, "float64 SGD": 1e-8, "float64 Adam": 1e-6}
"""How far apart the ends may be, relative to the way; Adam enlarges the rounding of small gradients."""
RATE = 1e-7
"""The learning rate of timed steps: no gradient may vanish into denormal numbers, which are slow."""
STEPS = 1000
"""Steps in a run of compiled code and of JAX scan, unless they take longer than LONGEST."""
USUAL, LONGEST = 3e-2, 0.3
"""Seconds of a call of the other contenders, and the most of any."""
ROUNDS, SAMPLES = 9, 2
"""Turns of a contender, and its timed calls in each, after a warm one."""
COMPILES = 3


@pytest.fixture(scope="module", autouse=True)
def core() -> Iterator[None]:
    """Keep all threads of this process on one core."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    _pin({max(before)})
    yield
    _pin(before)


def _pin(cores: set[int]) -> None:
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


@pytest.fixture
def compare(benchmark: Any, pytestconfig: pytest.Config, monkeypatch: Any, tmp_path: Path) -> Any:
    """Return `compare(work, names)`: check that all compute the same, time them in turns, report all."""
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path))
    chosen = pytestconfig.getoption("--contenders")

    def run(work: Work, names: tuple[str, ...]) -> None:
        wanted = [
            name for name in names if name in (JIT, NUMPY) or chosen is None or name in chosen.split(",")
        ]
        entrants, missing = _entrants(work, wanted)
        benchmark.group = f"compiled step: {work}"
        benchmark._mode = "race"
        if benchmark.disabled:
            return
        times, peak = _timed(work, entrants)
        _check_speed(entrants[JIT])
        info = {
            name: {"median": statistics.median(taken), "min": min(taken)} for name, taken in times.items()
        }
        benchmark.extra_info.update(
            settings(),
            dtype=work.dtype,
            backend=JIT,
            contenders=info,
            missing=missing,
            operations=work.operations,
            peak={"median": statistics.median(peak), "max": max(peak)},
            compile=_compile_times(work, tmp_path, monkeypatch),
            load=os.getloadavg()[0],
            versions=_versions(),
            work={"widths": list(work.widths), "batch": work.batch},
        )
        if "torch.nn" in info:  # what table.py reads
            reference = info["torch.nn"]
            benchmark.extra_info.update(
                reference="torch.nn", reference_median=reference["median"], reference_min=reference["min"]
            )
        stats = benchmark._make_stats(1)
        for value in times[JIT]:
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


# -- the race ------------------------------------------------------------------------------------------


def _entrants(work: Work, names: list[str]) -> tuple[dict[str, Contender], dict[str, str]]:
    """Return the contenders that agree with our eager steps, and why others do not take part."""
    found: dict[str, Contender] = {}
    missing: dict[str, str] = {}
    order = work.order(CHECKED)
    for name in names:
        try:
            contender = MAKERS[name](work)
            contender.ready(order, CHECK_RATE)()
        except ImportError as error:
            missing[name] = str(error)
        except Exception as error:
            if name != "torch.compile":
                raise
            missing[name] = str(error).partition("\n")[0]  # of many kinds: no compiler, no headers
        else:
            found[name] = contender
    start = [value for key, value in work.weights.items() if "running" not in key and "num_" not in key]
    expected = [p - old for p, old in zip(found[NUMPY].parameters(), start, strict=True)]
    size = _norm(expected)
    bar = BARS[f"{work.dtype} {work.optimizer}"]
    for name, contender in found.items():
        moved = [p - old for p, old in zip(contender.parameters(), start, strict=True)]
        error = _norm([a - b for a, b in zip(moved, expected, strict=True)]) / size
        assert error <= bar, f"{work}: {name} moves the parameters elsewhere: off by {error:.2g} of the way"
    return found, missing


def _norm(arrays: list[Any]) -> float:
    return float(np.sqrt(sum(np.square(x.astype(np.float64)).sum() for x in arrays)))


def _check_speed(jit: Any) -> None:
    """Fail if the numbers of the timed steps had become denormal: they would be slow without need."""
    moments = [cell for group in jit.optimizer.groups for cell in group.host_cells().values()]
    for array in (*jit.gradients(), *moments):
        size = np.abs(array[array != 0])
        assert size.min(initial=1.0) >= np.finfo(array.dtype).tiny


def _timed(work: Work, entrants: dict[str, Contender]) -> tuple[dict[str, list[float]], list[float]]:
    """Return the seconds of a step in each call, and the peak in each round."""
    calls: dict[str, tuple[Callable[[], None], int]] = {}
    for name, contender in entrants.items():
        calls[name] = _call(work, contender, long=name in (JIT, SCAN))
    times: dict[str, list[float]] = {name: [] for name in calls}
    peak, rates = Peak(work.dtype), []
    names = list(calls)
    for i in range(ROUNDS):
        rates.append(peak.rate())
        for name in (*names[i % len(names) :], *names[: i % len(names)]):
            call, steps = calls[name]
            call()
            for _ in range(SAMPLES):
                start = time.process_time()
                call()
                times[name].append((time.process_time() - start) / steps)
    return times, rates


def _call(work: Work, contender: Contender, *, long: bool) -> tuple[Callable[[], None], int]:
    """Return a call to time, and its steps."""
    few = contender.ready(work.order(CHECKED), RATE)
    few()
    start = time.process_time()
    few()
    step = (time.process_time() - start) / CHECKED
    steps = max(int(min(STEPS if long else USUAL / step, LONGEST / step, STEPS)), CHECKED)
    return contender.ready(work.order(steps), RATE), steps


def _compile_times(work: Work, folder: Path, monkeypatch: Any) -> dict[str, float]:
    """Return the median seconds of a trace and a compilation: by LLVM, and with the code from the cache."""
    result = {}
    for name, cache in (("cold", "off"), ("cached", str(folder))):
        monkeypatch.setenv("LAMINA_CACHE", cache)
        taken = []
        for _ in range(COMPILES):
            ours = Ours(work, JIT)
            ours.ready(work.order(1), RATE)()
            taken.append(compilations_of(ours.run)[-1].seconds)
        result[name] = statistics.median(taken)
    return result


def _versions() -> dict[str, str]:
    found = {}
    for name in ("numpy", "torch", "jax", "llvmlite"):
        try:
            found[name] = importlib.import_module(name).__version__
        except ImportError:
            continue
    return found
