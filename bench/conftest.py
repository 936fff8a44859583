"""Races of one backend against torch.nn: the same work in the same run, with pinned threads.

`pytest bench --backend numpy --benchmark-json=.benchmarks/numpy.json`, then
`python bench/table.py .benchmarks/numpy.json`, with the files of other backends if there are any. Without
--backend, LAMINA_BACKEND or Lamina's default runs. A test's id names the work alone, so that pytest-benchmark
can compare the runs of two backends. `test_compiled.py` compares all contenders in one run.
"""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from race import REFERENCE, Contender, check, enter, peak_memory, time_all, torch

from lamina.backends import Backend, LaminaError, get_backend
from lamina.backends.host import blas_threads, limit_threads
from lamina.backends.select import environment

DTYPE = "float32"
TOLERANCE = 1e-5


# -- contenders --------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend", default=None, help="the backend to time beside torch.nn (default: LAMINA_BACKEND, ...)"
    )
    parser.addoption(
        "--contenders",
        default=None,
        help='test_compiled.py: what to time beside jit+numpy and numpy, as "torch.nn,JAX scan" (or all)',
    )


OURS = pytest.StashKey[Contender]()


def pytest_configure(config: pytest.Config) -> None:
    text = environment("LAMINA_THREADS") or "1"
    if not text.isdecimal() or int(text) < 1:
        raise pytest.UsageError(f"LAMINA_THREADS: expected a whole number of at least 1, got {text!r}")
    os.environ["LAMINA_THREADS"] = text  # for libraries that backends load later
    limit_threads(int(text))
    if torch is not None:
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    try:
        backend = get_backend(config.getoption("--backend") or None, dtype=DTYPE)
    except LaminaError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[OURS] = Contender(backend.spec, backend.device, backend)
    # pytest-benchmark opens the file last, and loses all results if its folder is missing.
    if target := config.getoption("benchmark_json", None):
        Path(target).parent.mkdir(parents=True, exist_ok=True)


def settings() -> dict[str, str | int]:
    """Return the machine, versions and threads."""
    known: dict[str, str | int] = {
        "cpu": _cpu(),
        "dtype": DTYPE,
        "blas_threads": blas_threads(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    if torch is not None:
        known |= {"torch_threads": torch.get_num_threads(), "torch": torch.__version__}
        if torch.cuda.is_available():
            known["cuda"] = torch.cuda.get_device_name()
    return known


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def pytest_report_header(config: pytest.Config) -> list[str]:
    values = ", ".join(f"{name} {value}" for name, value in settings().items())
    mine = config.stash[OURS]
    return [f"lamina bench: {values}", f"backend {mine.name} beside {mine.reference}"]


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    machine_info["lamina"] = settings()


# -- the race ----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def bench_backend(pytestconfig: pytest.Config) -> Backend:
    """The backend of this run."""
    backend = pytestconfig.stash[OURS].backend
    assert backend is not None
    return backend


@pytest.fixture
def race(benchmark: Any, pytestconfig: pytest.Config) -> Callable[..., None]:
    """Return `race(group, ours, theirs, ...)`: check that both compute the same, time both, report ours.

    ours(backend) and theirs(device) build the work: a function without arguments, or (function, reset). Both
    are timed in turns, so that other programs slow both alike. The times of torch.nn are in `extra_info`.
    """
    if torch is None:
        pytest.skip("the races are against torch.nn, and torch is not installed")
    mine = pytestconfig.stash[OURS]
    theirs_name = mine.reference
    # The results of torch.nn on the CPU are those that all must give.
    runners = {c.name: c for c in (mine, Contender(REFERENCE, "cpu"), Contender(theirs_name, mine.device))}

    def run(
        group: str,
        ours: Callable[[Backend], Any],
        theirs: Callable[[str], Any],
        *,
        seconds: float = 0.15,
        repeats: int = 1,
        session: bool = True,
        gradients: bool = True,
        tolerance: float = TOLERANCE,
        memory: bool = False,
    ) -> None:
        """Race.

        group: the name of the work. seconds: how long to time each contender. repeats: how often to compare
        results first. session: whether to run inside the backend's session (else the work enters it).
        gradients: whether torch.nn records for a backward pass. memory: whether to report peak memory.
        """
        entries = {
            c.name: enter(c, ours, theirs, session=session, gradients=gradients) for c in runners.values()
        }
        check(group, entries, repeats, tolerance)
        entry, other = entries[mine.name], entries[theirs_name]
        benchmark.group = group
        benchmark.extra_info.update(settings(), backend=mine.name, reference=theirs_name)
        # pytest-benchmark cannot time in turns: give it our times.
        benchmark._mode = "race"
        if benchmark.disabled:
            return
        time_all({mine.name: entry, theirs_name: other}, seconds)
        times = {"reference_median": statistics.median(other.times), "reference_min": min(other.times)}
        benchmark.extra_info.update(times)
        if memory:
            for one, key in ((entry, "peak_bytes"), (other, "reference_peak_bytes")):
                if (peak := peak_memory(one, mine.device)) is not None:
                    benchmark.extra_info[key] = peak
        stats = benchmark._make_stats(entry.iterations)
        for value in entry.seconds:
            stats.update(value)

    return run


@pytest.fixture
def race_layer(race: Callable[..., None]) -> Callable[..., None]:
    """Return `race_layer(group, ours, theirs, shape, which)`: a layer's forward, backward pass or both.

    ours(backend) and theirs() make the layer; ours loads torch.nn's weights. Both compute all gradients,
    the input's too.
    """

    def run(
        group: str,
        make_ours: Callable[[Backend], Any],
        make_theirs: Callable[[], Any],
        shape: tuple[int, ...],
        which: str,
        **options: Any,
    ) -> None:
        torch.manual_seed(0)
        initial = {k: v.numpy() for k, v in make_theirs().state_dict().items()}
        with torch.no_grad():
            out = tuple(make_theirs()(torch.zeros(shape)).shape)
        data, slope = (
            np.random.default_rng(i).standard_normal(s, np.float32) for i, s in ((1, shape), (2, out))
        )

        def ours(backend: Backend) -> Any:
            layer = make_ours(backend)
            layer.load_state_dict(initial)
            parameters = list(layer.parameters())
            x, g = backend.from_host(data), backend.from_host(slope)

            def backward() -> Any:
                for parameter in parameters:
                    parameter.zero_grad()
                return (layer.backward(g), *(p.grad for p in parameters))

            def both() -> Any:
                y = layer(x)
                return (y, *backward())

            with backend.session():
                layer(x)
            return {"forward": lambda: layer(x), "backward": backward, "both": both}[which]

        def theirs(device: str) -> Any:
            layer = make_theirs()
            layer.load_state_dict({k: torch.tensor(v) for k, v in initial.items()})
            layer.to(device)
            x, g = torch.tensor(data, device=device, requires_grad=True), torch.tensor(slope, device=device)
            leaves = (x, *layer.parameters())
            kept = layer(x)

            def both() -> Any:
                y = layer(x)
                return (y, *torch.autograd.grad(y, leaves, g))

            return {
                "forward": lambda: layer(x),
                "backward": lambda: torch.autograd.grad(kept, leaves, g, retain_graph=True),
                "both": both,
            }[which]

        race(group, ours, theirs, **options)

    return run
